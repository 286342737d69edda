"""Texts as times: forms tried in order, each on the whole column."""

import re
import warnings
from typing import Any

import numpy as np
import pandas as pd

from mla_train.errors import UserError
from mla_train.modalities.series.time_numbers import COUNTS, Reading, digits_of, read_numbers, with_zeros
from mla_train.modalities.series.time_words import ZONES, full_year, in_english, with_offsets

ORDERS = {"day_first": "DMY", "month_first": "MDY", "year_first": "YMD"}
"""Orders of day, month and year in dates of three numbers, by the value of `data.time_format`."""
PARTS = {"M": 12, "Q": 4, "H": 2, "S": 2}
"""Parts of a year by their letters; T is a third, or a quarter where there is a fourth."""
PERIODS = (
    r"(?P<year>\d{4})\s*[-/ ]?\s*(?P<letter>[MQHST])\s*-?(?P<part>\d{1,2})",
    r"(?P<letter>[MQHST])\s*(?P<part>\d{1,2})\s*[-/ ,']*(?P<year>\d{4})",
    r"(?P<part>\d)(?P<letter>[QHST])\s*[-/ ']?(?P<year>\d{4}|\d\d)",
)
WEEKS = (
    r"(?P<year>\d{4})\s*[-/ ]?\s*(?:W|KW|CW|WK|WEEK)\s*(?P<week>\d{1,2})(?:-?(?P<day>[1-7]))?",
    r"(?:W|KW|CW|WK|WEEK)\s*(?P<week>\d{1,2})\s*[-/ ,]*(?P<year>\d{4})(?P<day>)",
)
BARE_PARTS = (r"(?P<year>\d{4})[-/. ](?P<part>[1-4])", r"(?P<part>[1-4])[-/. ](?P<year>\d{4})")
DATE = r"(?P<a>\d{1,4})(?P<sign>[-/. ])(?P<b>\d{1,2})(?P=sign)(?P<c>\d{1,4})(?!\d)(?P<rest>.*)"
THREE_NUMBERS = r"(?<!\d)\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}(?!\d)"
BLANKS = r"^(\d{1,4})\s*([-./])\s+(\d{1,2})\s*\2\s*(\d{1,4})"
"""A date with blanks behind its signs, such as 1. 2. 2024."""
MIDNIGHT = r"(\d{4}-\d\d-\d\d)[T ]00:00(?::00(?:\.0+)?)?\s*[+-]\d\d:?\d\d"
RANGES = (
    r"^(?P<start>.*\d[:.]\d\d(?:[:.]\d\d)?)\s*[-\u2013]\s*(?P<end>\d{1,2}[:.]\d\d(?:[:.]\d\d)?)(?P<zone>\s*\([\w/ ]+\))?$",
    r"^(?P<start>\d{1,4}[-./]\d.{4,}?)\s+[-\u2013]\s+(?P<end>\d{1,4}[-./]\d.{4,}?)(?P<zone>\s*\([\w/ ]+\))?$",
)
"""From one time to another: two times of a day, or two whole times."""
CLOCK_WITH_ZONE = (
    r"\d[:.]\d\d(?:[:.]\d\d)?(?:[.,]\d+)?(?:\s*[AaPp]\.?[Mm]\.?)?\s*(?P<zone>(?:GMT|UTC)?[+-]\d{1,2}(?::?\d\d)?|[A-Z]{1,5})"
    r"(?:\[[\w/+-]+\]|\s+\([\w ]+\))?$"
)
UNIVERSAL = "universal time (UTC)"
MOST_OFFSETS = 3
FAR_MORE_EVEN = 3.0
"""Times that one reading's longest step over its shortest is exceeded by another's."""


def read_texts(
    texts: pd.Series, where: str, form: str | None = None, usual: str = "", in_order: bool = True
) -> Reading:
    """Texts as times in universal time; NaT where a text is none.

    Args:
        texts: Texts without blanks around them.
        where: File and column, for messages.
        form: Value of `data.time_format`; None finds the form that all texts agree with.
        usual: Form that is taken where there are several.
        in_order: Whether rows follow each other in time, so that they tell the order of day and month.

    Raises:
        UserError: Texts may be several times.
    """
    if form is not None and "%" in form:
        whole = with_zeros(texts, form)
        is_fraction = whole.str.fullmatch(r"\d+[.,]\d+") & (whole.str.len() != digits_of(form))  # as 1990.1 of October
        if not is_fraction.any():
            return Reading(_parsed(whole, format=form), form, form, "UTC" if "%z" in form.lower() else "")
    if texts.str.fullmatch(r"\d{1,999}([.,]\d{1,999})?").all():  # Python reads no more than 4,300 digits
        return read_numbers(pd.to_numeric(texts.str.replace(",", ".")), where, form, usual)
    if form in COUNTS or form == "decimal_year":
        raise UserError(f"{where}: data.time_format={form} reads numbers, and {texts.iloc[0]!r} is none")
    if form is not None and form not in ORDERS:
        known = ", ".join([*ORDERS, *COUNTS])
        raise UserError(f"data.time_format={form} is unknown: write {known}, or a form such as '%d.%m.%Y %H:%M'")
    texts = texts.str.replace(BLANKS, r"\1\2\3\2\4", regex=True)
    texts, said = _without_ends(texts)
    days = texts.str.extract(f"^{MIDNIGHT}$")[0]
    if days.notna().all():  # in universal time they would be of the day, or the month, before
        texts, said = days, "days and months of local time"
    zones = texts.str.extract(CLOCK_WITH_ZONE)["zone"]
    has_zone = zones.isin(ZONES) | zones.str.contains("[+-]", regex=True).fillna(False).astype(bool)
    if has_zone.any() and not has_zone.all():
        with_one, without = (texts[each].iloc[0] for each in (has_zone, ~has_zone))
        raise UserError(
            f"{where}: some times have a zone and others have none, such as {with_one!r} and {without!r}: write all alike"
        )
    shifts = has_zone.any() and bool(zones.str.contains("[1-9]", regex=True).any() or zones.map(ZONES).fillna(0).any())
    reading = _read_written(texts, where, form, usual, in_order)
    words = [reading.said, said, UNIVERSAL if shifts else ""]
    return reading._replace(said=", ".join(filter(None, words)), zone="UTC" if has_zone.any() else "")


def _without_ends(texts: pd.Series) -> tuple[pd.Series, str]:
    """The starts of texts that all are ranges of time, and a line that says so."""
    for pattern in RANGES:
        if re.match(pattern, texts.iloc[0]):
            fields = texts.str.extract(pattern)
            if (
                fields["start"].notna().all() and fields["end"].nunique() > MOST_OFFSETS
            ):  # else ends are offsets of a zone
                return fields["start"], "the start of each range"
    return texts, ""


def _read_written(texts: pd.Series, where: str, form: str | None, usual: str, in_order: bool) -> Reading:
    """Texts that are no numbers, in none of the forms that the user names by signs."""
    if re.match(r"\d{4}-\d\d-\d\d", texts.iloc[0]) and form is None:  # as most files have it
        times = _parsed(texts, format="ISO8601")
        if times.notna().all():
            return Reading(times, "", "")
    for read in (_periods, _weeks, _bare_parts):
        reading = read(texts, where)
        if reading is not None:
            return reading
    texts = with_offsets(texts, where)
    texts, days = _without_midnight(texts)
    fields = texts.str.extract(f"^{DATE}$")
    if fields["a"].isna().any():
        texts = texts.map(in_english)
        fields = texts.str.extract(f"^{DATE}$")
    if fields["a"].notna().all():
        reading = _three_numbers(texts, fields, where, form, usual, in_order)
    else:
        # Else pandas adds today's year, and takes the month to be before the day.
        dated = texts.str.contains(r"\d{4}|\d[-/ ][A-Za-z]{3,}[-/ ]\d\d(?!\d)", regex=True) & fields["a"].isna()
        reading = Reading(_parsed(texts.where(dated & ~texts.str.contains(THREE_NUMBERS))), "", "")
    return reading._replace(times=reading.times + days) if days is not None else reading


def _parsed(texts: Any, **how: Any) -> pd.DatetimeIndex:
    """Times of one form; where texts have several, NaT for those of another."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of forms that are found text by text
        try:
            times = pd.to_datetime(texts, utc=True, errors="coerce", **how)
        except (ValueError, TypeError, OverflowError, re.error, pd.errors.ParserError):
            return pd.DatetimeIndex([pd.NaT] * len(texts)).tz_localize("UTC").tz_localize(None)
    return pd.DatetimeIndex(times).tz_convert("UTC").tz_localize(None)


def _extracted(texts: pd.Series, patterns: tuple[str, ...]) -> pd.DataFrame | None:
    """The parts of texts that all have one of some forms."""
    for pattern in patterns:
        if re.fullmatch(pattern, texts.iloc[0], re.IGNORECASE):
            fields = texts.str.extract(f"^{pattern}$", flags=re.IGNORECASE)
            return fields if fields["year"].notna().all() else None
    return None


def _periods(texts: pd.Series, where: str) -> Reading | None:
    """Months, quarters and halves of a year: 2014Q3, Q3 2014, 2014M05, 2014-H1."""
    fields = _extracted(texts, PERIODS)
    if fields is None or fields["letter"].str.upper().nunique() > 1:
        return None
    part = fields["part"].astype(int)
    letter = fields["letter"].iloc[0].upper()
    count = PARTS.get(letter) or (4 if part.max() > 3 else 3)
    if letter == "T" and count == 3 and not _is_whole(fields["year"].astype(int).to_numpy(), part.to_numpy(), 3):
        raise UserError(
            f"{where}: {texts.iloc[0]!r} may be a quarter or a third of a year: write 2014Q1, or the first days as 2014-01-01"
        )
    return _part_of_year(fields["year"], part, count, letter == "T")


def _bare_parts(texts: pd.Series, where: str) -> Reading | None:
    """Quarters, thirds or halves without a letter, 2014/1 to 2014/4, where whole years have so many of them; else None."""
    fields = _extracted(texts, BARE_PARTS)
    if fields is None:
        return None
    year, part = fields["year"].astype(int).to_numpy(), fields["part"].astype(int)
    return (
        _part_of_year(fields["year"], part, int(part.max()), True)
        if _is_whole(year, part.to_numpy(), int(part.max()))
        else None
    )


def _is_whole(years: np.ndarray, parts: np.ndarray, count: int) -> bool:
    """Whether the years between the first and the last have all of so many parts, and there are such years."""
    inner = (years > years.min()) & (years < years.max())
    pairs = set(zip(years[inner].tolist(), parts[inner].tolist(), strict=True))
    return count > 1 and len(pairs) > 0 and len(pairs) == count * len(set(years[inner].tolist()))


def _part_of_year(year: pd.Series, part: pd.Series, count: int, is_guess: bool) -> Reading:
    years = year.map(full_year).astype(int)
    months = (years - 1970) * 12 + (part - 1) * (12 // count)
    times = pd.DatetimeIndex(months.to_numpy("int64").astype("datetime64[M]"))
    names = {2: "halves of years", 3: "thirds of years", 4: "quarters", 12: "months"}
    return Reading(times.where((part >= 1) & (part <= count)), "", names[count] if is_guess else "")


def _weeks(texts: pd.Series, where: str) -> Reading | None:
    """Weeks of ISO 8601, such as 2014-W05, and days of the year, such as 2014-035."""
    if re.fullmatch(r"\d{4}-\d{3}", texts.iloc[0]):
        return Reading(_parsed(texts, format="%Y-%j"), "", "")
    fields = _extracted(texts, WEEKS)
    if fields is None:
        return None
    days = fields["year"] + fields["week"].str.zfill(2) + fields["day"].fillna("").replace("", "1")
    return Reading(_parsed(days, format="%G%V%u"), "", "")


def _without_midnight(texts: pd.Series) -> tuple[pd.Series, Any]:
    """Times that have no 24:00, and the days that were taken away, None where there are none."""
    ends = texts.str.contains(r"(?:^|[ T])24[:.]00", regex=True)
    if not ends.any():
        return texts, None
    texts = texts.str.replace(r"(^|[ T])24([:.]00)", r"\g<1>00\2", regex=True)
    return texts, pd.to_timedelta(ends.astype(int).to_numpy(), unit="D")


def _three_numbers(
    texts: pd.Series, fields: pd.DataFrame, where: str, form: str | None, usual: str, in_order: bool
) -> Reading:
    """Dates of three numbers: in the order that all rows allow, or in which they follow each other far more evenly."""
    orders = [form] if form else _possible_orders(fields)
    readings = []
    for order in orders:
        parts = dict(zip(ORDERS[order], (fields[name] for name in "abc"), strict=True))
        year = parts["Y"].map(full_year)
        rest = fields["rest"].str.strip().str.removeprefix("T").str.lstrip(" ,")
        rest = rest.str.replace(r"^(\d{1,2})[.h](\d\d)(?:\.(\d\d))?", _clock, regex=True)
        dates = year + "-" + parts["M"].str.zfill(2) + "-" + parts["D"].str.zfill(2) + " " + rest
        times = _parsed(dates.str.strip())
        readings.append(Reading(times, order, order.replace("_", " ")))
    whole = [each for each in readings if each.times.notna().all()]
    if len(whole) <= 1:
        best = whole or sorted(readings, key=lambda each: int(each.times.isna().sum()))
        return best[0]._replace(said="")
    chosen = next((each for each in whole if each.form == usual), None)
    if chosen is not None:
        return chosen._replace(said="")
    if (fields["sign"] == ".").all() and whole[0].form == "day_first":
        return whole[0]._replace(said="")
    even = _most_even(whole) if in_order else None
    if even is not None:
        return even
    row = int((whole[0].times != whole[1].times).argmax())
    ways = " or ".join(f"{each.times[row].date()} with data.time_format={each.form}" for each in whole)
    raise UserError(f"{where}: {texts.iloc[row]!r} may be several dates, as all rows may: {ways}")


def _possible_orders(fields: pd.DataFrame) -> list[str]:
    first, last = fields["a"].str.len(), fields["c"].str.len()
    if (first > 2).all() and (last <= 2).all():
        return ["year_first"]
    if (last > 2).all():
        return ["day_first", "month_first"]
    return list(ORDERS)


def _clock(match: re.Match[str]) -> str:
    """A time of day with colons."""
    return ":".join(part for part in match.groups() if part)


def _most_even(readings: list[Reading]) -> Reading | None:
    """The reading whose rows go forward, where those of all others go back or are far less even; None where there is none."""
    measures = [unevenness(pd.DatetimeIndex(each.times.unique())) for each in readings]
    order = sorted(range(len(readings)), key=lambda place: measures[place])
    (back, ratio), (other_back, other_ratio) = (measures[place] for place in order[:2])
    clear = back == 0 and (other_back > 0 or other_ratio > FAR_MORE_EVEN * ratio)
    return readings[order[0]] if clear else None


def unevenness(times: pd.DatetimeIndex) -> tuple[int, float]:
    """How often times go back, or forth where most go back, and the longest step over the shortest."""
    steps = np.diff(times.asi8)
    steps = steps if (steps > 0).sum() >= (steps < 0).sum() else -steps
    forward = steps[steps > 0]
    return int((steps < 0).sum()), float(forward.max() / forward.min()) if len(forward) else 1.0
