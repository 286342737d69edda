"""A table in memory, column by column."""

import re
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from mla_train.config import TableOptions
from mla_train.data.examples import selected
from mla_train.data.mapped import Joined, Lazy, Mapped
from mla_train.data.packed import check_cells
from mla_train.data.tables import open_source
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.source import Source
from mla_train.errors import UserError, did_you_mean

UNNAMED = re.compile(r"( \(\d+\))?")
"""Columns without a name, as `numbered` tells several apart."""


class OneFile(Lazy):
    """The file of all rows and the place of each.

    Args:
        file: File.
        places: Place of each row.
    """

    def __init__(self, file: str, places: Sequence[str]) -> None:
        self.file, self.places = file, places

    def __len__(self) -> int:
        return len(self.places)

    def value(self, place: int) -> tuple[str, str]:
        """See `Lazy`."""
        return self.file, self.places[place]


@dataclass
class Table:
    """A table in memory.

    Attributes:
        file: Name of the file or data set, for messages.
        cells: Cells of each column, a list or another sequence; columns without a name are not there.
        places: Where each row stands in the file, such as "line 7", a sequence of the same kind.
        broken: Rows that could not be read: where, and why.
        class_names: Names of the classes of columns that hold them as numbers, as data sets of the hub keep them.
        notes: Lines for the user: what was guessed.
        files: File of each row and its place there, where rows are of several files.
        index: Cells of a first column without a name, as tables of pandas have it.
    """

    file: Path
    cells: dict[str, Any]
    places: Any
    broken: list[str] = field(default_factory=list)
    class_names: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    files: Sequence[tuple[str, str]] = ()
    index: list[Any] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.cells)

    @property
    def origins(self) -> Sequence[tuple[str, str]]:
        """File of each row, and its place there."""
        return self.files or OneFile(str(self.file), self.places)

    def checksums(self) -> Sequence[str]:
        """A checksum of the cells of each row that are there, with the names of their columns: no spreadsheet takes it for a number."""
        checksums = array("I", bytes(4 * len(self)))
        for name in sorted(self.cells):
            own = zlib.crc32(name.encode("utf-8", "surrogatepass")).to_bytes(4)
            checksums = array("I", map(partial(_with_cell, own), checksums, self.cells[name]))
        return Mapped("crc{:08x}".format, checksums)

    def select(self, rows: Sequence[int]) -> "Table":
        """Some of the rows; notes on the whole table are left out."""
        return Table(
            self.file,
            {name: selected(cells, rows) for name, cells in self.cells.items()},
            selected(self.places, rows),
            class_names=self.class_names,
            files=[self.origins[row] for row in rows] if self.files else (),
        )

    def column(self, name: str) -> Any:
        """The cells of a column; a UserError that lists those that exist where there is none, or where there are two."""
        if name not in self.cells:
            hint = did_you_mean(name, self.cells) if len(self.cells) > 8 else ""
            there = f"there are {', '.join(self.cells)}" if self.cells else "it has no columns"
            raise UserError(f"{self.file} has no column {name}; {there}{hint and f'. {hint}'}")
        if f"{name} (2)" in self.cells:
            raise UserError(f"{self.file} has several columns {name}: give each a name of its own")
        return self.cells[name]


def _with_cell(column: bytes, checksum: int, cell: Any) -> int:
    if cell is None:  # later rows may bring further columns
        return checksum
    known = cell if isinstance(cell, bytes) else repr(cell).encode("utf-8", "surrogatepass")
    return zlib.crc32(known, zlib.crc32(column, checksum))


def read_table(file: Path, options: TableOptions | None = None, kind: Callable[[], Any] = list) -> Table:
    """Reads a file of any format as a whole; broken rows are noted, not raised.

    Args:
        file: File.
        options: How it is written.
        kind: Makes an empty sequence for the cells of a column.

    Raises:
        UserError: The file is not there, is of another kind or encoding, or has no rows.
    """
    return collect(open_source(file, options=options), kind)


def collect(source: Source, kind: Callable[[], Any] = list) -> Table:
    """All rows of a source.

    Args:
        source: The source.
        kind: Makes an empty sequence for the cells of a column.

    Raises:
        UserError: It has no rows, or so many different columns that it does not fit into the memory.
    """
    cells = {name: kind() for name in source.columns if not UNNAMED.fullmatch(name)}
    index: list[Any] = []
    nameless: set[str] = set()
    places, broken = kind(), []
    for row in source.rows:
        if row.error:
            broken.append(f"{source.name} {row.error}")
            continue
        for name, cell in row.cells.items():
            column = cells.get(name)
            if column is None:
                if UNNAMED.fullmatch(name):
                    if not is_empty(cell):
                        nameless.add(name)
                    if not name:
                        index += [None] * (len(places) - len(index))
                        index.append(cell)
                    continue
                column = cells[name] = kind()
            if len(column) < len(places):  # earlier rows lack it
                column += [None] * (len(places) - len(column))
            column.append(cell)
        places.append(row.place)
        check_cells(len(places), len(cells), source.file_bytes, source.name)
    if not places and not broken:
        raise UserError(f"{source.name} has no rows")
    for column in (index, *cells.values()):
        column += [None] * (len(places) - len(column))
    notes = [*source.notes]
    if len(nameless) > 1:
        notes.append(
            f"{source.name}: {len(nameless)} columns without a name are not used: give them names in the header"
        )
    return Table(Path(source.name), cells, places, broken, source.class_names, notes, index=index)


def concatenate(tables: Sequence[Table], name: str) -> Table:
    """The rows of several tables, one after the other.

    Args:
        tables: Tables with the same columns.
        name: Name of all of them, for messages.

    Raises:
        UserError: A table has other columns, or other names of classes.
    """
    first = tables[0]
    if len(tables) == 1:
        return first
    for table in tables[1:]:
        other = set(table.columns) ^ set(first.columns)
        if other:
            raise UserError(f"{first.file} and {table.file} have different columns: {', '.join(sorted(other))}")
        odd = next((c for c in first.columns if table.class_names.get(c) != first.class_names.get(c)), None)
        if odd is not None:
            raise UserError(
                f"{first.file} and {table.file} name the classes of {odd} otherwise: write the names in place of the numbers"
            )
    return Table(
        Path(name),
        {
            name: type(cells)(cell for table in tables for cell in table.cells[name])
            for name, cells in first.cells.items()
        },
        type(first.places)(f"{Path(table.file).name} {place}" for table in tables for place in table.places),
        [place for table in tables for place in table.broken],
        first.class_names,
        [note for table in tables for note in table.notes],
        Joined([table.origins for table in tables]),
        [cell for table in tables for cell in table.index],
    )
