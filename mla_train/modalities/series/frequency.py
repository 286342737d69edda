"""The distance of rows: found, named as pandas names it, and counted on."""

import numpy as np
import pandas as pd
from pandas.tseries.frequencies import to_offset

from mla_train.errors import UserError

ROUND_DISTANCES = pd.to_timedelta(
    ["1s", "2s", "5s", "10s", "15s", "20s", "30s", "1min", "2min", "5min", "10min", "15min", "20min", "30min", "1h", "2h", "3h",
     "4h", "6h", "8h", "12h", "1D", "7D"]
)  # fmt: skip
MONTHS = {1: "month", 2: "two months", 3: "quarter", 4: "four months", 6: "half year", 12: "year"}
MOST_YEARS = 10


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


def frequency_of(index: pd.DatetimeIndex, path: str | None = None) -> str:
    """The usual distance of rows, as pandas writes it; working days, weeks, months, their multiples and years are known.

    Args:
        index: Times in order.
        path: File of the table, for messages.

    Raises:
        UserError: Rows are months apart, on other days than the first or the last of a month.
    """
    steps = np.diff(index.as_unit("ns").asi8)
    days = int(np.median(steps[steps > 0])) / pd.Timedelta(days=1).value
    if (index == index.normalize()).all():
        for frequency in _on_the_calendar(days, index[0]):
            if frequency == "B" and len(index) <= 10:
                continue
            if index.isin(pd.date_range(index[0], index[-1], freq=frequency)).all():
                return frequency
    usual = usual_distance(index)
    months = round(days / 30.44)
    if months in MONTHS and abs(days - months * 30.44) < 1.5 + months / 4 and (steps % usual.value).any():
        moments = index.year * 12 + index.month
        if moments.is_unique:
            frequency = f"{months}MS" if months not in (1, 3, 12) else {1: "MS", 3: "QS", 12: "YS"}[months]
            raise UserError(
                f"{path or 'the table'}: rows are a {MONTHS[months]} apart, but neither on first days of months nor on last (the "
                f"first is of {index[0].date()}): data.resample=mean data.frequency={frequency} dates them to the first"
            )
    return frequency_name(usual)


def _on_the_calendar(days: float, first: pd.Timestamp) -> list[str]:
    """Frequencies of the calendar that rows so many days apart may have."""
    month, weekday = first.strftime("%b").upper(), first.strftime("%a").upper()
    if days == 1:
        return ["B"]
    if days == 7:
        return [f"W-{weekday}"]
    if 13 <= days <= 18:
        return ["SMS", "SME"]
    years = round(days / 365.25)
    if 1 <= years <= MOST_YEARS and abs(days - years * 365.25) <= 1:
        count = "" if years == 1 else str(years)
        return [f"{count}YS-{month}", f"{count}YE-{month}"]
    months = round(days / 30.44)
    if months not in MONTHS or abs(days - months * 30.44) > 3:
        return []
    if months == 3:
        return [f"QS-{month}", f"QE-{month}"]
    count = "" if months == 1 else str(months)
    return [f"{count}MS", f"{count}ME"]


def is_calendar(frequency: str) -> bool:
    """Whether rows are on certain days of the calendar: working days, weekdays, ends of months and the like."""
    return not isinstance(to_offset(frequency), pd.offsets.Tick | pd.offsets.Day)


def is_uneven(frequency: str) -> bool:
    """Whether the steps of a frequency differ in length: working days, months, quarters, years."""
    return is_calendar(frequency) and not isinstance(to_offset(frequency), pd.offsets.Week)


def are_alike(frequency: str, other: str, start: pd.Timestamp) -> bool:
    """Whether rows from a time on are at the same times by both, as by QS-JAN and QS-APR, or by 7D and W-MON on a Monday."""
    return following_times(start, 8, frequency).equals(following_times(start, 8, other))


def following_times(last: pd.Timestamp, count: int, frequency: str) -> pd.DatetimeIndex:
    """The times of the rows that follow a row, which are `frequency` apart."""
    try:
        times = pd.date_range(last, periods=count + 2, freq=frequency)
    except ValueError as error:  # of a spec that is not ours
        raise UserError(f"{frequency} is no distance of two times: {error}") from error
    return times[times > last][:count]


def steps_between(start: pd.Timestamp, time: pd.Timestamp, frequency: str) -> int:
    """Number of rows from one time to another, where rows are `frequency` apart; negative if the other is earlier."""
    if is_uneven(frequency):
        first, last = sorted((start, time))
        return (len(pd.date_range(first, last, freq=frequency)) - 1) * (1 if time >= start else -1)
    ahead = following_times(start, 2, frequency)
    return round((time.value - start.value) / (ahead[1] - ahead[0]).value)  # centuries are too long for a duration
