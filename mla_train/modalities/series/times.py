"""Times of all the ways to write them, and what follows from them: distance of rows, calendar, place in a cycle."""

import warnings

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from mla_train.data.tables.cells import is_empty
from mla_train.errors import UserError

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds")


def frequency_of(index: pd.DatetimeIndex) -> str:
    """The distance that most rows have, as pandas writes it; working days, months, quarters and years are known."""
    index = index.as_unit("ns")
    steps = np.diff(index.asi8)
    usual = pd.Timedelta(int(pd.Series(steps[steps > 0]).mode().iloc[0]))
    month = index[0].strftime("%b").upper()
    for longest, frequencies in (
        (pd.Timedelta(days=1), ("B",) if len(index) > 10 and usual == pd.Timedelta(days=1) else ()),
        (pd.Timedelta(days=31), ("MS", "ME") if usual >= pd.Timedelta(days=28) else ()),
        (pd.Timedelta(days=92), (f"QS-{month}", f"QE-{month}") if usual >= pd.Timedelta(days=90) else ()),
        (pd.Timedelta(days=366), (f"YS-{month}", f"YE-{month}") if usual >= pd.Timedelta(days=365) else ()),
    ):
        for frequency in frequencies if usual <= longest else ():
            offset = to_offset(frequency)
            if (index == index.normalize()).all() and all(offset.is_on_offset(time) for time in index):
                return frequency
    return to_offset(usual).freqstr


def is_uneven(frequency: str) -> bool:
    """Whether the steps of a frequency differ in length: working days, months, quarters, years."""
    return frequency[0] in "BMQY"


def calendar(times: pd.DatetimeIndex, yearly: bool) -> np.ndarray:
    """Sine and cosine of the time of day, the day of the week and, if asked for, the day of the year, `(rows, 4 or 6)`.

    Args:
        times: Time of each row.
        yearly: Whether the day of the year is included, as where training rows span two years.
    """
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    turns = [day, (times.weekday + day) / 7]
    if yearly:
        turns.append((times.day_of_year - 1 + day) / 365.25)
    angles = np.stack(turns, 1) * 2 * np.pi
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def following_times(last: pd.Timestamp, count: int, frequency: str) -> pd.DatetimeIndex:
    """The times of the rows that follow a row, which are `frequency` apart."""
    times = pd.date_range(last, periods=count + 2, freq=frequency)
    return times[times > last][:count]


def steps_between(start: pd.Timestamp, time: pd.Timestamp, frequency: str) -> int:
    """Number of rows from one time to another, where rows are `frequency` apart; negative if the other is earlier."""
    if is_uneven(frequency):
        first, last = sorted((start, time))
        return (len(pd.date_range(first, last, freq=frequency)) - 1) * (1 if time >= start else -1)
    ahead = following_times(start, 2, frequency)
    return round((time - start) / (ahead[1] - ahead[0]))


def time_column_of(table: pd.DataFrame, path: str | None) -> str:
    """The column of usual name, or the first whose cells can be read as times; a UserError where there is none."""
    named = [name for name in table.columns if str(name).lower() in TIME_NAMES]
    for name in [*named, *table.columns]:
        column = table[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            return name
        if name in named and column.notna().all():
            return name
        if not pd.api.types.is_numeric_dtype(column):
            try:
                pd.to_datetime(column.iloc[:100], format="mixed", utc=True)
            except (ValueError, TypeError):
                continue
            return name
    raise UserError(
        f"{path} has no column of times; there are {', '.join(map(str, table.columns))}. Name it: data.time_column="
    )


def times_of(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Times of the usual ways to write them, one way for all rows, in universal time where they have a zone.

    Whole numbers are years, days as 20180131, or seconds and their parts since 1970. Where day and month could be
    either, the order is taken that lets rows follow each other more evenly. A cell that is no time is a UserError.
    """
    missing = column.map(is_empty).astype(bool)
    if missing.any():
        raise UserError(
            f"{path}: there is no time in row {int(np.flatnonzero(missing)[0]) + 1} of column {column.name}"
        )
    if pd.api.types.is_numeric_dtype(column):
        return _from_numbers(column, path)
    found = []
    for how in ({}, {"dayfirst": True}, {"format": "ISO8601"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of dayfirst where years come first
                found.append(pd.DatetimeIndex(pd.to_datetime(column, utc=True, **how)))
        except (ValueError, TypeError):
            continue
    if not found:
        each = pd.to_datetime(column, format="mixed", errors="coerce", utc=True)
        if each.notna().all():
            raise UserError(f"{path}: the times of column {column.name} are written in several ways; write all alike")
        row = int(np.flatnonzero(each.isna())[0])
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no time")
    return min(found, key=_unevenness).tz_convert("UTC").tz_localize(None).as_unit("ns")


def _unevenness(times: pd.DatetimeIndex) -> tuple[int, float]:
    """How often times go back, and the longest step over the shortest."""
    steps = np.diff(times.asi8)
    forward = steps[steps > 0]
    return int((steps < 0).sum()), float(forward.max() / forward.min()) if len(forward) else 1.0


def _from_numbers(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Years, days as 20180131, or seconds, milli-, micro- or nanoseconds since 1970."""
    least, most = column.min(), column.max()
    try:
        for form, first, last in (("%Y", 1678, 2261), ("%Y%m%d", 16780101, 22611231)):
            if first <= least and most <= last:
                return pd.DatetimeIndex(pd.to_datetime(column.astype(int).astype(str), format=form)).as_unit("ns")
        unit = next((unit for unit, top in (("s", 1e10), ("ms", 1e13), ("us", 1e16)) if most < top), "ns")
        times = pd.DatetimeIndex(pd.to_datetime(column, unit=unit)).as_unit("ns")
    except ValueError as error:
        raise UserError(f"{path}: the numbers of column {column.name} are no times: {error}") from error
    if times[-1] < pd.Timestamp("1971"):
        raise UserError(
            f"{path}: the numbers of column {column.name} are no times; write years, days such as 20180131, or seconds "
            "since 1970"
        )
    return times


def numbers(column: pd.Series, path: str | None) -> np.ndarray:
    """The cells of a column; an empty one is NaN, one that is no number a UserError."""
    found = pd.to_numeric(column, errors="coerce")
    odd = np.flatnonzero(found.isna() & column.notna())
    wrong = [int(row) for row in odd if str(column.iloc[row]).strip()]
    if wrong:
        row = wrong[0]
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no number")
    return np.where(np.isinf(found), np.nan, found).astype(float)
