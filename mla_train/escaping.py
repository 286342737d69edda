"""Texts of somebody's data in tables of other languages, so that they stay texts."""

import re
from typing import Any

from mla_train.errors import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-]([\d.,\s]*\d[\d.,\s]*(e[+-]?\d+)?%?|inf|nan)", re.IGNORECASE)


def spreadsheet_cell(value: Any) -> Any:
    """A cell of csv or tsv. A text that a spreadsheet would take for a formula begins with an apostrophe; numbers do not."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA) and len(value) > 1 and not NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def markdown_cell(text: str) -> str:
    """A text in one cell of a Markdown table, which begins no HTML and no further cell."""
    return printable(" ".join(text.split())).replace("|", "\\|").replace("<", "&lt;")
