"""Tables of events that are predicted: a row for each user, with the history that the events make."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from mla_train.config import EventTableOptions, OnError
from mla_train.data.tables.source import Row, Source
from mla_train.data.tables.table import collect
from mla_train.errors import UserError
from mla_train.modalities.items.events import ITEM_NAMES, USER_NAMES, histories_of, read_events
from mla_train.modalities.items.spec import ItemSpec

NEXT = "next_item"  # column of the label where events are evaluated


def event_options(options: Any, asked: Mapping[str, str]) -> EventTableOptions:
    """How events are written: as in training, in the columns that the user names.

    Args:
        options: `data` options of the run.
        asked: Column by "user", "item", "time" or "title".
    """
    known = options if isinstance(options, EventTableOptions) else EventTableOptions()
    columns: Any = {f"{name}_column": asked[name] for name in ("user", "item", "time", "title") if name in asked}
    return replace(known, **columns, on_error=OnError.skip)


def has_events(source: Source, options: EventTableOptions, history: str) -> bool:
    """Whether a table has a user and an item in each row, and no history."""
    names = {name.strip().lower() for name in source.columns}
    asked = ((options.user_column, USER_NAMES), (options.item_column, ITEM_NAMES))
    has_both = all(names & ({column.lower()} if column else set(usual)) for column, usual in asked)
    return has_both and history not in source.columns


def from_events(source: Source, options: EventTableOptions, name: str, spec: ItemSpec, holds_out: bool) -> Source:
    """A source of histories, a user each, from one of events.

    Args:
        source: Events.
        options: Their columns.
        name: Name of the input.
        spec: Items that the model knows, by the names that they have there, and whether it reads times.
        holds_out: Whether the last item of each user is the label of those before it.

    Raises:
        UserError: A column is not there, a row cannot be read, or times are missing.
    """
    notes = source.notes
    events = read_events(collect(source), options, spec.gaps, notes, "--column {}", spec.catalogue)
    if spec.gaps and events.times is None:
        raise UserError(
            f"{source.name} has no times, which this model reads (data.gaps=true): name --column time=COLUMN"
        )
    rows, histories = [], histories_of(events, notes)
    if holds_out:
        notes.append("the last item of each user is to be found, from the history of those before it")
    for user in dict.fromkeys(events.users):
        items = histories[user]
        history = items if spec.gaps else items[:, 0]
        cells: dict[str, Any] = {"user": user}
        error = ""
        if holds_out:
            cells[NEXT], history = items[-1, 0], history[:-1]
            error = "" if len(history) else f"user {user} has one event, and nothing in front of it to rank from"
        rows.append(Row(cells, error, f"user {user}", {name: np.array(history, dtype=object)}))
    columns = ["user", NEXT] if holds_out else ["user"]
    return replace(source, columns=columns, rows=iter(rows), size=len(rows), notes=notes, schema=None, has_values=True)
