"""Events in the user's own tables; no torch here."""

from mla_train.modalities.items.events import read_event_files as read_event_files
