"""Tables of separated values: names of columns, rows, and lines that are neither."""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice

from mla_train.config import TableOptions
from mla_train.data.tables.cells import ROW_NUMBER
from mla_train.data.tables.dialect import NAMES, Dialect, announced_separator, find_dialect
from mla_train.data.tables.numbers import GROUPED
from mla_train.data.tables.records import Record, Shape, read_records
from mla_train.data.tables.source import (
    OTHER_ENCODING,
    Row,
    Source,
    is_undecoded,
    note_sum,
    numbered,
    read_lines,
    readable,
)
from mla_train.errors import UserError

SAMPLE = 10_000
"""Lines by which it is found how a table is written."""
PEEKED = 20
"""Records that tell whether rows have one cell more than the header."""
RULE = re.compile(r"[\s|+:=-]*")
"""Cells of a line that is drawn between rows."""
UNIT = re.compile(r"([(\[<].*[)\]>])?")
"""Cells of a line of units below the header, without blanks around them."""


def open_separated(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """Opens a table of separated values.

    Args:
        path: Path, or "-" for the standard input.
        name: Name of the file, for messages.
        kind: "csv" or "tsv".
        options: How it is written, where that is not to be found.

    Raises:
        UserError: It has no rows, or another encoding.
    """
    csv.field_size_limit(sys.maxsize)
    lines = read_lines(path, name, options.encoding, newline="")
    first = list(islice(lines, SAMPLE))
    dialect, doubtful = find_dialect(first, kind, options), list[int]()
    source = Source(name, kind, [], iter(()), separator=dialect.separator)
    table = first[dialect.skip :]
    records = read_records(chain(table, lines), dialect, Shape(dialect, table), doubtful)
    head = list(islice(records, PEEKED))
    if not head:
        raise UserError(f"{name} has no rows")
    if any(map(is_undecoded, head[0].cells)):
        raise UserError(f"{name} line {head[0].line} {OTHER_ENCODING}")
    _note_dialect(dialect, source, is_announced=bool(announced_separator(first[0])))
    names = [cell.strip() for cell in head[0].cells]
    if dialect.has_header:
        rows = head[1:]
        while rows and not names[-1] and all(len(row.cells) < len(names) for row in rows):
            names.pop()  # a separator at the end of the header alone
        if _have_names(rows, names, first):
            names = ["", *names]
            source.notes.append(
                f"{name}: rows begin with a name or number of their own, for which the header has no column"
            )
        if len(rows) > 1 and _is_unit(rows[0]) and not _is_unit(rows[1]):
            source.notes.append(
                f"left out line {rows[0].line} of {name}, which holds units: {', '.join(rows[0].cells)}"
            )
            rows = rows[1:]
    else:
        names, rows = [f"column_{place}" for place in range(1, len(names) + 1)], head
        source.notes.append(
            f"{name} has no header: its columns are {', '.join(names)} (data.header=true takes the first line for it)"
        )
    if dialect.separator == ";" and options.decimal is None and options.thousands is None:
        _note_points(rows, names, source)
    source.columns = numbered(names)
    source.rows = _rows(chain(rows, records), source, head[0].cells if dialect.has_header else [], doubtful)
    return source


def _note_dialect(dialect: Dialect, source: Source, is_announced: bool) -> None:
    """Notes on what was guessed, but the usual."""
    if dialect.skip > is_announced:
        source.notes.append(f"{source.name}: the header is line {dialect.skip + 1}")
    if dialect.separator not in ",\t":
        sign = NAMES.get(dialect.separator, repr(dialect.separator))
        source.notes.append(f"{source.name}: cells are separated by a {sign}")
    if dialect.quote == "'":
        source.notes.append(f"{source.name}: cells stand between apostrophes")
    if dialect.has_backslashes:
        source.notes.append(f'{source.name}: quotes inside cells are written \\"')


def _have_names(rows: Sequence[Record], names: Sequence[str], lines: Sequence[str]) -> bool:
    """Whether each row has a cell before those of the header: a number that counts rows, or a name in quotes, as R writes it.

    Otherwise a row of one cell more has a separator inside a text that should be in quotes.
    """
    if not rows or any(len(row.cells) != len(names) + 1 for row in rows) or ROW_NUMBER.fullmatch(names[0]):
        return False
    firsts = [row.cells[0].strip() for row in rows]
    if all(re.fullmatch(r"\d{1,18}", each) for each in firsts):
        numbers = list(map(int, firsts))
        return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    is_filled = any(row.cells[-1].strip() for row in rows)
    return is_filled and len(set(firsts)) == len(rows) > 1 and all(lines[r.line - 1].startswith('"') for r in rows)


def _is_unit(row: Record) -> bool:
    return all(UNIT.fullmatch(cell.strip()) for cell in row.cells) and any(cell.strip() for cell in row.cells)


def _note_points(rows: Sequence[Record], names: Sequence[str], source: Source) -> None:
    """A note on numbers such as 1.501 where semicolons suggest decimal commas."""
    for name, cells in zip(names, zip(*(row.cells for row in rows), strict=False), strict=False):
        if all(GROUPED["."].fullmatch(cell.strip()) for cell in cells):
            source.notes.append(
                f"{source.name} column {name}: the point of {cells[0].strip()} is the decimal sign, unless numbers of "
                "other files show that it parts thousands; data.thousands='.' or data.decimal='.' says which"
            )


def _rows(records: Iterable[Record], source: Source, header: Sequence[str], doubtful: Sequence[int]) -> Iterator[Row]:
    """Rows of a table; cells beyond the header that are empty are no cells, and lines without any are no rows."""
    width, repaired, repeated, rules = len(source.columns), list[int](), list[int](), 0
    cells, line = list[str](), 0
    head = [cell.strip() for cell in header]
    for cells, line, is_repaired in records:
        first = cells[0] if cells else ""
        if head and first.strip() == head[0] and [cell.strip() for cell in cells] == head:
            repeated.append(line)
            continue
        if not first.strip(" |+:=-") and width > 1:
            text = "".join(cells)
            if not text.strip():
                continue
            if RULE.fullmatch(text) and any("---" in cell or "===" in cell for cell in cells):
                rules += 1
                continue
        is_ragged = len(cells) < width or any(cell.strip() for cell in cells[width:])
        error = f"line {line} has {len(cells)} cells, the header has {width}" if is_ragged else ""
        if any(map(is_undecoded, cells)):
            error, cells = f"line {line} {OTHER_ENCODING}", list(map(readable, cells))
        if is_repaired:
            repaired.append(line)
        yield Row(dict(zip(source.columns, cells, strict=False)), error, f"line {line}")
    said = [
        (repeated, "left out {} lines that repeat the header of {}, the first in line {}"),
        (doubtful, "{} cells of {} hold lines that look like rows, the first in line {}: where its quote does not close, correct it"),
        (repaired, "quotes in {} lines of {} do not close or stand inside cells, the first in line {}: they are read as part of the text"),
    ]  # fmt: skip
    source.notes += [words.format(f"{len(each):,}", source.name, each[0]) for each, words in said if each]
    if rules:
        source.notes.append(f"left out {rules:,} lines of {source.name} that are drawn between rows")
    if header:
        note_sum(source, cells, f"line {line}")
