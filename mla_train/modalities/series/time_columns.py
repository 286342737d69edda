"""Which columns hold the times, and times whose parts stand in several columns."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.tables.cells import is_missing
from mla_train.errors import UserError
from mla_train.modalities.series.time_numbers import Reading
from mla_train.modalities.series.time_words import ENGLISH, in_english
from mla_train.modalities.series.times import are_times, place_of, times_of

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds")
PARTS = {
    "year": "year yr yyyy jahr annee année ano año anno jaar rok",
    "quarter": "quarter qtr q quartal trimestre kwartaal",
    "month": "month mon mo mm mth monat mois mes mese maand",
    "week": "week wk kw cw woche semaine semana settimana isoweek weeknumber weekofyear",
    "dayofyear": "dayofyear doy yday jday julianday",
    "day": "day dy dd dom dayofmonth mday tag jour dia día giorno dag",
    "hour": "hour hr hh h hours stunde heure hora ora uur he hourending hourofday",
    "minute": "minute min mi minutes mins",
    "second": "second sec ss seconds secs",
}
"""Parts of a time, and how columns of them are called."""
RANGES = {
    "year": (1678, 2261), "quarter": (1, 4), "month": (1, 12), "week": (1, 53), "dayofyear": (1, 366), "day": (1, 31),
    "hour": (0, 24), "minute": (0, 59), "second": (0, 60),
}  # fmt: skip
PERIODS = (48, 96, 144, 288)
"""Numbers of periods in a day that are counted."""
SECONDS = {"hour": 3600, "minute": 60, "second": 1}
CLOCK = re.compile(
    r"(?:0 days?,? )?(?P<h>[01]?\d|2[0-4])[:.h](?P<m>[0-5]\d)?(?:[:.](?P<s>[0-5]\d(?:[.,]\d+)?))?\s*(?P<half>[ap])?\.?m?\.?",
    re.IGNORECASE,
)
CLOCK_HALF = re.compile(r"(?P<h>1[0-2]|0?\d)\s*(?P<half>[ap])\.?m\.?", re.IGNORECASE)


def part_of(name: str) -> str:
    """The part of a time that a column is called after, such as hour; empty where it is none."""
    plain = re.sub(r"[\W_]", "", str(name).lower())
    return next((part for part, names in PARTS.items() if plain in names.split()), "")


def time_column_of(table: pd.DataFrame, path: str | None) -> str:
    """The column of usual name, or the first whose cells can be read as times; a UserError where there is none."""
    named = [name for name in table.columns if str(name).lower() in TIME_NAMES]
    counts = []
    for name in [*named, *table.columns]:
        column = table[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            return name
        if pd.api.types.is_numeric_dtype(column):
            if name in named and column.notna().all():
                if are_times(column):
                    return name
                counts.append(name)
            continue
        known = column[~column.map(is_missing)]
        if not is_time_of_day(known) and (
            (name in named and len(known)) or (len(known) and are_times(known.iloc[:100]))
        ):
            return name
    if counts:
        return counts[0]
    parts = {part: name for name in table.columns if (part := part_of(name))}
    if "month" in parts:
        parts = {part: name for part, name in parts.items() if part not in ("quarter", "week", "dayofyear")}
    ordered = [parts[part] for part in PARTS if part in parts]
    example = f"[{','.join(ordered)}]" if "year" in parts and len(ordered) > 1 else parts.get("year", "")
    hint = (
        f"data.time_column={example}"
        if example
        else "data.time_column=; a list joins several: data.time_column=[Date,Time]"
    )
    raise UserError(f"{path} has no column of times; there are {', '.join(map(str, table.columns))}. Name it: {hint}")


def joined_times(
    table: pd.DataFrame, names: Sequence[str], path: str | None, form: str | None = None, usual: str = ""
) -> Reading:
    """Times whose parts stand in several columns: a date and a time of day, or year and quarter, month, week, day, hour.

    Args:
        table: Columns of texts.
        names: Columns of the parts.
        path: File of the table, for messages.
        form: Value of `data.time_format`, for the date.
        usual: Form of the date that is taken where there are several.

    Raises:
        UserError: A cell is no part of a time.
    """
    texts = {name: table[name].map(lambda cell: "" if is_missing(cell) else str(cell).strip()) for name in names}
    for name, column in texts.items():
        if (column == "").any():
            row = int(np.argmax(column == ""))
            raise UserError(
                f"{place_of(column, row, path)}: there is no time in column {name}: write it, or remove the row"
            )
    parts = {part_of(name): name for name in names}
    if "year" in parts and "" not in parts and len(parts) == len(names):
        return Reading(_from_parts({part: texts[name] for part, name in parts.items()}, path), "", "")
    of_day = [name for name, column in texts.items() if is_time_of_day(column)]
    if len(of_day) > 1:
        raise UserError(
            f"columns {' and '.join(of_day)} each hold a time of day: name the one that counts in data.time_column="
        )
    dates = [name for name in names if not is_time_of_day(texts[name]) and part_of(name) not in SECONDS]
    date = dates[0] if dates else names[0]
    reading = times_of(texts[date].str.removesuffix(" 00:00:00"), path, form, usual)
    times, said = reading.times, [reading.said] if reading.said else []
    for name in names:
        if name == date:
            continue
        periods = _periods_of_day(texts[name])
        if periods:
            seconds = (texts[name].astype(float) - 1) * 86400 / periods
            times = times + pd.to_timedelta(seconds.to_numpy(), unit="s")
            said.append(f"{name} counts the {periods} periods of a day")
        else:
            times = times + _time_of_day(texts[name], part_of(name), path)
    return reading._replace(times=times, said=", ".join(said))


def _periods_of_day(column: pd.Series) -> int | None:
    """How many equal parts a day has where cells count them from 1, as markets of electricity do; a day of 25 hours has more."""
    numbers = pd.to_numeric(column, errors="coerce")
    most = numbers.max()
    if numbers.isna().any() or (numbers % 1 != 0).any() or numbers.min() != 1 or numbers.nunique() != most:
        return None
    return next((count for count in PERIODS if count <= most <= count + count // 24), None)


def _from_parts(columns: dict[str, pd.Series], path: str | None) -> pd.DatetimeIndex:
    """Times of year, quarter, month, week, day, hour, minute and second, each a column of texts."""
    values = {part: _numbers_of_part(column, part, path) for part, column in columns.items()}
    year = values["year"]
    if "week" in values:
        texts = [f"{y}{w:02d}1" for y, w in zip(year, values["week"], strict=True)]
        times = pd.to_datetime(pd.Series(texts), format="%G%V%u", errors="coerce")
    else:
        first = np.ones_like(year)
        month = values.get("month", (values["quarter"] - 1) * 3 + 1 if "quarter" in values else first)
        days = {"year": year, "month": month, "day": values.get("day", first)}
        times = pd.to_datetime(pd.DataFrame(days), errors="coerce")
        if "dayofyear" in values:
            times = times + pd.to_timedelta(values["dayofyear"] - 1, unit="D")
            times = times.where(times.dt.year == year)
    times = pd.DatetimeIndex(times).as_unit("ns")
    if times.isna().any():
        column, row = columns["year"], int(np.flatnonzero(times.isna())[0])
        shown = ", ".join(f"{cells.name} {cells.iloc[row]}" for cells in columns.values())
        raise UserError(f"{place_of(column, row, path)}: {shown} are no time: correct or remove the row")
    for part in SECONDS.keys() & values.keys():
        times = times + pd.to_timedelta(values[part] * SECONDS[part], unit="s")
    return times


def _numbers_of_part(column: pd.Series, part: str, path: str | None) -> np.ndarray:
    """Whole numbers of a part of time; months may be names, quarters and weeks have letters."""
    texts = column.str.removesuffix(".0")
    if part == "month":
        names = {english: number for number, english in enumerate(dict.fromkeys(ENGLISH.values()), 1)}
        texts = texts.map(lambda text: str(names.get(in_english(text), text)))
    if part in ("quarter", "week"):
        texts = (
            texts.str.removeprefix("Q").str.removeprefix("T").str.removeprefix("K").str.removeprefix("W").str.strip()
        )
    numbers = pd.to_numeric(texts, errors="coerce")
    least, most = RANGES[part]
    wrong = ~((numbers >= least) & (numbers <= most) & (numbers % 1 == 0)).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise UserError(
            f"{place_of(column, row, path)}: {column.iloc[row]!r} in column {column.name} is no {part}; it is from {least} to {most}"
        )
    return numbers.to_numpy("int64")


def is_time_of_day(column: pd.Series) -> bool:
    """Whether all cells are times of day, such as 18:00 or 18.00.00, and no dates such as 18.05.24."""
    if not len(column) or pd.api.types.is_numeric_dtype(column) or pd.api.types.is_datetime64_any_dtype(column):
        return False
    texts = [str(cell).strip() for cell in column.iloc[:1000]]
    if not all(CLOCK.fullmatch(text) or CLOCK_HALF.fullmatch(text) for text in texts):
        return False
    return ":" in texts[0] or not all(text.count(".") == 2 for text in texts) or not are_times(texts)


def _time_of_day(column: pd.Series, part: str, path: str | None) -> Any:
    """Times since midnight: 18:00, 6 pm, hours 0 to 24, 1800, 180000, or parts of a day as spreadsheets have them."""
    numbers = pd.to_numeric(column, errors="coerce")
    if numbers.notna().all() and not column.str.fullmatch(r"\d{1,2}\.[0-5]\d").all():  # as 18.30
        most = numbers.max()
        if numbers.min() >= 0 and most < 1 and (numbers % 1).any():
            return pd.to_timedelta((numbers * 86400).round().to_numpy(), unit="s")
        whole = numbers.to_numpy("int64")
        if part in ("minute", "second"):
            return pd.to_timedelta(_numbers_of_part(column, part, path) * SECONDS[part], unit="s")
        if most <= 24 and part != "time":
            return pd.to_timedelta(_numbers_of_part(column, "hour", path) * 3600, unit="s")
        seconds = whole if most > 2400 else whole * 100  # 180000, or 1800
        clock = np.stack([seconds // 10_000, seconds // 100 % 100, seconds % 100])
        wrong = (clock[0] > 24) | (clock[1] > 59) | (clock[2] > 59) | (whole < 0) | (numbers % 1 != 0).to_numpy()
        if not wrong.any():
            return pd.to_timedelta(clock[0] * 3600 + clock[1] * 60 + clock[2], unit="s")
        row = int(wrong.argmax())
    else:
        matches = [CLOCK.fullmatch(text) or CLOCK_HALF.fullmatch(text) for text in column]
        if all(matches):
            return pd.to_timedelta([_seconds(each.groupdict()) for each in matches if each], unit="s")
        row = matches.index(None)
    raise UserError(
        f"{place_of(column, row, path)}: {column.iloc[row]!r} in column {column.name} is no time of day: write 18:00, 6 pm, 18 or 1800"
    )


def _seconds(clock: dict[str, str | None]) -> float:
    hour = int(clock["h"] or 0)
    if clock["half"]:
        hour = hour % 12 + (12 if clock["half"].lower() == "p" else 0)
    second = float((clock.get("s") or "0").replace(",", "."))
    return hour * 3600 + int(clock.get("m") or 0) * 60 + second
