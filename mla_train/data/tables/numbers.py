"""Columns of numbers as people write them: decimal and thousands signs, units, marks for what is missing."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mla_train.config import TableOptions
from mla_train.data.tables.cells import NUMBER_WORDS, is_missing
from mla_train.data.tables.units import MULTIPLES, factors_of, numbers_and_units
from mla_train.errors import UserError

NUMBER = re.compile(r"[-+]?(\d{1,3}([.,'\s]\d{2,3})*[.,'\s]\d{3}([.,]\d*)?|\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
NEGATIVE = re.compile(r"\(([\d.,'\s]+)\)|(\d[\d.,'\s]*)-")
GROUPED = {sign: re.compile(rf"[-+]?[1-9]\d{{0,2}}{re.escape(sign)}\d{{3}}") for sign in ",."}
"""Numbers whose only sign may part thousands."""
MARKS = {",": "comma", ".": "point"}
FRACTIONS = "%‰"
LONGEST = 1_000
"""Characters of a number; Python reads no more than 4,300 digits."""
NARROWER, MUCH_NARROWER = 10, 100
"""How much narrower the range of a column must be for a point to part thousands, and to be the decimal sign."""
SENTINELS = [
    sign * mark
    for sign in (-1.0, 1.0)
    for mark in (99, 999, 9999, 99999, 999999, 1e20, 99.9, 999.9, 9999.9, 99.99, 999.99, 32767, 32768)
]
"""Numbers that often mean a missing value."""


class NumberFormat(NamedTuple):
    """Signs of the numbers of a column, and their unit; an empty one does not occur."""

    decimal: str = "."
    thousands: str = ""
    unit: str = ""

    def plain(self, text: str) -> str | None:
        """A number as Python writes it; None where these signs do not fit."""
        body = re.sub(r"[\s']", "", text)
        other = self.other
        if self.thousands not in ("", other):
            body = body.replace(self.thousands, "")
        if other not in body:
            return body.replace(self.decimal, ".")
        if self.is_parted(body):
            return body.replace(other, "").replace(self.decimal, ".") if self.thousands == other else None
        is_clear = body.count(other) == 1 and self.decimal not in body  # 1.5 among 2,5
        return body.replace(other, ".") if is_clear else None

    @property
    def other(self) -> str:
        """Comma or point, whichever is not the decimal sign."""
        return "." if self.decimal == "," else ","

    def is_parted(self, text: str) -> bool:
        """Whether the other sign parts thousands in a number, where it has that sign."""
        other, whole = re.escape(self.other), text.partition(self.decimal)[0]
        return (
            self.other not in text
            or re.fullmatch(rf"[-+]?\d{{1,3}}({other}\d{{2,3}})*{other}\d{{3}}", whole) is not None
        )

    def words(self, texts: Iterable[str]) -> str:
        """The signs that some numbers have, where they are not the usual ones."""
        whole = "".join(texts)
        said = (
            [f"thousands {MARKS.get(self.thousands, self.thousands)}"]
            if self.thousands and self.thousands in whole
            else []
        )
        said += [f"decimal {MARKS.get(self.decimal, self.decimal)}"] if self.decimal != "." else []
        return " and ".join(said)

    def among(self, texts: Iterable[str]) -> "NumberFormat":
        """This format, in which the sign that it lacks parts thousands where it can be nothing else, as in 1.234,5."""
        is_clear = any(
            self.is_parted(text) and (self.decimal in text or text.count(self.other) > 1)
            for text in texts
            if self.other in text
        )
        return self._replace(thousands=self.other) if is_clear and not self.thousands else self


class Numbers(NamedTuple):
    """A column of numbers, NaN where one is missing, and how they are written; None where that does not show."""

    values: pd.Series
    format: NumberFormat | None = None


def as_numbers(
    name: str,
    cells: Sequence[Any],
    options: TableOptions,
    notes: list[str],
    places: Sequence[str] | None = None,
) -> pd.Series | None:
    """The values of `read_numbers`; None where most cells are no numbers."""
    numbers = read_numbers(name, cells, options, notes, places)
    return None if numbers is None else numbers.values


def read_numbers(
    name: str,
    cells: Sequence[Any],
    options: TableOptions,
    notes: list[str],
    places: Sequence[str] | None = None,
    known: NumberFormat | None = None,
) -> Numbers | None:
    """A column of numbers, with NaN where one is missing; None where most cells are no numbers.

    Args:
        name: Name of the column and of its file, for messages.
        cells: Cells of the column.
        options: Signs and words that the user names.
        notes: Lines for the user; signs other than the decimal point are added, units, and numbers that may mean a missing
            value.
        places: Place of each cell in its file; None counts rows.
        known: How the numbers of the training data are written; None finds it.

    Raises:
        UserError: A cell is no number, though most are; a sign may be the decimal or the thousands sign; or numbers are
            not as those of the training data.
    """
    kinds = set(map(type, cells))
    if any(issubclass(kind, str | bytes) for kind in kinds):
        try:
            numbers = _from_texts(name, cells, options, notes, places, known)
        except OverflowError as error:  # of a whole number of JSON
            raise UserError(f"{name} holds a number of more digits than can be read: {error}; correct it") from error
    else:
        plain = list(cells)
        if (
            options.na_values or not kinds <= {float, int} or all(cell != cell for cell in cells)
        ):  # else none is missing but NaN
            plain = [None if _is_missing(c, options) else float(c) if isinstance(c, Decimal) else c for c in cells]
        values = pd.Series(plain)
        if not pd.api.types.is_numeric_dtype(values.convert_dtypes()):
            return None
        numbers = Numbers(values, _plain_format(values))
    if numbers is not None:
        _check_unit(name, numbers, known, notes)
        _note_sentinels(name, numbers.values, notes)
    return numbers


def _plain_format(values: pd.Series) -> NumberFormat | None:
    """That of numbers with a decimal point and without a unit; None where they are whole, which do not show it."""
    return NumberFormat() if (values.dropna().astype(float) % 1 != 0).any() else None


def _check_unit(name: str, numbers: Numbers, known: NumberFormat | None, notes: list[str]) -> None:
    """Says that numbers lack the unit of the training data; a UserError for percents, which may be parts of 1, too."""
    unit = known.unit if known is not None else ""
    if not unit or (numbers.format is not None and numbers.format.unit) or not numbers.values.notna().any():
        return
    if unit in FRACTIONS:
        raise UserError(
            f"{name} has numbers without a unit, and in the training data they are in {unit}: write it as there, as in 33.1{unit}"
        )
    notes.append(f"{name} has numbers without a unit, which are read in {unit}, as in the training data")


def _with_usual_signs(text: str) -> str:
    """A text with a minus in front where it is written as accounts have it, (1.50) or 1.50-, and with plain signs."""
    text = text.replace("\N{MINUS SIGN}", "-").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    negative = NEGATIVE.fullmatch(text)
    return f"-{negative[1] or negative[2]}" if negative else text


def _from_texts(
    name: str,
    cells: Sequence[Any],
    options: TableOptions,
    notes: list[str],
    places: Sequence[str] | None,
    known: NumberFormat | None,
) -> Numbers | None:
    is_plain = known in (None, NumberFormat())
    if is_plain and not (options.decimal or options.thousands or options.na_values):  # as most files are
        values = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce")
        if all(_is_missing(cells[int(place)], options) for place in np.flatnonzero(values.isna())):
            if not values.notna().any():
                return None
            if known is not None or not _may_be_thousands(cells):
                return Numbers(values, _plain_format(values))
    texts = [_with_usual_signs(cell.strip()) if isinstance(cell, str) else cell for cell in cells]
    missing = {text: _is_missing(text, options) for text in set(filter(_is_text, texts))}
    counts = Counter(text for text in texts if isinstance(text, str) and not missing[text])
    bare, units = numbers_and_units(counts)
    written = {text: number for text, number in bare.items() if len(number) <= LONGEST and NUMBER.fullmatch(number)}
    if 2 * sum(counts[text] for text in written) <= counts.total():
        return None
    without = {text for text in written if not units[text]}
    without |= {str(cell) for cell in texts if isinstance(cell, int | float) and not _is_missing(cell, options)}
    named = {units[text] for text in written} - {"", *MULTIPLES}
    if known is not None and named - {known.unit}:
        raise UserError(
            f"{name} is in {', '.join(sorted(named))}, and in the training data {known.unit and 'in '}{known.unit or 'without a unit'}: "
            "convert it, and write it as there"
        )
    factors = factors_of(name, {units[text] for text in written}, without, notes)
    if factors is None:
        return None
    numbers = list(written.values())
    style = _format_of(name, numbers, options, known, notes)
    words = style.words(written.values())
    plain_of: dict[str, Any] = {}
    for text in counts:
        plain = style.plain(written[text]) if text in written else None
        if plain is None:
            row = texts.index(text)
            where = places[row] if places is not None else f"row {row + 1}"
            if text in written and known is not None:
                sign = MARKS.get(known.decimal, known.decimal)
                raise UserError(
                    f"{name}: {text!r:.80} in {where} is no number with a decimal {sign}, which the training data has: write it so"
                )
            signs = f" with {words}" if text in written and words else ""
            raise UserError(
                f"{name}: {text!r:.80} in {where} is no number{signs}"
                + (
                    f"; where it means a missing value: data.na_values=['{text}']"
                    if len(text) <= LONGEST
                    else " of so many signs"
                )
                + ("; else name the signs with data.decimal= and data.thousands=" if text in written else "")
            )
        factor = factors[units[text]]
        plain_of[text] = plain if factor == 1 else float(plain) * factor
    if words and known is None:
        notes.append(f"{name} is read with {words} (data.decimal=, data.thousands=)")
    cleaned = [plain_of.get(t) if isinstance(t, str) else None if _is_missing(t, options) else t for t in texts]
    try:
        values = pd.to_numeric(pd.Series(cleaned, dtype=object))
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: {error}; name the signs with data.decimal= and data.thousands=") from error
    is_signed = named or any("," in text or "." in text for text in numbers)
    return Numbers(values, style._replace(unit="".join(named)) if is_signed else None)


def _format_of(
    name: str, texts: Sequence[str], options: TableOptions, known: NumberFormat | None, notes: list[str]
) -> NumberFormat:
    """That of the training data where it is known, unless numbers show that they are written otherwise."""
    if known is None:
        return number_format(name, texts, options)
    style = known.among(texts)
    if all(style.plain(text) is not None for text in texts):
        return style
    with suppress(UserError):
        own = number_format(name, texts, options)
        if any(own.decimal in text and not GROUPED[own.decimal].fullmatch(text) for text in texts):
            if own.decimal != known.decimal:
                signs = (MARKS.get(each.decimal, each.decimal) for each in (own, known))
                notes.append(
                    "{} is read with a decimal {}, where the training data has a decimal {}".format(name, *signs)
                )
            return own._replace(unit=known.unit)
    return style


def _is_text(cell: Any) -> bool:
    return isinstance(cell, str)


def _is_missing(cell: Any, options: TableOptions) -> bool:
    return is_missing(cell, options.na_values, NUMBER_WORDS)


def _may_be_thousands(cells: Sequence[Any]) -> bool:
    """Whether every number with a point has three digits behind it, and others have no point: 987 and 1.001."""
    has_point = has_none = False
    for cell in cells:
        if not isinstance(cell, str):
            continue
        if "." in cell:
            if GROUPED["."].fullmatch(cell.strip()):
                has_point = True
            elif cell.strip() != ".":
                return False
        else:
            has_none = has_none or cell.strip().isdigit()
    return has_point and has_none


def number_format(name: str, texts: Sequence[str], options: TableOptions) -> NumberFormat:
    """How the numbers of a column are written.

    A sign with three digits behind it everywhere may be either sign. A comma parts thousands if numbers without it are all
    below 1,000. A point does if the range of the column is much narrower so; it is the decimal sign where no number is
    without it.

    Args:
        name: Name of the column and of its file, for messages.
        texts: Different numbers of the column.
        options: Signs that the user names.

    Raises:
        UserError: A sign may be the decimal or the thousands sign.
    """
    if options.decimal is not None or options.thousands is not None:
        decimal = options.decimal or ("," if options.thousands == "." else ".")
        named = NumberFormat(decimal, options.thousands or ("." if decimal == "," else ","))
        signed = [text for text in texts if "," in text or "." in text]
        if 2 * sum(map(named.is_parted, signed)) >= len(signed):
            return named if signed else NumberFormat()
    both = next((text for text in texts if "," in text and "." in text), None)
    if both is not None:
        signs = sorted(",.", key=both.rindex)
        return NumberFormat(decimal=signs[1], thousands=signs[0])
    for sign, other in ((",", "."), (".", ",")):
        if any(text.count(sign) > 1 for text in texts):
            return NumberFormat(decimal=other, thousands=sign)
    used = {sign: [text for text in texts if sign in text] for sign in ",."}
    grouped = {sign: all(GROUPED[sign].fullmatch(text) for text in used[sign]) for sign in ",."}
    if used[","] and used["."]:
        if grouped[","] and grouped["."]:
            raise _ask(name, used[","][0])
        return NumberFormat(".", ",") if grouped[","] else NumberFormat(",", "." if grouped["."] else "")
    sign = "," if used[","] else "."
    if not used[sign] or not grouped[sign]:
        return NumberFormat(decimal=sign)
    bare = [text for text in texts if re.fullmatch(r"[-+]?\d+", text)]
    return _grouped_by(name, sign, used[sign], bare)


def _grouped_by(name: str, sign: str, texts: Sequence[str], bare: Sequence[str]) -> NumberFormat:
    """The meaning of a sign that has three digits behind it everywhere, beside whole numbers without it."""
    as_decimal, as_thousands = NumberFormat(decimal=sign), NumberFormat("." if sign == "," else ",", sign)
    if sign == ".":
        if not bare or any(len(text.lstrip("+-")) > 3 for text in bare):
            return as_decimal
        ranges = []
        for style in (as_decimal, as_thousands):
            sizes = [abs(float(style.plain(text) or 0)) for text in [*texts, *bare]]
            ranges.append(max(sizes) / min(size for size in sizes if size))
        if NARROWER * ranges[1] <= ranges[0]:
            return as_thousands
        if MUCH_NARROWER * ranges[0] <= ranges[1]:
            return as_decimal
        raise _ask(name, texts[0])
    if not bare:
        raise _ask(name, texts[0])
    return as_thousands if all(len(text.lstrip("+-")) <= 3 for text in bare) else as_decimal


def _ask(name: str, text: str) -> UserError:
    sign = "," if "," in text else "."
    return UserError(
        f"{name}: {text} may be a decimal or a number in thousands: say which with data.decimal='{sign}' or "
        f"data.thousands='{sign}'"
    )


def _note_sentinels(name: str, values: pd.Series, notes: list[str]) -> None:
    """A note on a number that occurs often, far from all others."""
    known = values.isin(SENTINELS)
    if not known.any() or known.all():
        return
    rest = values[~known].dropna().astype(float)
    if rest.empty:
        return
    low, high = rest.min(), rest.max()
    margin = 2 * (high - low) or abs(high) or 1
    counts = values[known & ~values.astype(float).between(low - margin, high + margin)].value_counts()
    shown = [f"{value:g} {count:,} times" for value, count in counts.items() if count > 1]
    if shown:
        mark = f"{counts.index[0]:g}"
        notes.append(
            f"{name} holds {' and '.join(shown)}, far from its other numbers: where that means a missing value, "
            f"data.na_values=[{mark}]"
        )
