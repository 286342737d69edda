"""Rows of a table at even distances in time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from mla_train.config import Resample, SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.frequency import (
    frequency_name,
    frequency_of,
    is_calendar,
    round_distance,
    usual_distance,
)

MOST_GROWTH = 20
"""Rows that resampling makes of one, at most."""
JITTER = 0.25
"""Part of the distance that rows are off their usual times where they are moved to the nearest."""
MOST_LACKING = 0.05
"""Share of the steps that may have no row and are gaps, where all rows stand at whole steps."""
UNITS = (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1))
MOSTLY = 0.9
"""Share of the rows that are no further off, or of the steps that are sums of about as many values as usual."""
WHOLE = 0.9
"""Part of the usual number of values from which on a sum counts as whole; February has .9 of the days of a month."""


def evenly_spaced(
    frame: pd.DataFrame,
    options: SeriesTableOptions,
    notes: list[str],
    origin: Any = "start_day",
    places: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Rows in order and evenly spaced, as the options say; days of the calendar that are missing are gaps.

    Args:
        frame: Numbers by their times.
        options: How rows are spaced.
        notes: Lines for the user; what was done is added.
        origin: Time from which steps are counted where rows are resampled.
        places: Where each row stands in the file, for messages.

    Raises:
        UserError: Rows are not evenly spaced and not to be resampled, or far too many rows would be made.
    """
    if options.resample is Resample.refuse:
        return _even_rows(frame, options, notes, places)
    frame = frame.sort_index(kind="stable")
    index = pd.DatetimeIndex(frame.index)
    if index[0] == index[-1]:
        raise UserError(f"{options.path}: all rows are of {index[0]}; a series has more times than one")
    frequency = options.frequency or frequency_of(index, options.path)
    try:
        if is_calendar(frequency):
            regular = _by_step(frame.resample(frequency), options, notes)
        else:
            step = _length(frequency)
            _check_growth(index, step, options)
            near = _nearest(index, step, origin)
            if near is not None:
                notes.append(
                    f"times are up to {_furthest(index, near)} off a distance of {frequency}: read as the nearest"
                )
                frame = frame.set_axis(near)
            regular = _by_step(frame.resample(step, origin=origin), options, notes)
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"data.frequency={frequency}: {error}; write 15min, 1h, 1D, B or MS") from error
    gaps = int(regular.isna().all(axis=1).sum())
    if options.resample is Resample.fill:
        regular = regular.ffill()
    notes.append(
        f"{len(frame):,} rows became {len(regular):,} at a distance of {frequency} (data.resample={options.resample.value}); "
        f"{gaps:,} without a row are " + ("filled with the last value" if options.resample is Resample.fill else "gaps")
    )
    return regular


def _nearest(index: pd.DatetimeIndex, step: pd.Timedelta, origin: Any) -> pd.DatetimeIndex | None:
    """The steps next to times that are a bit off these on both sides; None where they are not."""
    if step > 1.5 * usual_distance(index):
        return None
    start = index[0].normalize() if isinstance(origin, str) else origin
    steps = (index - start) / step
    nearest = np.round(steps.to_numpy(float))
    off = steps.to_numpy(float) - nearest
    if (off >= 0).all() or (np.abs(off) <= JITTER).mean() < MOSTLY:
        return None
    return start + pd.to_timedelta(nearest.astype("int64") * step.value, unit="ns")


def _furthest(index: pd.DatetimeIndex, near: pd.DatetimeIndex) -> str:
    """The longest way from times to others, as a duration."""
    return f"{pd.Timedelta(np.abs((index - near).asi8).max()).total_seconds():.3g} s"


def _by_step(steps: Any, options: SeriesTableOptions, notes: list[str]) -> pd.DataFrame:
    """A row for each step of a resampler, as the options say; a step without values is a gap."""
    if options.resample is Resample.last:
        return steps.last()
    regular = steps.mean()
    if options.resample is Resample.sum:
        summed = [name for name in regular.columns if name not in (*options.known, *options.observed)]
        regular[summed] = steps[summed].sum(min_count=1)
        _note_parts(steps[summed].count(), notes)
    return regular


def _note_parts(counts: pd.DataFrame, notes: list[str]) -> None:
    """A note on sums of fewer values than usual, as of an hour that has not ended yet; none where numbers of values vary."""
    counts = counts.where(counts > 0)
    parts = counts < WHOLE * counts.median()
    parts &= parts.mean() <= 1 - MOSTLY
    for name in parts.columns[parts.any()][:1]:
        last = parts.index[parts[name]][-1]
        notes.append(
            f"{parts.any(axis=1).sum():,} steps are sums of fewer values than usual, such as {last}, where {name} has "
            f"{counts.at[last, name]:g} instead of {counts[name].median():g}: remove the rows of a step that has not ended yet"
        )


def _length(frequency: str) -> pd.Timedelta:
    offset = to_offset(frequency)
    return pd.Timedelta(days=offset.n) if isinstance(offset, pd.offsets.Day) else pd.Timedelta(offset)


def _check_growth(index: pd.DatetimeIndex, step: pd.Timedelta, options: SeriesTableOptions) -> None:
    """Refuses a distance at which most rows would be gaps."""
    span = index[-1].value - index[0].value  # in nanoseconds: centuries are too long for a duration
    rows = span // step.value + 1
    if rows > MOST_GROWTH * len(index):
        longer = frequency_name(round_distance(max(1, span // len(index))))
        raise UserError(
            f"{options.path}: {len(index):,} rows would become {rows:,} at a distance of {frequency_name(step)}, most of them gaps; "
            f"choose a longer one, such as data.frequency={longer}"
        )


def in_order(
    frame: pd.DataFrame, path: str | None, notes: list[str], places: Sequence[str] | None
) -> tuple[pd.DataFrame, Sequence[str] | None]:
    """Rows with the oldest first, and where each stands in the file; a UserError where they are in no order."""
    index = pd.DatetimeIndex(frame.index)
    if len(index) > 1 and index.is_monotonic_decreasing and index.is_unique:
        notes.append("the newest row is the first: rows are turned round")
        return frame[::-1], places and places[::-1]
    back = np.flatnonzero(index.asi8[1:] < index.asi8[:-1])
    if len(back):
        row = int(back[0]) + 1
        raise UserError(
            f"{path} {_place(index, places, row)}: times are not in order, {index[row]} comes after {index[row - 1]}, "
            f"{len(back):,} times in all: sort the rows of one series by time, or name the column that tells several apart with "
            "data.series_column="
        )
    return frame, places


def in_words(distance: pd.Timedelta) -> str:
    """A distance in time, such as "an hour" or "2 days"."""
    seconds = distance.total_seconds()
    unit, size = next(((unit, size) for unit, size in UNITS if not seconds % size), ("second", 1))
    count = f"{seconds / size:g}"
    return f"{'an' if unit == 'hour' else 'a'} {unit}" if count == "1" else f"{count} {unit}s"


def _place(index: pd.DatetimeIndex, places: Sequence[str] | None, row: int) -> str:
    return places[row] if places else f"at {index[row]}"


def _even_rows(
    frame: pd.DataFrame, options: SeriesTableOptions, notes: list[str], places: Sequence[str] | None
) -> pd.DataFrame:
    path = options.path
    frame, places = in_order(frame, path, notes, places)
    index = pd.DatetimeIndex(frame.index)
    before, after = index.asi8[:-1], index.asi8[1:]

    def place(row: int) -> str:
        return _place(index, places, row)

    same = np.flatnonzero(after == before)
    if len(same):
        row = int(same[0]) + 1
        raise UserError(
            f"{path} {place(row)}: duplicate time {index[row]}, as in {place(row - 1)}. data.resample=mean, sum or last makes one of "
            "both rows"
        )
    if not len(after):
        raise UserError(f"{path} has one row; a series has more")
    frequency = frequency_of(index, path)
    if is_calendar(frequency):
        regular = frame.reindex(pd.date_range(index[0], index[-1], freq=frequency))
        gaps = len(regular) - len(frame)
        if gaps:
            notes.append(f"rows are {frequency} apart; {gaps:,} of {len(regular):,} are not there and are gaps")
        return regular
    usual = usual_distance(index)
    odd = np.flatnonzero(np.diff(index) != usual.to_timedelta64())
    if len(odd):
        row = int(odd[0]) + 1
        first = f"{index[row]} after {index[row - 1]}"
        steps = (int(index.asi8[-1]) - int(index.asi8[0])) // usual.value + 1  # centuries overflow
        if not ((after - before) % usual.value).any() and steps - len(index) <= MOST_LACKING * steps:
            notes.append(
                f"rows are {in_words(usual)} apart; {steps - len(index):,} of {steps:,} are not there and are gaps, the first "
                f"before {index[row]}"
            )
            return frame.reindex(pd.date_range(index[0], index[-1], freq=usual))
        raise UserError(
            f"{path} {place(row)}: rows are usually {in_words(usual)} apart, but {len(odd):,} {'are' if len(odd) > 1 else 'is'} not; "
            f"the first is {first}. Choose data.resample=mean, sum, last (gaps stay gaps) or fill, at a distance of "
            f"data.frequency={frequency}"
        )
    return frame
