"""The kinds of input that come with the framework."""

from mla_train.modalities.audio.preprocess import Audio
from mla_train.modalities.base import Modality
from mla_train.modalities.features import Features
from mla_train.modalities.image.preprocess import Image
from mla_train.modalities.items.preprocess import Items
from mla_train.modalities.series.preprocess import Series
from mla_train.modalities.text.preprocess import Text

MODALITIES: dict[str, type[Modality]] = {kind.kind: kind for kind in (Text, Image, Audio, Features, Series, Items)}
"""Kinds of input by their names."""
