"""What a cell means: nothing, a text, a label; and whether a column counts rows."""

import ast
import json
import math
import re
import unicodedata
from collections.abc import Collection, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

TEXT_WORDS = frozenset({
    "\\n", "#n/a", "#n/d", "#nv", "#null!", "#value!", "#wert!", "#valeur!", "#div/0!", "#ref!", "#bezug!", "#num!", "#zahl!",
    "#nombre!", "#name?", "#nom?", "#error!", "#spill!", "#calc!",
})  # fmt: skip
r"""What databases (\N) and spreadsheets write where there is no value, in any case."""
EMPTY_WORDS = frozenset({"nan", "null", "none", "n/a", "<na>", "nat"})
"""Words for nothing, of which a text may consist."""
LABEL_WORDS = TEXT_WORDS | EMPTY_WORDS
"""Labels that are missing."""
NUMBER_WORDS = LABEL_WORDS | {"na", "-", "--", "?", "."}
"""Numbers that are missing; a label may be such a word."""
UNSEEN = "\0\u00ad\u200b\u200e\u200f\u2060\ufeff"
"""Signs that nobody sees; those that join letters or emojis are not among them."""
INVISIBLE = re.compile(f"[{UNSEEN}]")
JOINERS = "\u200c\u200d"
LONG = 200
"""Characters of a label above which its form is not remembered: a server would keep the long ones of all requests."""
LONGEST_WRITTEN = 100_000
"""Characters of what is read as written in Python, which takes 200 times its size in memory; JSON may be longer."""
POWER = re.compile(r"[-+]?\d\.\d+e[-+]\d{2,3}")
"""A number as C and numpy write it with a power of ten."""
INTEGER = re.compile(r"([-+]?(?:0|[1-9]\d*))\.0+")
"""A whole number that is written with zeros behind the point."""
WRITTEN_TEXT = re.compile(r"""('(?:[^'\\]|\\.)*(?:'|\\?\Z)|"(?:[^"\\]|\\.)*(?:"|\\?\Z))(\s*(?=b?['"]))?""", re.DOTALL)
"""A text in quotes, and the blanks before the next, with which numpy parts the texts of a list and Python joins them."""
ENCLOSED = re.compile(r"\[(?![^\[]*\].).*\]|\{(?![^{]*\}.).*\}", re.DOTALL)
"""A text that stands in brackets as a whole, unlike [a]|[b]."""


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: none, NaN, or a text of blanks and signs that nobody sees."""
    if isinstance(cell, str | bytes):
        text = cell.strip()
        return not text or (isinstance(text, str) and text[0] in UNSEEN and not INVISIBLE.sub("", text).strip())
    if isinstance(cell, float | np.floating):
        return math.isnan(cell)
    if isinstance(cell, Decimal):
        return cell.is_nan()
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return bool(np.isnat(cell))
    return cell is None or cell is pd.NaT or cell is pd.NA


def is_missing(cell: Any, na_values: Sequence[str] = (), words: Collection[str] = LABEL_WORDS) -> bool:
    """Whether a text, a label or a number is missing: empty, or a word for it.

    Args:
        cell: Cell of a table.
        na_values: What the user says to mean a missing value; -200 is also written -200.0, and Unknown as unknown.
        words: The usual words for it, which depend on what the cell is.
    """
    if is_empty(cell) or (bool(words) and isinstance(cell, str) and cell.strip().lower() in words):
        return True
    return bool(na_values) and _is_marked(cell, *_marks(tuple(map(str, na_values))))


@lru_cache
def _marks(na_values: tuple[str, ...]) -> tuple[frozenset[str], frozenset[float]]:
    """Words and numbers that mean a missing value."""
    numbers = [number for number in map(_as_number, na_values) if number is not None]
    return frozenset(each.strip().casefold() for each in na_values), frozenset(numbers)


def _is_marked(cell: Any, words: Collection[str], numbers: Collection[float]) -> bool:
    if isinstance(cell, str | bytes):
        text = as_text(cell).strip().casefold()
        return text in words or (bool(numbers) and _as_number(text) in numbers)
    return isinstance(cell, int | float | Decimal | np.number) and not isinstance(cell, bool) and cell in numbers


def _as_number(text: str) -> float | None:
    """The number of a text, with point or comma; three digits behind a comma may be thousands, which are left alone."""
    try:
        return float(text if re.search(r",\d{3}$", text) else text.replace(",", "."))
    except ValueError:
        return None


def as_text(cell: Any, encoding: str | None = None) -> str:
    """A cell as a text: bytes are decoded; halves of characters, as in cut tweets, become U+FFFD.

    Args:
        cell: Cell of a table.
        encoding: Encoding of bytes; None is UTF-8.

    Raises:
        TypeError: The cell is a list, an object or an array.
    """
    if isinstance(cell, bytes):
        return cell.decode(encoding or "utf-8", "replace")
    if isinstance(cell, list | tuple | dict | np.ndarray):
        raise TypeError(f"a text is needed, not {type(cell).__name__}")
    text = str(cell)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text  # the same object, so that millions of texts are held once


def as_label(label: Any) -> str:
    """A label in the one form that all files give it: 1, 1.0, "1.0" and " 1 " are the same label.

    Letters with accents have one form, too, and signs that nobody sees are none.

    Raises:
        TypeError: The label is a list, an object or an array.
    """
    return _label(label) if isinstance(label, str | bytes) and len(label) > LONG else _remembered_label(label)


def _label(label: Any) -> str:
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, Decimal):
        label = format(label.normalize(), "f")
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    text = as_text(label)
    if not (text.isascii() and text.isprintable()):
        text = INVISIBLE.sub("", unicodedata.normalize("NFC", text)).strip(JOINERS)
    text = text.strip()
    if POWER.fullmatch(text) and abs(number := float(text)) < 2**53:  # as numpy.savetxt writes numbers
        text = repr(number)
    whole = INTEGER.fullmatch(text)
    return whole[1] if whole else text


_remembered_label = lru_cache(1 << 16, typed=True)(_label)


def written_list(text: str) -> list[Any] | None:
    """The list that a text is, as in `['a', 'b']`, `['a' 'b']` of numpy, `set()` and `{}`; None where it is none."""
    value = _written(text)
    return list(value) if isinstance(value, list | tuple | set) or value == {} else None


def is_enclosed(text: str) -> bool:
    """Whether a text stands in square or curly brackets, as lists of other programs do."""
    return ENCLOSED.fullmatch(text.strip()) is not None


def is_written_object(text: str) -> bool:
    """Whether a text is an object of JSON or a dictionary of Python, as in `{"choices": ["a"]}`."""
    return isinstance(_written(text), dict)


def _written(text: str) -> Any:
    """What a text in brackets is as JSON or Python; None where it is neither."""
    text = text.strip()
    if not text or (text[0] + text[-1] not in ("[]", "()", "{}") and text != "set()"):
        return None
    for read in (json.loads, _of_python) if len(text) <= LONGEST_WRITTEN else (json.loads,):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None


def _of_python(text: str) -> Any:
    """What a text is as Python or numpy writes it."""
    return ast.literal_eval(WRITTEN_TEXT.sub(lambda found: found[1] + ("," if found[2] is not None else ""), text))


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
