"""Texts of somebody's data in tables of other languages, so that they stay texts."""

import re
from typing import Any

from mla_train.errors import printable

FORMULA = ("=", "+", "-", "@", "\t", "\r")
NUMBER = re.compile(r"[+-](?:(?=[.,\s]*\d)[\d.,\s]+(?:e[+-]?\d+)?%?|inf|nan)", re.IGNORECASE)
CODE = re.compile(r"`[^`]*`")
"""A cell that is code of our own, such as a command: in it Markdown means nothing."""
MARKS = str.maketrans({"\\": "\\\\", "<": "&lt;", "&": "&amp;"})
"""Signs with which Markdown begins HTML, and escapes."""
LINK = re.compile(r"\](?=[(\[:])")
"""End of the text of a link or an image."""


def spreadsheet_cell(value: Any) -> Any:
    """A cell of csv or tsv. A text that a spreadsheet would take for a formula begins with an apostrophe; numbers do not."""
    is_formula = isinstance(value, str) and value.startswith(FORMULA) and len(value) > 1 and not NUMBER.fullmatch(value)
    return f"'{value}" if is_formula else value


def markdown_cell(text: str) -> str:
    """A text in one cell of a Markdown table, which begins no HTML, no link, no image and no further cell."""
    return markdown_line(text).replace("|", "\\|")


def markdown_line(text: str) -> str:
    """A text in one line of Markdown, which begins no HTML, no link and no image."""
    line = printable(" ".join(text.split()))
    return line if CODE.fullmatch(line) else LINK.sub(r"\\]", line.translate(MARKS))
