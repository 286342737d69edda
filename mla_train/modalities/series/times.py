"""Times of all the ways to write them, and what follows from them: distance of rows, calendar, place in a cycle."""

import re
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from mla_train.data.tables.cells import is_empty
from mla_train.errors import UserError

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds")
ROUND_DISTANCES = pd.to_timedelta(
    ["1s", "2s", "5s", "10s", "15s", "20s", "30s", "1min", "2min", "5min", "10min", "15min", "20min", "30min", "1h", "2h", "3h",
     "4h", "6h", "8h", "12h", "1D", "7D"]
)  # fmt: skip
WEEK = re.compile(r"\d{4}-?W\d{2}(-?[1-7])?")
SPREADSHEET_DAYS = (20_000, 80_000)
"""Days since 1899-12-30, from 1954 to 2119."""
TIME_OF_DAY = re.compile(r"([01]?\d|2[0-4])[:.][0-5]\d([:.][0-5]\d([.,]\d+)?)?")
PARTS_OF_TIME = ("year", "month", "day", "hour", "minute", "second")


def usual_distance(index: pd.DatetimeIndex) -> pd.Timedelta:
    """The median distance of rows; a round one where most rows are a bit off, as where a sensor sends its own times."""
    steps = np.sort(np.diff(index.as_unit("ns").asi8))
    steps = steps[steps > 0]
    usual = steps[(len(steps) - 1) // 2]
    return pd.Timedelta(int(usual)) if 2 * (steps == usual).sum() >= len(steps) else round_distance(int(usual))


def round_distance(distance: int) -> pd.Timedelta:
    """The nearest distance that clocks have, or else the nearest whole number of a unit.

    Args:
        distance: Distance in nanoseconds.
    """
    nearest = min(ROUND_DISTANCES, key=lambda each: abs(np.log(each.value / distance)))
    if abs(nearest.value / distance - 1) < 0.1:
        return nearest
    units = [pd.Timedelta(1, unit) for unit in ("h", "min", "s", "ms", "us", "ns")]
    return pd.Timedelta(distance).round(next(unit for unit in units if distance >= 2 * unit.value or unit.value == 1))


def frequency_name(distance: pd.Timedelta) -> str:
    """A distance as pandas writes it, such as 15min or 7D."""
    return to_offset(distance).freqstr if distance % pd.Timedelta(days=1) else f"{distance.days}D"


def frequency_of(index: pd.DatetimeIndex) -> str:
    """The usual distance of rows, as pandas writes it; working days, weeks, months, quarters and years are known.

    Raises:
        UserError: Rows are a month, a quarter or a year apart on other days than its first or last.
    """
    usual = usual_distance(index)
    if usual % pd.Timedelta(days=1):
        return frequency_name(usual)
    month, weekday = index[0].strftime("%b").upper(), index[0].strftime("%a").upper()
    known: list[tuple[int, int, tuple[str, ...]]] = [
        (1, 1, ("B",) if len(index) > 10 else ()),
        (7, 7, (f"W-{weekday}",)),
        (28, 31, ("MS", "ME")),
        (90, 92, (f"QS-{month}", f"QE-{month}")),
        (365, 366, (f"YS-{month}", f"YE-{month}")),
    ]
    for shortest, longest, frequencies in known:
        if not pd.Timedelta(days=shortest) <= usual <= pd.Timedelta(days=longest):
            continue
        for frequency in frequencies:
            offset = to_offset(frequency)
            if (index == index.normalize()).all() and all(offset.is_on_offset(time) for time in index):
                return frequency
        steps = np.diff(index.as_unit("ns").asi8)
        period = frequencies[0][0] if shortest > 7 else ""
        if period and (steps % usual.value).any() and index.to_period(period).is_unique:
            name = {"M": "month", "Q": "quarter", "Y": "year"}[period]
            raise UserError(
                f"rows are a {name} apart, but neither on its first days nor on its last (the first is of "
                f"{index[0].date()}): data.resample=mean data.frequency={period}S dates them to the first"
            )
    return frequency_name(usual)


def is_calendar(frequency: str) -> bool:
    """Whether rows are on certain days of the calendar: working days, weekdays, ends of months and the like."""
    return not isinstance(to_offset(frequency), pd.offsets.Tick | pd.offsets.Day)


def is_uneven(frequency: str) -> bool:
    """Whether the steps of a frequency differ in length: working days, months, quarters, years."""
    return is_calendar(frequency) and not isinstance(to_offset(frequency), pd.offsets.Week)


def are_alike(frequency: str, other: str, start: pd.Timestamp) -> bool:
    """Whether rows from a time on are at the same times by both, as by QS-JAN and QS-APR, or by 7D and W-MON on a Monday."""
    return following_times(start, 8, frequency).equals(following_times(start, 8, other))


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
        f"{path} has no column of times; there are {', '.join(map(str, table.columns))}. Name it: data.time_column=; "
        "a list joins several: data.time_column=[Date,Time]"
    )


def joined_times(table: pd.DataFrame, names: Sequence[str], path: str | None) -> pd.DatetimeIndex:
    """Times whose parts stand in several columns: a date and a time of day, or year, month, day, hour.

    Args:
        table: Columns of texts.
        names: Columns of the parts, the date first.
        path: File of the table, for messages.

    Raises:
        UserError: A cell is no part of a time.
    """
    texts = [table[name].map(lambda cell: "" if is_empty(cell) else str(cell).strip()) for name in names]
    for name, column in zip(names, texts, strict=True):
        if (column == "").any():
            raise UserError(f"{path}: there is no time in row {int(np.argmax(column == '')) + 1} of column {name}")
    if {"year", "month", "day"} <= {name.lower() for name in names} <= set(PARTS_OF_TIME):
        parts = {
            name.lower(): pd.to_numeric(column, errors="coerce") for name, column in zip(names, texts, strict=True)
        }
        times = pd.to_datetime(pd.DataFrame(parts), errors="coerce")
        if times.isna().any():
            row = int(np.flatnonzero(times.isna())[0])
            raise UserError(f"{path}: {', '.join(names)} in row {row + 1} are no time")
        return pd.DatetimeIndex(times).as_unit("ns")
    date, *rest = texts
    joined = date.str.removesuffix(" 00:00:00")
    for column in rest:
        joined = joined + " " + column.map(_time_of_day)
    return times_of(joined.rename(" and ".join(names)), path)


def _time_of_day(text: str) -> str:
    """18.00.00 as 18:00:00, and an hour alone as a time; other texts as they are."""
    if text.isdecimal() and len(text) <= 2:
        return f"{text}:00"
    return re.sub(r"[.](?=\d\d([.]|$))", ":", text, count=2) if TIME_OF_DAY.fullmatch(text) else text


def is_time_of_day(column: pd.Series) -> bool:
    """Whether all cells are times of day, such as 18:00 or 18.00.00."""
    return not pd.api.types.is_numeric_dtype(column) and all(
        TIME_OF_DAY.fullmatch(str(cell).strip()) for cell in column.iloc[:1000]
    )


def times_of(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Times of the usual ways to write them, one way for all rows, in universal time where they have a zone.

    Numbers are years, days as 20180131, days of a spreadsheet, or seconds and their parts since 1970; weeks are those of
    ISO 8601, such as 2014-W05. Where day and month could be either, the order is taken that lets rows follow each other more evenly. A cell that is no time is a UserError.
    """
    missing = column.map(is_empty).astype(bool)
    if missing.any():
        raise UserError(
            f"{path}: there is no time in row {int(np.flatnonzero(missing)[0]) + 1} of column {column.name}"
        )
    if pd.api.types.is_numeric_dtype(column):
        return _from_numbers(column, path)
    if column.map(lambda cell: isinstance(cell, str) and WEEK.fullmatch(cell.strip()) is not None).all():
        days = column.str.strip().str.replace("-", "").map(lambda week: week if len(week) > 7 else f"{week}1")
        column = pd.to_datetime(days, format="%GW%V%u", errors="coerce").where(lambda times: times.notna(), column)
    readings = []
    for how in ({}, {"dayfirst": True}, {"format": "ISO8601"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of dayfirst where years come first
                readings.append(pd.DatetimeIndex(pd.to_datetime(column, utc=True, **how)))
        except (ValueError, TypeError):
            continue
    if not readings:
        each = pd.to_datetime(column.map(str), format="mixed", errors="coerce", utc=True)
        if each.notna().all():
            raise UserError(f"{path}: the times of column {column.name} are written in several ways; write all alike")
        row = int(np.flatnonzero(each.isna())[0])
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no time")
    times = min(readings, key=_unevenness).tz_convert("UTC").tz_localize(None)
    outside = (times < pd.Timestamp.min.ceil("s")) | (times > pd.Timestamp.max.floor("s"))
    if outside.any():
        row = int(np.argmax(outside))
        raise UserError(f"{path}: {column.iloc[row]} in row {row + 1} of column {column.name}: years are 1678 to 2261")
    return times.as_unit("ns")


def _unevenness(times: pd.DatetimeIndex) -> tuple[int, float]:
    """How often times go back, and the longest step over the shortest."""
    steps = np.diff(times.asi8)
    forward = steps[steps > 0]
    return int((steps < 0).sum()), float(forward.max() / forward.min()) if len(forward) else 1.0


def _from_numbers(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Years, days as 20180131 or as spreadsheets count them, or seconds, milli-, micro- or nanoseconds since 1970."""
    least, most = column.min(), column.max()
    try:
        for form, first, last in (("%Y", 1678, 2261), ("%Y%m%d", 16780101, 22611231)):
            if first <= least and most <= last:
                return pd.DatetimeIndex(pd.to_datetime(column.astype(int).astype(str), format=form)).as_unit("ns")
        if SPREADSHEET_DAYS[0] <= least and most <= SPREADSHEET_DAYS[1]:
            return pd.DatetimeIndex(pd.to_datetime(column, unit="D", origin="1899-12-30")).round("s").as_unit("ns")
        unit = next((unit for unit, top in (("s", 1e10), ("ms", 1e13), ("us", 1e16)) if most < top), "ns")
        times = pd.DatetimeIndex(pd.to_datetime(column, unit=unit)).as_unit("ns")
    except (ValueError, TypeError) as error:
        raise UserError(f"{path}: the numbers of column {column.name} are no times: {error}") from error
    if times[-1] < pd.Timestamp("1971"):
        raise UserError(
            f"{path}: the numbers of column {column.name} are no times; write years, days such as 20180131, or seconds "
            "since 1970"
        )
    return times


def numbers(column: pd.Series, path: str | None) -> np.ndarray:
    """The cells of a column; an empty one is NaN, one that is no number a UserError."""
    values = pd.to_numeric(column, errors="coerce")
    odd = np.flatnonzero(values.isna() & column.notna())
    wrong = [int(row) for row in odd if str(column.iloc[row]).strip()]
    if wrong:
        row = wrong[0]
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no number")
    return np.where(np.isinf(values), np.nan, values).astype(float)
