"""Rows of several series one below the other: found and asked about, before anything is averaged."""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from mla_train.config import Resample, SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.time_columns import is_time_of_day, part_of
from mla_train.modalities.series.times import place_of

REPEATED = 1.1
"""Rows for each time from which on times do not repeat by mistake."""
MANY_REPEATED = 1.5
"""Rows for each time from which on they are never averaged."""
MOST_PAIRED = 12
"""Columns of which pairs are tried."""
SERIES_NAMES = (
    "id", "key", "item", "sku", "product", "article", "store", "shop", "branch", "site", "station", "sensor", "device", "meter",
    "machine", "series", "uniqueid", "seriesid", "itemid", "storeid", "stationid", "sensorid", "deviceid", "meterid", "region",
    "country", "city", "customer", "customerid", "patient", "patientid", "subject", "unit", "unitid", "channel", "location",
    "locationid", "symbol", "ticker", "group", "zone", "plant", "building", "line",
)  # fmt: skip
"""Names of columns, without signs, whose numbers are names of series."""


def refuse_repeated_times(
    table: pd.DataFrame, times: pd.DatetimeIndex, time_columns: Sequence[str], options: SeriesTableOptions
) -> None:
    """Refuses what must not be averaged: several series one below the other, and days whose times are in another column.

    Args:
        table: Table as it was read.
        times: Time of each row, of which some are the same.
        time_columns: Columns of the times.
        options: Where the table is, and its roles.

    Raises:
        UserError: Rows belong to several series, or times have parts in another column.
    """
    first = times[times.duplicated()][0]
    if times.nunique() == 1:
        raise UserError(f"{options.path}: all rows are of {first}; a series has more times than one")
    rows = [place_of(table, int(row)) for row in np.flatnonzero(times == first)[:2]]
    repeated = f"{options.path}: the time {first} occurs {(times == first).sum()} times, in {' and '.join(rows)}"
    roles = [*time_columns, *(options.targets or []), *options.known, *options.observed]
    others = [name for name in table.columns if name not in roles]
    parts = [name for name in others if _goes_on(table[name], times)]
    if parts and is_time_of_day(table[parts[0]]):
        parts = parts[:1]  # others are its end
    if parts and not pd.MultiIndex.from_arrays([times, *(table[name] for name in parts)]).has_duplicates:
        kind = "holds times of day" if is_time_of_day(table[parts[0]]) else f"seems to hold the {part_of(parts[0])}"
        raise UserError(
            f"{repeated} (duplicate time), and column {parts[0]} {kind}: "
            f"data.time_column=[{','.join([*time_columns, *parts])}] joins them"
        )
    names = columns_of_series(table, times, others)
    if names:
        count, named = len(table[names].drop_duplicates()), names[0] if len(names) == 1 else f"[{','.join(names)}]"
        raise UserError(
            f"{repeated}: the rows belong to several series, {count:,} by column {' and '.join(names)}. "
            f"data.series_column={named} forecasts each of them"
        )
    if len(times) >= MANY_REPEATED * times.nunique() and options.resample not in (Resample.sum, Resample.last):
        raise UserError(
            f"{repeated}, and most times occur several times, as where rows belong to several series; no column was found that tells "
            "them apart: name it, or the columns that do together, with data.series_column=[NAME,NAME]; data.resample=sum "
            "forecasts the total of each time"
        )


def _goes_on(column: pd.Series, times: pd.DatetimeIndex) -> bool:
    """Whether a column is a finer part of the times: times of day, or hours, months and the like by its name."""
    part = part_of(str(column.name))
    if is_time_of_day(column) or part in ("hour", "minute", "second"):
        return True
    return bool(times.is_month_start.all() if part == "day" else part not in ("", "year") and times.is_year_start.all())


def columns_of_series(table: pd.DataFrame, times: pd.DatetimeIndex, others: Sequence[str]) -> list[str]:
    """The fewest columns whose values each have a time at most once, where times repeat: names of series.

    Empty where there are none.

    Args:
        table: Table as it was read.
        times: Time of each row.
        others: Columns that may hold the names.
    """
    rows, moments = len(times), times.nunique()
    likely = []
    for name in others:
        count = table[name].nunique()
        if pd.api.types.is_numeric_dtype(table[name]):
            is_likely = rows >= REPEATED * moments and count <= rows / 3 and moments * count <= 3 * rows
        else:
            is_likely = count <= rows / 2
        if count > 1 and is_likely:
            likely.append(name)

    def is_key(names: Sequence[str]) -> bool:
        return not pd.MultiIndex.from_arrays([times, *(table[name] for name in names)]).has_duplicates

    for names in _few(likely):
        if is_key(names):
            return names
    if not likely or not is_key(likely):
        return []
    needed = list(likely)
    for name in sorted(likely, key=lambda each: (not pd.api.types.is_float_dtype(table[each]), -likely.index(each))):
        rest = [each for each in needed if each != name]
        if rest and is_key(rest):
            needed = rest
    return needed


def _few(names: Sequence[str]) -> Iterator[list[str]]:
    """Each name, and each pair where there are not too many."""
    yield from ([name] for name in names)
    if len(names) <= MOST_PAIRED:
        yield from (list(pair) for pair in combinations(names, 2))


def ask_for_series(
    table: pd.DataFrame, times: pd.DatetimeIndex, taken: Sequence[str], options: SeriesTableOptions
) -> None:
    """Asks what a column of few repeated words is, where rows may be of several series although no time occurs twice.

    These stand one below the other, or take turns; where rows are to be averaged, any such words are asked about. Words that
    follow from the calendar, such as weekdays, are none.

    Args:
        table: Table as it was read.
        times: Time of each row.
        taken: Columns that have a role.
        options: Where the table is, and its roles.

    Raises:
        UserError: There is such a column.
    """
    if options.targets is not None:
        return
    order = np.argsort(times.asi8, kind="stable")
    for name in table.columns:
        cells = table[name]
        is_number = pd.api.types.is_numeric_dtype(cells)
        if name in taken or (is_number and not _names_series(name, cells)):
            continue
        codes = pd.factorize(cells)[0]
        count = int(codes.max(initial=0)) + 1
        if not 2 <= count <= len(codes) / 3 or _is_of_calendar(codes[order], times[order]):
            continue
        averaged = options.resample is not Resample.refuse and not is_number
        if averaged or is_number or _takes_turns(codes[order], count) or _stands_below(codes, count):
            shown = ", ".join(map(str, pd.unique(cells)[:3])) + (", ..." if count > 3 else "")
            numeric = [
                each
                for each in table.columns
                if each not in (*taken, name) and pd.api.types.is_numeric_dtype(table[each])
            ]
            raise UserError(
                f"{options.path}: column {name} has {count:,} values, {shown}, and may tell several series apart: "
                f"data.series_column={name} forecasts each of them; data.known=[{name}] reads it as a covariate, "
                f"data.targets=[{','.join(map(str, numeric[:5]))}] leaves it out"
            )


def _names_series(name: str, cells: pd.Series) -> bool:
    """Whether the whole numbers of a column are names of series, as its own name says."""
    plain = "".join(sign for sign in str(name).lower() if sign.isalnum())
    values = cells.to_numpy(float)
    return plain in SERIES_NAMES and not np.isnan(values).any() and bool((values % 1 == 0).all())


def _takes_turns(codes: np.ndarray, count: int) -> bool:
    """Whether values come one after the other in the same order, again and again."""
    return bool(
        len(codes) > 2 * count
        and (codes[count:] == codes[:-count]).mean() > 0.9
        and (codes[1:] != codes[:-1]).mean() > 0.9
    )


def _stands_below(codes: np.ndarray, count: int) -> bool:
    """Whether each value has its rows in one piece."""
    return int((codes[1:] != codes[:-1]).sum()) + 1 == count


def _is_of_calendar(codes: np.ndarray, times: pd.DatetimeIndex) -> bool:
    """Whether values follow from weekday, month or hour, and come back."""
    if int((codes[1:] != codes[:-1]).sum()) + 1 == codes.max() + 1:
        return False
    for part in (times.weekday, times.month, times.hour):
        count = len(np.unique(part))
        if count > 1 and len(np.unique(codes * 24 + part.to_numpy())) == count:
            return True
    return False
