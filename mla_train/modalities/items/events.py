"""From events, who had what and when, to histories with the item that comes next, in three splits."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import EventTableOptions, HistorySplit, OnError
from mla_train.data.examples import Examples, RawData
from mla_train.data.readers import find_column, note_words
from mla_train.data.splits import SPLITS
from mla_train.data.tables.cells import NUMBER_WORDS, as_label, is_missing, written_list
from mla_train.data.tables.splits import named_files, report_broken
from mla_train.data.tables.table import Table, concatenate, read_table
from mla_train.errors import UserError, few, require
from mla_train.modalities.series.times import order_of_times, plain_numbers, reading_note, seconds_of, times_of

USER_NAMES = (
    "user",
    "user_id",
    "userid",
    "customer_id",
    "customerid",
    "visitorid",
    "session_id",
    "sessionid",
    "reviewerid",
)
ITEM_NAMES = (
    "item",
    "item_id",
    "itemid",
    "product_id",
    "productid",
    "movieid",
    "movie_id",
    "asin",
    "stockcode",
    "track_id",
)
TIME_NAMES = (
    "time", "timestamp", "ts", "date", "datetime", "event_time", "unixreviewtime", "invoicedate", "order_date", "purchase_date",
    "created_at", "ordered_at", "purchased_at", "bought_at", "rated_at", "viewed_at", "watched_at", "played_at",
)  # fmt: skip
SEPARATOR = "|"  # between the items of a history that is written as one text
NO_TIME = "none"  # value of data.time_column


@dataclass
class Events:
    """What users had, an event a row, in the order of the data.

    Attributes:
        users: User of each event.
        items: Name of its item.
        times: Its time in seconds, or a number that orders it, `(events,)`; None where the order of the rows is all that is known.
    """

    users: list[str]
    items: list[str]
    times: np.ndarray | None


def read_event_files(options: Any) -> RawData:
    """Reads events from tables.

    Args:
        options: `data` options of the run: path, columns, splits.

    Raises:
        UserError: A file or a column is not there, or a row cannot be read.
    """
    require(
        bool(options.path), "the events are missing: name data.path=FILE, a table with a user and an item in each row"
    )
    notes: list[str] = []
    tables = [read_table(file, options) for file in named_files(options.path, "path", notes)]
    events = read_events(concatenate(tables, f"{options.path}"), options, options.gaps, notes)
    return split_events(events, options, notes)


def read_events(
    table: Table,
    options: EventTableOptions,
    gaps: bool,
    notes: list[str],
    option: str = "data.{}_column",
    known: Collection[str] = (),
) -> Events:
    """The events of a table.

    Args:
        table: Table with an event in each row.
        options: Its columns.
        gaps: Whether times are needed in seconds.
        notes: Lines for the user: what was guessed and left out.
        option: How the user names a column, for messages.
        known: Names of the items of the training data.

    Raises:
        UserError: A column is not there, or a row cannot be read.
    """
    notes += report_broken({"train": table}, options.on_error)
    columns = {
        "user": find_column(table, options.user_column, USER_NAMES, option.format("user")),
        "item": find_column(table, options.item_column, ITEM_NAMES, option.format("item")),
    }
    plain = {name.strip().lower(): name for name in table.columns}
    time = options.time_column or next((plain[name] for name in TIME_NAMES if name in plain), None)
    if time is not None and options.time_column != NO_TIME:
        columns["time"] = find_column(table, time, (), option.format("time"))
    table = _without_empty(table, list(columns.values()), options, notes)
    users, items = (_names(table, columns[what]) for what in ("user", "item"))
    for column, names in zip(columns.values(), (users, items), strict=False):
        note_words(names, NUMBER_WORDS, f"{table.file} column {column}", "data.na_values= names it", notes)
    times = _times(table, columns["time"], options.time_format, gaps, notes) if "time" in columns else None
    if options.title_column is not None:
        columns["title"] = find_column(table, options.title_column, (), option.format("title"))
        titles = ["" if is_missing(cell) else as_label(cell) for cell in table.column(columns["title"])]
        items = unique_titles(items, titles, set(known))
    barred = [item for item in dict.fromkeys(items) if SEPARATOR in item]
    if barred:
        notes.append(
            f"{len(barred):,} items have a bar in their names, such as {barred[0]:.60}: histories to predict from are lists then, such "
            'as ["one", "another"], and not texts with bars between items'
        )
    notes.append(f"{table.file}: " + ", ".join(f"{what} is read from column {name}" for what, name in columns.items()))
    unused = [name for name in table.columns if name not in columns.values()]
    if unused:
        notes.append(f"{table.file}: column {few(unused)} is not used: each row counts as much, whatever it says")
    return Events(users, items, times)


def _without_empty(table: Table, columns: Sequence[str], options: Any, notes: list[str]) -> Table:
    """The rows that have a user, an item and, where there are times, a time."""
    cells = [table.column(name) for name in columns]
    empty = [
        row
        for row, values in enumerate(zip(*cells, strict=True))
        if any(is_missing(v, options.na_values) for v in values)
    ]
    if not empty:
        return table
    problem = f"{len(empty):,} rows of {table.file} lack {' or '.join(columns)}, the first is {table.places[empty[0]]}"
    require(
        options.on_error is not OnError.stop,
        f"{problem}: correct or remove them, or leave them out with data.on_error=skip",
    )
    notes.append(f"{problem}; they are left out")
    lacking = set(empty)
    return table.select([row for row in range(len(table)) if row not in lacking])


def _names(table: Table, column: str) -> list[str]:
    """Names of users or items, one in each row."""
    cells = table.column(column)
    for cell, place in zip(cells, table.places, strict=True):
        if isinstance(cell, list | tuple | dict | np.ndarray) or (
            isinstance(cell, str) and written_list(cell) is not None
        ):
            raise UserError(
                f"{table.file} {place}: {column} is {cell!r:.60}, and a row is one event: write a row for each"
            )
    return [as_label(cell) for cell in cells]


def _times(table: Table, column: str, form: str | None, gaps: bool, notes: list[str]) -> np.ndarray:
    """Times in seconds, or numbers in their order, `(events,)`; seconds where gaps are read."""
    cells = table.column(column)
    series = pd.Series(cells, index=pd.Index(table.places, dtype=object), name=column, dtype=object)
    numbers = plain_numbers(series, str(table.file))
    lacking = np.flatnonzero(~np.isfinite(numbers))
    if form is None and 0 < 2 * len(lacking) < len(cells):
        raise UserError(
            f"{table.file} {table.places[lacking[0]]}: {column} is {cells[lacking[0]]!r:.60}, and most times are numbers: correct or "
            "remove the row, or name another column with data.time_column="
        )
    if len(lacking) or form is not None:
        return seconds_of(order_of_times(series, str(table.file), form, in_order=False)[0])
    if gaps:
        with suppress(UserError):  # of numbers that only count
            reading = times_of(numbers.rename(column), str(table.file), in_order=False)
            notes.append(reading_note(numbers, reading))
            return seconds_of(reading.times.to_numpy())
        notes.append(f"{table.file}: the numbers of column {column} are taken for seconds (data.time_format)")
    return seconds_of(order_of_times(numbers, str(table.file))[0])


def unique_titles(items: Sequence[str], titles: Sequence[str], known: Collection[str] = ()) -> list[str]:
    """A name for each item: its title, behind which its identifier stands where several items have one title, or where it has none.

    So it does where it is `known` by that name, as several items of the training data have the title.
    """
    first = dict(zip(reversed(items), reversed(titles), strict=True))  # the first title of an item, if it has several
    counts = Counter(first.values())
    named = {}
    for item, title in first.items():
        numbered = f"{title} [{item}]".strip()
        named[item] = title if title and counts[title] == 1 and numbered not in known else numbered
    return [named[item] for item in items]


def split_events(events: Events, options: Any, notes: list[str]) -> RawData:
    """Histories with the item that comes next: of each user one in train, which is trained at each place.

    Args:
        events: What users had.
        options: `data` options of the run, a `HistoryOptions`.
        notes: Lines for the user, of which the data gets the lot.

    Raises:
        UserError: There is too little to split.
    """
    if events.times is None:
        needs = "data.gaps=true" if options.gaps else "data.split=time" if options.split is HistorySplit.time else ""
        require(not needs, f"{needs} needs times, and the data has none: name their column with data.time_column=")
    histories = histories_of(events, notes)
    examples: dict[str, list[tuple[str, np.ndarray, str]]] = {split: [] for split in SPLITS}
    if options.split is HistorySplit.last:
        short = lost = 0
        for user, rows in histories.items():
            ends = {"train": 2, "val": 1, "test": 0} if len(rows) > 2 else {"train": 0}
            short += len(rows) <= 2
            lost += len(rows) in (1, 3)
            for split, left in ends.items():
                place = len(rows) - 1 - left
                if place > 0:  # else there is nothing in front of it
                    examples[split].append((user, rows[:place], rows[place, 0]))
        if short:
            notes.append(f"{short:,} of {len(histories):,} users have one or two events: they are not in val and test")
        if lost:
            notes.append(
                f"{lost:,} users are not in train: of one event, or of three, there is no item behind another to train on"
            )
    else:
        _split_by_time(histories, examples, options, notes)
    counts = {split: len(each) for split, each in examples.items()}
    require(
        all(counts.values()),
        f"no history is left for {' and '.join(s for s, count in counts.items() if not count)}: needed are users with events of four items or more"
        + ("" if options.split is HistorySplit.last else ", before and after the times that part the splits"),
    )
    notes.append(
        f"{len(histories):,} users, {len({name for rows in histories.values() for name in rows[:, 0]}):,} items, "
        f"{sum(map(len, histories.values())):,} events; {counts['val']:,} validation and {counts['test']:,} test histories"
    )
    splits = {}
    for split, parts in examples.items():
        users, values, targets = zip(*parts, strict=True)
        inputs = [history if options.gaps else history[:, 0] for history in values]
        splits[split] = Examples({"history": inputs}, list(targets), [f"user {user}" for user in users])
    return RawData(splits, notes)


def histories_of(events: Events, notes: list[str]) -> dict[str, np.ndarray]:
    """Rows of item and time of each user, in order, each item once, `(events, 2)`."""
    times = events.times
    if times is None:
        notes.append("there are no times: the rows of each user are taken to be in order (data.time_column)")
        times = np.arange(len(events.users), dtype=float)
    else:
        same = sum(count - 1 for count in Counter(zip(events.users, times, strict=True)).values())
        if same:
            notes.append(
                f"{same:,} events have the same time as another of their user: these are taken in the order of the rows"
            )
    order = np.argsort(times, kind="stable")
    of_user: dict[str, dict[str, float]] = defaultdict(dict)
    for row in order:
        of_user[events.users[row]].setdefault(events.items[row], times[row])
    repeated = len(order) - sum(map(len, of_user.values()))
    if repeated:
        notes.append(f"left out {repeated:,} events of an item that the user had before: an item is recommended once")
    histories = {}
    for user, first in of_user.items():
        rows = histories[user] = np.empty((len(first), 2), dtype=object)
        rows[:, 0], rows[:, 1] = list(first), list(first.values())
    return histories


def _split_by_time(histories: dict[str, np.ndarray], examples: dict[str, Any], options: Any, notes: list[str]) -> None:
    """Each event of the newest times is one to be found, from all that its user had before."""
    times = np.sort(np.concatenate([rows[:, 1] for rows in histories.values()]).astype(float))
    until_test = times[int((1 - options.test_share) * len(times))]
    until_val = times[int((1 - options.test_share) * (1 - options.val_share) * len(times))]
    first = 0
    for user, rows in histories.items():
        split_of = np.searchsorted([until_val, until_test], rows[:, 1].astype(float), side="right")
        trained = int((split_of == 0).sum())
        if trained > 1:
            examples["train"].append((user, rows[: trained - 1], rows[trained - 1, 0]))
        for place in range(trained, len(rows)):
            first += place == 0
            if place:
                examples[SPLITS[split_of[place]]].append((user, rows[:place], rows[place, 0]))
    if first:
        notes.append(
            f"{first:,} events of val and test are the first of a new user: there is no history to rank them from"
        )
