"""Records of a table of separated values, in their lines.

A quote that does not close would swallow the lines behind it: a record that takes in lines which are rows by themselves is
read again line by line, without quotes.
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from mla_train.data.tables.dialect import MOST, Dialect

SWALLOWED = 4
"""Lines of a quoted cell that are taken for rows by their number of cells alone."""
FEW = 50
"""Different cells of a column that holds classes or the like."""
REPEATED = 4
"""How often each cell of such a column occurs, on average."""
MOST_HELD = 50_000_000
"""Characters of a record."""


class Record(NamedTuple):
    """A record: its cells, the number of its first line, and whether its quotes were taken as text."""

    cells: list[str]
    line: int
    is_repaired: bool = False


class Shape:
    """What a line must be to be a row by itself: so many cells, and those of some columns as they are elsewhere.

    Args:
        dialect: How the table is written.
        lines: First lines of the table, from the header on.
    """

    def __init__(self, dialect: Dialect, lines: Sequence[str]) -> None:
        self.dialect, self.lines, self.width = dialect, lines, 0
        self.checks: dict[int, Callable[[str], bool]] | None = None

    def holds_rows(self, lines: Sequence[str]) -> bool:
        """Whether most lines of a record are rows by themselves."""
        filled = [line for line in lines if line.strip()]
        if len(filled) < 2 or self.width < 2:
            return False
        if self.checks is None:
            self.checks = self._learn_checks()
        rows = sum(map(self._is_row, filled))
        return rows >= MOST * len(filled) and (bool(self.checks) or len(filled) >= SWALLOWED)

    def is_doubtful(self, lines: Sequence[str]) -> bool:
        """Whether a record's few lines have as many cells as rows have, and nothing tells whether they are rows."""
        return not self.checks and self.width > 1 and all(map(self._is_row, lines))

    def _is_row(self, line: str) -> bool:
        cells, checks = self.dialect.split(line), self.checks or {}
        return len(cells) == self.width and all(check(_bare(cells[place])) for place, check in checks.items())

    def _learn_checks(self) -> dict[int, Callable[[str], bool]]:
        """Columns of numbers, and of a few words that repeat, by the lines without quotes; the header is none of them."""
        rows = [
            self.dialect.split(line)
            for line in self.dialect.plain_lines(self.lines[1:])
            if self.dialect.quote not in line
        ]
        rows = [row for row in rows if len(row) == self.width]
        checks: dict[int, Callable[[str], bool]] = {}
        for place, column in enumerate(zip(*rows, strict=True)):
            known = set(map(_bare, column))
            if len(known) <= FEW and REPEATED * len(known) <= len(column):
                checks[place] = known.__contains__
            elif all(map(_is_number, known)):
                checks[place] = _is_number
        return checks


def _bare(cell: str) -> str:
    return cell.strip().strip("\"'").strip()


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True


class _Lines:
    """Lines, with those that were read since the last record."""

    def __init__(self, lines: Iterable[str], skipped: int) -> None:
        self.lines, self.number, self.taken, self.held = iter(lines), skipped, list[str](), 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if self.held > MOST_HELD:
            raise csv.Error("a quote does not close")
        line = next(self.lines)
        self.number += 1
        self.taken.append(line)
        self.held += len(line)
        return line


def read_records(lines: Iterable[str], dialect: Dialect, shape: Shape, doubtful: list[int]) -> Iterator[Record]:
    """Records in order; empty lines are none.

    Args:
        lines: Lines of the table from its header on.
        dialect: How it is written.
        shape: What a row looks like.
        doubtful: Numbers of lines; those of records that may have swallowed a row are added.
    """
    source = _Lines(dialect.plain_lines(lines), dialect.skip)
    reader = dialect.read(source)
    while True:
        source.taken, source.held, start = [], 0, source.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            cells = []
        taken = source.taken
        if not "".join(taken).strip():
            continue
        width = shape.width = shape.width or len(cells) or len(dialect.split(taken[0]))
        if len(cells) == width and (len(taken) == 1 or not shape.holds_rows(taken)):
            if len(taken) > 1 and shape.is_doubtful(taken):
                doubtful.append(start)
            yield Record(cells, start)
            continue
        for number, line in enumerate(taken, start):
            if line.strip():
                yield _alone(line, number, width, dialect)


def _alone(line: str, number: int, width: int, dialect: Dialect) -> Record:
    """The record of one line, with quotes if they are in order, else without."""
    cells = dialect.cells(line) or []
    if len(cells) == width:
        return Record(cells, number)
    plain = dialect.split(line) if width > 1 else [line.rstrip("\r\n")]
    if len(plain) == width:
        return Record(plain, number, dialect.quote in line)
    return Record(cells or plain, number)
