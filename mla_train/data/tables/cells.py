"""What a cell means: nothing, a text, a label, a number."""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mla_train.config import TableOptions
from mla_train.errors import UserError

MISSING_WORDS = {"nan", "null", "none", "n/a", "#n/a", "<na>", "nat"}
"""Labels and numbers that are missing, in any case; a text may consist of such a word."""
MISSING_NUMBERS = {"na", "-", "--", "?", "#value!", "#div/0!", "."}
"""Numbers that are missing; a label may be such a word."""
NUMBER = re.compile(r"[-+]?(\d{1,3}([.,'\s]\d{2,3})*[.,'\s]\d{3}([.,]\d*)?|\d+([.,]\d*)?|[.,]\d+)([eE][-+]?\d+)?")
FIRST_CELLS = 10_000
"""Cells by which the signs of the numbers of a column are found."""


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: none, NaN, or a text of blanks."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or cell is pd.NaT or (isinstance(cell, str) and not cell.strip())


def is_missing(cell: Any, words: Sequence[str] = ()) -> bool:
    """Whether a label or a number is missing: empty, or a word for it.

    Args:
        cell: Cell of a table.
        words: Further words that mean a missing value.
    """
    if is_empty(cell):
        return True
    return isinstance(cell, str) and (cell.strip().lower() in MISSING_WORDS or cell.strip() in words)


def as_text(cell: Any) -> str:
    """A cell as a text: bytes are decoded; halves of characters, as in cut tweets, become U+FFFD.

    Raises:
        TypeError: The cell is a list, an object or an array.
    """
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "replace")
    if isinstance(cell, list | tuple | dict | np.ndarray):
        raise TypeError(f"a text is needed, not {type(cell).__name__}")
    return str(cell).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class NumberFormat(NamedTuple):
    """Signs of the numbers of a column; an empty one does not occur."""

    decimal: str = "."
    thousands: str = ""


def number_format(name: str, cells: Sequence[Any], options: TableOptions) -> NumberFormat | None:
    """How the numbers of a column are written; None where most cells are no numbers.

    A comma with three digits behind it can be either sign: it parts thousands if cells without it are all below 1,000.

    Args:
        name: Name of the column and of its file, for messages.
        cells: Cells of the column.
        options: Signs that the user names.

    Raises:
        UserError: A sign may be the decimal or the thousands sign.
    """
    texts = [cell.strip() for cell in cells[:FIRST_CELLS] if isinstance(cell, str) and not is_missing(cell)]
    texts = [text for text in texts if text.lower() not in MISSING_NUMBERS]
    written = [text for text in texts if NUMBER.fullmatch(text)]
    if 2 * len(written) <= len(texts):
        return None
    if options.decimal is not None or options.thousands is not None:
        decimal = options.decimal or ("," if options.thousands == "." else ".")
        return NumberFormat(decimal, options.thousands or "")
    both = next((text for text in written if "," in text and "." in text), None)
    if both is not None:
        signs = sorted(",.", key=both.rindex)
        return NumberFormat(decimal=signs[1], thousands=signs[0])
    for sign, other in ((",", "."), (".", ",")):
        if any(text.count(sign) > 1 for text in written):
            return NumberFormat(decimal=other, thousands=sign)
    with_comma = [text for text in written if "," in text]
    if not with_comma:
        return NumberFormat()
    grouped = all(re.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}", text) for text in with_comma)
    if not grouped:
        return NumberFormat(decimal=",")
    plain = [text for text in written if re.fullmatch(r"[-+]?\d+", text)]
    if not plain:
        raise UserError(
            f"{name}: {with_comma[0]} may be a decimal or a number in thousands: say which with data.decimal=',' or "
            "data.thousands=','"
        )
    return (
        NumberFormat(thousands=",") if all(len(text.lstrip("+-")) <= 3 for text in plain) else NumberFormat(decimal=",")
    )


def as_numbers(name: str, cells: Sequence[Any], options: TableOptions, notes: list[str]) -> pd.Series | None:
    """A column of numbers, with NaN where one is missing; None where most cells are no numbers.

    Args:
        name: Name of the column and of its file, for messages.
        cells: Cells of the column.
        options: Signs and words that the user names.
        notes: Lines for the user; signs other than the decimal point are added.

    Raises:
        UserError: A cell is no number, though most are.
    """
    if not any(isinstance(cell, str | bytes) for cell in cells):
        values = pd.Series([None if _is_no_number(cell, options) else cell for cell in cells])
        return values if pd.api.types.is_numeric_dtype(values.convert_dtypes()) else None
    if not (options.decimal or options.thousands or options.na_values):  # as most files are
        values = pd.to_numeric(pd.Series(cells, dtype=object), errors="coerce")
        if all(_is_no_number(cells[int(place)], options) for place in np.flatnonzero(values.isna())):
            return values if values.notna().any() else None
    style = number_format(name, cells, options)
    if style is None:
        return None
    cleaned: list[Any] = []
    for place, cell in enumerate(cells, 1):
        text = cell.strip() if isinstance(cell, str) else cell
        if _is_no_number(text, options):
            cleaned.append(None)
        elif not isinstance(text, str):
            cleaned.append(text)
        elif not NUMBER.fullmatch(text):
            raise UserError(
                f"{name}: {text!r} in row {place} is no number; where it means a missing value: data.na_values=['{text}']"
            )
        else:
            plain = re.sub(r"[\s']", "", text.replace(style.thousands, "") if style.thousands else text)
            cleaned.append(plain.replace(style.decimal, ".") if style.decimal != "." else plain)
    if style != NumberFormat():
        marks = {",": "comma", ".": "point"}
        said = [f"thousands {marks.get(style.thousands, style.thousands)}"] if style.thousands else []
        said += [f"decimal {marks.get(style.decimal, style.decimal)}"] if style.decimal != "." else []
        notes.append(f"{name} is read with {' and '.join(said)} (data.decimal=, data.thousands=)")
    try:
        return pd.to_numeric(pd.Series(cleaned, dtype=object))
    except (ValueError, TypeError) as error:
        raise UserError(f"{name}: {error}; name the signs with data.decimal= and data.thousands=") from error


def _is_no_number(cell: Any, options: TableOptions) -> bool:
    """Whether the number of a cell is missing; the mark -200 is also written -200.0."""
    if is_missing(cell, options.na_values) or (isinstance(cell, str) and cell.strip().lower() in MISSING_NUMBERS):
        return True
    return bool(options.na_values) and re.sub(r"[.,]0+$", "", str(cell).strip()) in options.na_values


ROW_NUMBER = re.compile(
    r"""(unnamed:?[ _.]?\d+([._]\d+)*|level_\d+|_c\d+|__index_level_\d+__|index|idx|id|row|nr|no|\#|row_?names?|row_?id|s_?no
    |(row|record|line|obs|observation|entry|sample|reading|event|log|case|seq|sequence|serial|index|measurement)
    [ _.-]?(id|idx|index|no|nr|num|number|\#)|seq|sequence|lfd[ _.]?nr)?[.]?""",
    re.IGNORECASE | re.VERBOSE,
)


def is_row_number(name: str, values: np.ndarray) -> bool:
    """Whether a column `(rows,)` has a usual name of row numbers or identifiers, and whole numbers of which none occurs twice."""
    if not ROW_NUMBER.fullmatch(name.strip()) or len(values) < 2 or np.isnan(values).any():
        return False
    return len(np.unique(values)) == len(values) and bool((values % 1 == 0).all())
