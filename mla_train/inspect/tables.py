"""A table that is shown in several ways: in the terminal, in Markdown, and by page.py in HTML."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table as RichTable


class Tone(Enum):
    """What colour says of a cell."""

    plain = ""
    good = "green"
    bad = "red"


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes:
        text: As it is shown.
        value: What rows are sorted by; None is the text, or the last place where that is empty.
        tone: Its colour.
    """

    text: str = ""
    value: float | None = None
    tone: Tone = Tone.plain


@dataclass(frozen=True)
class Table:
    """Rows under names of columns.

    Attributes:
        columns: Names.
        rows: As many cells each.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def is_number(self, column: int) -> bool:
        """Whether a column is set flush right."""
        return any(row[column].value is not None for row in self.rows)

    def sorted_by(self, column: str) -> "Table":
        """Numbers from the largest, texts from A to Z, empty cells last."""
        place = self.columns.index(column)

        def key(row: Sequence[Cell]) -> tuple[bool, float, str]:
            cell = row[place]
            return (cell.value is None and not cell.text, -(cell.value or 0.0), cell.text)

        return Table(self.columns, sorted(self.rows, key=key))

    def without(self, column: str) -> "Table":
        """The other columns."""
        place = self.columns.index(column)
        cut = [[*row[:place], *row[place + 1 :]] for row in (self.columns, *self.rows)]
        return Table(cut[0], cut[1:])  # type: ignore[arg-type]


def as_markdown(table: Table) -> str:
    """The table in Markdown."""
    rule = ["---:" if table.is_number(place) else "---" for place in range(len(table.columns))]
    lines = [list(table.columns), rule, *([cell.text for cell in row] for row in table.rows)]
    return "\n".join("| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines)


def as_rich(table: Table, wrap: bool = True) -> RichTable:
    """The table for the terminal.

    Args:
        table: What is shown.
        wrap: Whether long cells may take several lines.
    """
    shown = RichTable()
    for place, name in enumerate(table.columns):
        shown.add_column(escape(name), justify="right" if table.is_number(place) else "left", no_wrap=not wrap)
    for row in table.rows:
        shown.add_row(*(_coloured(cell) for cell in row))
    return shown


def _coloured(cell: Cell) -> str:
    text = escape(cell.text)
    return f"[{cell.tone.value}]{text}[/]" if cell.tone.value and text else text


def terminal() -> Console:
    """As wide as the window; where there is none, so wide that files hold whole lines."""
    return Console() if sys.stdout.isatty() else Console(width=400)


def print_fitting(table: Table, spare: Sequence[str], console: Console, whole: str) -> None:
    """Prints a table without those columns for which there is no room.

    Args:
        table: What is shown.
        spare: Columns that may go, in this order.
        console: Where to.
        whole: What shows all columns.
    """
    gone, unlimited = [], console.options.update(width=10000)  # else it would be the room that is measured
    for column in spare:
        if Measurement.get(console, unlimited, as_rich(table, wrap=False)).maximum <= console.width:
            break
        table = table.without(column)
        gone.append(column)
    console.print(as_rich(table, wrap=len(gone) == len(spare)))
    if gone:
        console.print(f"No room for: {', '.join(gone)}. {whole} shows all.", highlight=False, markup=False)
