"""A column of times, of all the usual ways to write them."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from mla_train.data.tables.cells import is_missing
from mla_train.errors import UserError
from mla_train.modalities.series.time_numbers import COUNTS, Reading, ordered_numbers, read_numbers
from mla_train.modalities.series.time_texts import UNIVERSAL, read_texts

MOMENTS = ("s", "ms", "us", "ns", "min", "h", "filetime", "ticks")
"""Counts from a moment that is the same everywhere."""
LONGEST = 100  # characters of a time
WAYS_OUT = "correct it, write 2024-01-31 12:00, or name the form, as in data.time_format='%d.%m.%Y %H:%M'"


def times_of(
    column: pd.Series, path: str | None, form: str | None = None, usual: str = "", in_order: bool = True
) -> Reading:
    """Times of the usual ways to write them, one way for all rows, in universal time where they have a zone.

    Args:
        column: Cells; its index tells where they stand in the file.
        path: File of the table, for messages.
        form: Value of `data.time_format`; None finds the one way that all cells agree with.
        usual: Form that is taken where cells may be several times.
        in_order: Whether rows follow each other in time, so that they tell the order of day and month.

    Raises:
        UserError: A cell is no time, or all may be several times.
    """
    where = f"{path} column {column.name}" if path else str(column.name)
    missing = column.map(is_missing).astype(bool).to_numpy()
    if missing.any():
        raise UserError(
            f"{place_of(column, int(missing.argmax()), path)}: there is no time in column {column.name}: write it, or remove the row"
        )
    reading = None
    if form is None and (usual in COUNTS or usual == "decimal_year" or "%" in usual):  # as in training
        with suppress(UserError):
            reading = _read(column, path, where, usual, "", in_order)
    reading = reading or _read(column, path, where, form, usual, in_order)
    outside = (
        (reading.times < pd.Timestamp.min.ceil("s")) | (reading.times > pd.Timestamp.max.floor("s"))
    ) | reading.times.isna()
    if outside.any():
        row = int(np.argmax(outside))
        raise UserError(
            f"{place_of(column, row, path)}: column {column.name} holds {str(column.iloc[row])!r}; years are 1678 to 2261: {WAYS_OUT}"
        )
    zone = "UTC" if reading.form in MOMENTS else reading.zone
    return reading._replace(times=reading.times.as_unit("ns"), zone=zone)


def _read(column: pd.Series, path: str | None, where: str, form: str | None, usual: str, in_order: bool) -> Reading:
    if pd.api.types.is_datetime64_any_dtype(column):
        times = pd.DatetimeIndex(column)
        is_zoned = times.tz is not None and not _are_days(times)
        return Reading(_universal(times), "", UNIVERSAL if is_zoned else "", "UTC" if is_zoned else "")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return read_numbers(column, where, form, usual)
    texts = column.map(lambda cell: (cell.decode("utf-8", "replace") if isinstance(cell, bytes) else str(cell)).strip())
    long = texts.str.len().to_numpy() > LONGEST  # on which the guessing of a form may spend minutes
    if long.any():
        row = int(long.argmax())
        raise UserError(
            f"{place_of(texts, row, path)}: {texts.iloc[row][:20]!r}... in column {column.name} is no time: it has "
            f"{len(texts.iloc[row]):,} characters"
        )
    if "年" in texts.iloc[0]:
        texts = texts.str.replace("[年月]", "-", regex=True).str.replace("日", " ").str.strip().str.removesuffix("-")
    reading = read_texts(texts, where, form, usual, in_order)
    _refuse_others(texts, reading.times, where, path, form)
    return reading


def order_of_times(
    cells: pd.Series, path: str | None, form: str | None = None, usual: str = "", in_order: bool = True
) -> tuple[np.ndarray, str]:
    """Times, `(rows,)`, or numbers in their order where cells are numbers.

    Args:
        cells: Numbers, or times of any usual way to write them; the index tells where they stand in the file.
        path: See `times_of`, as the others.
        form: Value of `data.time_format`.
        usual: Form that is taken where cells may be several times.
        in_order: Whether rows follow each other in time.

    Returns:
        Times or numbers, and how times were read, as `data.time_format` names it; empty where there is one way alone.

    Raises:
        UserError: A cell is no time, or all may be several times.
    """
    numbers = plain_numbers(cells, path)
    if form is None and np.isfinite(numbers).all():
        return ordered_numbers(numbers, f"{path} column {cells.name}" if path else str(cells.name)), ""
    reading = times_of(cells.infer_objects(), path, form, usual, in_order)
    return reading.times.to_numpy(), reading.form


def seconds_of(times: np.ndarray) -> np.ndarray:
    """Times in seconds since 1970; numbers as they are."""
    return times.astype("datetime64[ns]").astype("int64") / 1e9 if times.dtype.kind == "M" else times


def plain_numbers(cells: pd.Series, path: str | None) -> pd.Series:
    """Cells as numbers, NaN where one is none, as a date; a UserError where one has more digits than can be read."""
    try:
        return pd.to_numeric(cells.astype(object), errors="coerce").astype(float)
    except OverflowError as error:
        raise UserError(
            f"{path or ''} column {cells.name} holds a number of too many digits: correct it".strip()
        ) from error


def place_of(rows: pd.Series | pd.DataFrame, row: int, path: str | None = "") -> str:
    """Where a row stands in its file, such as line 17, behind the name of the file."""
    label = rows.index[row]
    return f"{path or ''} {label if isinstance(label, str) else f'row {row + 1}'}".strip()


def reading_note(column: pd.Series, reading: Reading) -> str:
    """A line that says how times were read where that was guessed; else empty."""
    if not reading.said:
        return ""
    option = f" (data.time_format={reading.form})" if reading.form and reading.said != reading.form else ""
    kind = "numbers" if pd.api.types.is_numeric_dtype(column) else "cells"
    return f"{kind} of column {column.name} are read as times, the first {reading.times[0]}: {reading.said}{option}"


def _universal(times: pd.DatetimeIndex) -> pd.DatetimeIndex:
    """Times without a zone: those of universal time, but for days, which would be of the day before."""
    if times.tz is None:
        return times
    return (times if _are_days(times) else times.tz_convert("UTC")).tz_localize(None)


def _are_days(times: pd.DatetimeIndex) -> bool:
    return bool(times.notna().all() and (times == times.normalize()).all())


def _refuse_others(texts: pd.Series, times: pd.DatetimeIndex, where: str, path: str | None, form: str | None) -> None:
    """Refuses a column some of whose texts are no times of the form of the others."""
    odd = np.flatnonzero(times.isna())
    if not len(odd):
        return
    if len(odd) == len(texts):  # one may have spoilt the reading of all
        first = _first_odd(texts, where)
        odd = np.array([first]) if first and form is None else odd
    alone = [_is_alone(texts.iloc[[row]], where) for row in odd[:20].tolist()]
    row = int(odd[0])
    if form is None and len(odd) < len(texts) and all(alone):
        other = texts[times.notna()].iloc[0] if times.notna().any() else texts.iloc[0]
        raise UserError(
            f"{where}: times are written in several ways, such as {other!r} and {texts.iloc[row]!r} in "
            f"{place_of(texts, row)}: write all alike"
        )
    row = int(odd[alone.index(False)]) if False in alone else row
    raise UserError(
        f"{place_of(texts, row, path)}: {texts.iloc[row]!r:.80} in column {texts.name} is no time: {WAYS_OUT}"
    )


def _first_odd(texts: pd.Series, where: str) -> int:
    """The row with which the rows before it can no longer be read; 0 where not even the first can."""
    good, bad = 0, len(texts)
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if _is_alone(texts.iloc[:middle], where) else (good, middle)
    return good


def _is_alone(text: pd.Series, where: str) -> bool:
    """Whether a text is a time by itself, or texts are times."""
    try:
        return bool(read_texts(text, where, usual="day_first").times.notna().all())
    except UserError:
        return False


def are_times(cells: Sequence[object] | pd.Series) -> bool:
    """Whether texts can be read as times, in whatever way."""
    try:
        times_of(pd.Series(cells, name="times").reset_index(drop=True), None, usual="day_first")
    except UserError:
        return False
    return True
