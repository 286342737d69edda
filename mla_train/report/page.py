"""HTML pages of one file: images are inside it, and nothing is fetched from the network."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mla_train.report.tables import Cell, Table

FILES = Path(__file__).parent
LONG_CELL = 60
"""Number of characters above which a cell may break."""


def page(title: str, *parts: str) -> str:
    """A complete page of parts from the functions below."""
    style, sorting = ((FILES / name).read_text() for name in ("page.css", "page.js"))
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
    )
    return head + "\n".join(part for part in parts if part) + f"\n<script>\n{sorting}</script>\n</body>\n</html>\n"


def heading(text: str) -> str:
    """Heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of the kind "lead" in larger, "note" in smaller letters."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(texts: Sequence[str]) -> str:
    """A list; empty without texts."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def code(text: str) -> str:
    """A command, or the output of a program."""
    return f"<pre>{escape(text)}</pre>"


def image(png: Path | bytes, description: str) -> str:
    """A PNG inside the page, with a description for readers who cannot see it."""
    data = png.read_bytes() if isinstance(png, Path) else png
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{base64.b64encode(data).decode()}">'


def html_table(table: Table) -> str:
    """A table; a click on the name of a column sorts its rows."""
    numbers = [table.is_number(place) for place in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col"{_class(["number"] * number)}><button type="button">{escape(name)}</button></th>'
        for name, number in zip(table.columns, numbers, strict=True)
    )
    rows = "\n".join(
        "<tr>" + "".join(_html_cell(cell, number) for cell, number in zip(row, numbers, strict=True)) + "</tr>"
        for row in table.rows
    )
    return (
        f'<div class="wide"><table class="sortable">\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody>\n</table></div>"
    )


def _html_cell(cell: Cell, number: bool) -> str:
    classes = ["number"] * number + ["long"] * (len(cell.text) > LONG_CELL) + [cell.tone.name] * bool(cell.tone.value)
    value = "" if cell.value is None else f' data-value="{float(cell.value)!r}"'
    return f"<td{_class(classes)}{value}>{escape(cell.text)}</td>"


def _class(names: Sequence[str]) -> str:
    return f' class="{" ".join(names)}"' if names else ""
