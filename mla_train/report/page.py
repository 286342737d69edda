"""HTML pages of one file: images are inside it, and nothing is fetched from the network."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

from mla_train.report.tables import Cell, Table

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6676; --line: #dde2e9; --paper: #fff; --shade: #f4f6f9;
  --good: #11743a; --bad: #b3261e; --accent: #2257a8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ee; --soft: #9aa5b5; --line: #333c49; --paper: #14181f;
  --shade: #1d232c; --good: #5fce8a; --bad: #ff8a80; --accent: #8ab4f8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 88rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .75rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .6rem; }
p, ul { max-width: 54rem; margin: .6rem 0; }
p.lead { font-size: 1.1rem; }
p.note { color: var(--soft); font-size: .9rem; }
pre { background: var(--shade); border: 1px solid var(--line); border-radius: 6px; padding: .7rem .9rem; margin: .8rem 0;
  font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .45rem .75rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
tbody tr:hover td { background: var(--shade); }
th { background: var(--shade); font-weight: 600; vertical-align: bottom; }
td { white-space: nowrap; }
td.long { white-space: normal; overflow-wrap: anywhere; min-width: 22rem; }
.number { text-align: right; }
.good { color: var(--good); font-weight: 600; }
.bad { color: var(--bad); font-weight: 600; }
th button { all: unset; cursor: pointer; color: var(--accent); }
th button:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
img { max-width: 100%; height: auto; display: block; margin: .8rem 0; background: #fff; border: 1px solid var(--line);
  border-radius: 6px; }
"""
SORTING = """
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const up = head.getAttribute("aria-sort") === "descending" ||
      (!head.hasAttribute("aria-sort") && !head.classList.contains("number"));
    const key = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const rows = [...body.rows].sort((one, other) => {
      const a = key(one), b = key(other);
      if (a === "" || b === "") return (a === "") - (b === "");
      const order = isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
      return up ? order : -order;
    });
    body.append(...rows);
    heads.forEach(other => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
  }));
}
"""
LONG_CELL = 60
"""Number of characters above which a cell may break."""


def page(title: str, *parts: str) -> str:
    """A complete page.

    Args:
        title: Title of the page and of the browser's tab.
        parts: HTML from the functions below.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
    )
    return head + "\n".join(part for part in parts if part) + f"\n<script>{SORTING}</script>\n</body>\n</html>\n"


def heading(text: str) -> str:
    """Heading of a section."""
    return f"<h2>{escape(text)}</h2>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph.

    Args:
        text: Text of the paragraph.
        kind: "lead" for larger, "note" for smaller text.
    """
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(texts: Sequence[str]) -> str:
    """A list; empty without texts."""
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>" if texts else ""


def code(text: str) -> str:
    """A command, or the output of a program."""
    return f"<pre>{escape(text)}</pre>"


def image(png: Path | bytes, description: str) -> str:
    """A PNG inside the page.

    Args:
        png: File or its bytes.
        description: Text for readers who cannot see the image.
    """
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
