"""Numbers as times: dates without signs such as 20240131, decimal years, and counts since a day, such as seconds since 1970."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from mla_train.errors import UserError

YEARS = (1678, 2261)
"""Years that a time of nanoseconds has."""

MIDDAY = pd.Timestamp("2024-12-31 12:00")
"""A time whose parts all have as many digits as they may."""

ROUNDED = 0.15
"""Part of a step by which it may differ, as years with two digits behind the point do."""


class Digits(NamedTuple):
    """A date without signs: its number of digits, how it is written, and the years that are believed."""

    digits: int
    form: str
    first: int
    last: int


DIGITS = (
    Digits(4, "%Y", *YEARS),
    Digits(6, "%Y%m", 1700, 2100),
    Digits(6, "%G%V%u", 1900, 2100),  # a week: its Monday
    Digits(6, "%y%m%d", 1900, 2100),
    Digits(7, "%Y%j", 1700, 2100),
    Digits(8, "%Y%m%d", *YEARS),
    Digits(10, "%Y%m%d%H", 1900, 2100),
    Digits(12, "%Y%m%d%H%M", 1900, 2100),
    Digits(14, "%Y%m%d%H%M%S", 1900, 2100),
)
"""The first that all numbers of a column agree with is taken."""


class Count(NamedTuple):
    """A count of a unit.

    Attributes:
        said: What it is.
        zero: Number of 1970-01-01.
        unit: Unit as pandas writes it.
        first: First year that is believed where the count is not named.
        last: Last year.
        parts: Counts of a unit.
    """

    said: str
    zero: float
    unit: str
    first: int
    last: int
    parts: int = 1


COUNTS = {
    "s": Count("seconds since 1970", 0, "s", 1973, 2050),
    "ms": Count("milliseconds since 1970", 0, "ms", 1973, 2050),
    "us": Count("microseconds since 1970", 0, "us", 1973, 2050),
    "ns": Count("nanoseconds since 1970", 0, "ns", 1973, 2050),
    "min": Count("minutes since 1970", 0, "m", 1990, 2050),
    "h": Count("hours since 1970", 0, "h", 1990, 2050),
    "days": Count("days since 1970", 0, "D", 1997, 2050),
    "excel": Count("days of a spreadsheet", 25_569, "D", 1954, 2119),
    "excel1904": Count("days of a spreadsheet since 1904", 24_107, "D", 3000, 3000),  # never guessed
    "julian": Count("Julian days", 2_440_587.5, "D", 1800, 2100),
    "matlab": Count("days of MATLAB", 719_529, "D", 1900, 2100),
    "filetime": Count("file times of Windows", 116_444_736 * 10**9, "us", 1973, 2050, 10),
    "ticks": Count("ticks of .NET", 621_355_968 * 10**9, "us", 1973, 2050, 10),
}
"""Counts by the value of `data.time_format` that names them."""


class Reading(NamedTuple):
    """Times, and how they were read.

    Attributes:
        times: Time of each row; NaT where a cell is none.
        form: Value of `data.time_format` that reads them so.
        said: What they were read as.
        zone: "UTC" where cells have a zone or count from a moment; empty where they are of the clock of some place.
    """

    times: pd.DatetimeIndex
    form: str
    said: str
    zone: str = ""


def read_numbers(values: pd.Series, where: str, form: str | None = None, usual: str = "") -> Reading:
    """Numbers as times.

    Args:
        values: Numbers without gaps.
        where: File and column, for messages.
        form: Value of `data.time_format`; None finds the reading that all numbers agree with.
        usual: Form that is taken where there are several.

    Raises:
        UserError: There is no such reading, or there are several.
    """
    if form is not None:
        return _named(values, where, form)
    dates = _as_digits(values) or _as_decimal_years(values)
    if dates is not None:
        return dates
    readings = [
        Reading(times, form, count.said)
        for form, count in COUNTS.items()
        if (times := _believed(values, count)) is not None
    ]
    chosen = [each for each in readings if each.form == usual] or readings
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        ways = ", ".join(f"{each.said} from {each.times[0]} on: data.time_format={each.form}" for each in chosen)
        raise UserError(f"{where}: the numbers, such as {values.iloc[0]:.15g}, may be several kinds of times: {ways}")
    raise UserError(
        f"{where}: the numbers are no times, such as {values.iloc[0]:.15g}: write years, days such as 20180131, or seconds "
        f"since 1970; or say what they count with data.time_format={', '.join(COUNTS)}"
    )


def _named(values: pd.Series, where: str, form: str) -> Reading:
    if form in COUNTS:
        times = _counted(values, COUNTS[form])
        if times is not None:
            return Reading(times, form, COUNTS[form].said)
    elif form == "decimal_year":
        reading = _as_decimal_years(values)
        if reading is not None:
            return reading
    elif "%" in form and (values % 1 == 0).all():
        texts = with_zeros(values.astype("int64").astype(str), form)
        return Reading(pd.DatetimeIndex(pd.to_datetime(texts, format=form, errors="coerce")), form, form)
    raise UserError(
        f"{where}: data.time_format={form} does not read numbers such as {values.iloc[0]:.15g}; numbers are read by "
        f"{', '.join(COUNTS)}, decimal_year, or a form such as %Y%m%d"
    )


def ordered_numbers(values: pd.Series, where: str) -> np.ndarray:
    """Numbers that grow with time: those of a column as they are, but for months before years, as 12.2023, which are read.

    Raises:
        UserError: The numbers may be dates whose year comes last, as 31122023 or 311223, or count several units.
    """
    _check_one_unit(values, where)
    months = _as_decimal_years(values)
    if months is not None and months.form == "%m.%Y":
        return months.times.to_numpy()
    if (values % 1 == 0).all() and values.between(1_01_00, 31_12_2100).all():
        for form in ("%d%m%Y", "%m%d%Y", "%d%m%y", "%m%d%y"):
            texts = with_zeros(values.astype("int64").astype(str), form)
            times = pd.DatetimeIndex(pd.to_datetime(texts, format=form, errors="coerce"))
            if times.notna().all() and (times.year >= 1900).all() and (times.year <= 2100).all():
                if form.endswith("y") and (values % 100).nunique() >= (values // 10_000).nunique():
                    continue  # of years there are fewer than days: they are in front, as in 231130, or nowhere
                raise UserError(
                    f"{where}: the numbers, such as {values.iloc[0]:.15g}, may be dates whose year comes last, and would be in another "
                    f"order as numbers: data.time_format={form} reads them so; write other numbers smaller, as counted from the first"
                )
    return values.to_numpy(float)


def _check_one_unit(values: pd.Series, where: str) -> None:
    """Refuses times since 1970 of which some count seconds and others milliseconds, or are 0."""
    units = {}
    rest = values
    for unit in ("s", "ms", "us", "ns"):
        first, last = (pd.Timestamp(f"{year}-01-01").value / pd.Timedelta(1, unit).value for year in (1973, 2050))
        believed = rest.between(first, last)
        if believed.any():
            units[COUNTS[unit].said] = rest[believed].iloc[0]
        rest = rest[~believed]
    if units and len(rest) and (rest == 0).all():
        raise UserError(
            f"{where} {rest.index[0]}: 0 is no time where others are {next(iter(units))}: correct it, or say that it is a missing one "
            "with data.na_values=[0]"
        )
    if len(units) > 1 and not len(rest):
        kinds = " and others ".join(f"{said}, as {value:.15g}" for said, value in units.items())
        raise UserError(f"{where}: some numbers are {kinds}: write all in one unit")


def digits_of(form: str) -> int:
    """Number of signs of a time in a form such as %m%d%Y, where no zero is left out."""
    return next((each.digits for each in DIGITS if each.form == form), len(MIDDAY.strftime(form)))


def with_zeros(texts: pd.Series, form: str) -> pd.Series:
    """Times as a form such as %m%d%Y reads them: whole numbers get the zeros in front that they have lost, weeks a Monday."""
    numbers = texts.str.extract(r"^(\d+)(?:[.,]0+)?$")[0].str.zfill(digits_of(form))
    return (numbers.str.replace(r"^\d{6}$", r"\g<0>1", regex=True) if form == "%G%V%u" else numbers).fillna(texts)


def _as_digits(values: pd.Series) -> Reading | None:
    """Dates without signs; None where a number is none."""
    if (values % 1 != 0).any() or (values < 0).any() or (values > 10**15).any():
        return None
    texts = values.astype("int64").astype(str)
    lengths = texts.str.len()
    if lengths.min() != lengths.max():
        return None
    for digits, form, first, last in DIGITS:
        if digits != lengths.iloc[0]:
            continue
        times = pd.DatetimeIndex(pd.to_datetime(with_zeros(texts, form), format=form, errors="coerce"))
        if times.notna().all() and first <= times.year.min() and times.year.max() <= last:
            return Reading(times, form, "years" if form == "%Y" else form)
    return None


def _as_decimal_years(values: pd.Series) -> Reading | None:
    """Years with a part of one behind the point, or with a month: 1960.25, 1960.12, 12.1960; None where they are none."""
    numbers = values.to_numpy(float)
    part = numbers % 1
    if not part.any():
        return None
    months = np.round(part * 10_000)
    if (
        (numbers < 13).all()
        and (numbers >= 1).all()
        and _is_year(months)
        and np.allclose(part * 10_000, months, atol=1e-4)
    ):
        return Reading(_months(months, numbers // 1), "%m.%Y", "month.year")
    if not _is_year(numbers):
        return None
    months = np.round(part * 100)
    if (months >= 1).all() and (months <= 12).all() and np.allclose(part * 100, months, atol=1e-4):
        return Reading(_months(numbers // 1, months), "%Y.%m", "year.month")
    steps = np.diff(np.unique(numbers))
    if not len(steps):
        return None
    each_year = 1 / np.median(steps)
    count = next((count for count in (1, 2, 4, 12) if abs(each_year / count - 1) < ROUNDED), 1 if each_year < 1 else 0)
    if count:
        turns = np.exp(2j * np.pi * part * count).mean()
        phase = 0.0 if turns.real > 0 else 0.5  # at the beginning of months, or in the middle
        whole = np.round(numbers * count - phase)
        return Reading(_months(whole // count, 1 + whole % count * 12 // count), "decimal_year", "decimal years")
    if each_year > 366 * (1 + ROUNDED):
        return None
    years = pd.DatetimeIndex([f"{year:.0f}-01-01" for year in numbers // 1])
    days = np.round(part * np.where(years.is_leap_year, 366, 365))
    return Reading(years + pd.to_timedelta(days, unit="D"), "decimal_year", "decimal years")


def _is_year(numbers: np.ndarray) -> bool:
    return bool((numbers >= YEARS[0]).all() and (numbers < YEARS[1]).all())


def _months(years: np.ndarray, months: np.ndarray) -> pd.DatetimeIndex:
    """The first days of months."""
    return pd.DatetimeIndex(
        (years.astype("int64") * 12 + months.astype("int64") - 1 - 1970 * 12).astype("datetime64[M]")
    )


def _counted(values: pd.Series, count: Count) -> pd.DatetimeIndex | None:
    """The times of counts; None where they lie outside of all years."""
    counts = values - count.zero if count.zero % 1 else values - int(count.zero)
    nanoseconds = pd.Timedelta(1, count.unit).value / count.parts
    if (counts.abs().astype(float) * nanoseconds >= pd.Timestamp.max.value).any():
        return None
    times = pd.to_datetime(counts // count.parts if count.parts > 1 else counts, unit=count.unit)
    return pd.DatetimeIndex(times).round("s" if count.unit == "D" else "ns")


def _believed(values: pd.Series, count: Count) -> pd.DatetimeIndex | None:
    """The times of counts; None where they lie outside of the years that are believed."""
    times = _counted(values, count)
    return times if times is not None and count.first <= times.year.min() and times.year.max() < count.last else None
