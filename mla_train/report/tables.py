"""Tables for the terminal, for Markdown and, with page.py, for HTML."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable
from rich.text import Text

from mla_train.errors import printable
from mla_train.escaping import markdown_cell

LONGEST_TEXT = 600  # characters of a cell


class Tone(Enum):
    """Colour of a cell."""

    plain = ""
    good = "green"
    bad = "red"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: Shown text.
        value: Number that rows are sorted by; None sorts by the text, and puts empty cells last.
        tone: Colour.
        link: Address that the text links to, in HTML.
        image: Address of a small image before the text, in HTML.
    """

    text: str = ""
    value: float | None = None
    tone: Tone = Tone.plain
    link: str = ""
    image: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under names of columns, with one cell for each column."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers, which are aligned to the right."""
        return any(row[column].value is not None for row in self.rows)

    def sorted_by(self, column: str) -> "Table":
        """The rows in order: numbers from the largest, texts from A to Z, empty cells last."""
        index = self.columns.index(column)

        def key(row: Sequence[Cell]) -> tuple[bool, float, str]:
            cell = row[index]
            return (cell.value is None and not cell.text, -(cell.value or 0.0), cell.text)

        return Table(self.columns, sorted(self.rows, key=key))

    def without(self, column: str) -> "Table":
        """The other columns."""
        index = self.columns.index(column)
        kept = [[*row[:index], *row[index + 1 :]] for row in (self.columns, *self.rows)]
        return Table(kept[0], kept[1:])  # type: ignore[arg-type]


def as_markdown(table: Table) -> str:
    """The table in Markdown."""
    rule = ["---:" if table.is_number(index) else "---" for index in range(len(table.columns))]
    lines = [list(table.columns), rule, *([cell.text for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(map(markdown_cell, line)) + " |" for line in lines)


def as_rich(table: Table, wrap: bool = True) -> RichTable:
    """The table for the terminal; `wrap` says whether long cells may take several lines."""
    rich_table = RichTable()
    for index, name in enumerate(table.columns):
        justify: Any = "right" if table.is_number(index) else "left"
        rich_table.add_column(Text(printable(name)), justify=justify, no_wrap=not wrap)
    for row in table.rows:
        rich_table.add_row(*(Text(printable(cell.text), cell.tone.value) for cell in row))
    return rich_table


def terminal() -> Console:
    """A console as wide as the window; wide enough for whole lines where the output goes to a file."""
    return Console() if sys.stdout.isatty() else Console(width=400)


def print_fitting(table: Table, optional: Sequence[str], console: Console, complete: str) -> None:
    """Prints a table without those optional columns, in order, for which the console is too narrow."""
    hidden: list[str] = []
    unlimited = console.options.update(width=10000)  # measures the table instead of the console
    for column in optional:
        if Measurement.get(console, unlimited, as_rich(table, wrap=False)).maximum <= console.width:
            break
        table = table.without(column)
        hidden.append(column)
    console.print(as_rich(table, wrap=len(hidden) == len(optional)))
    if hidden:
        console.print(f"Hidden columns: {', '.join(hidden)}. {complete} shows all.", highlight=False, markup=False)


def value_cell(value: Any) -> Cell:
    """A value of an example; long texts are cut."""
    match value:
        case None:
            return Cell()
        case bool() | int():
            return Cell(str(value), float(value))
        case float():
            return Cell(f"{value:.4g}", value)
        case list():
            return Cell(", ".join(map(str, value)) or "(none)")
        case dict():
            return Cell(", ".join(f"{name} {number:.4g}" for name, number in value.items()))
    text = str(value)
    return Cell(text if len(text) <= LONGEST_TEXT else f"{text[:LONGEST_TEXT]} …")
