"""Tables of separated values. DuckDB finds separator and header; rows are read by Python's csv, in their place.

A quote that does not close would swallow the lines behind it: a record that takes in lines which are rows by themselves is
read again line by line, without quotes.
"""

import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from mla_train.config import TableOptions
from mla_train.data.tables.source import OTHER_ENCODING, Row, Source, is_undecoded, numbered, read_lines, readable
from mla_train.errors import UserError

SAMPLE = 10_000
"""Lines by which the separator is found."""
SWALLOWED = 4
"""Lines of a quoted cell that must all be rows by themselves for the quotes to be taken as part of the text."""
PEEKED = 20
"""Records that tell whether rows have one cell more than the header."""
MOST_HELD = 50_000_000
"""Characters of a record."""
HEADER_WORDS = {
    "label", "labels", "class", "category", "target", "text", "sentence", "review", "source", "image", "file", "path", "id",
    "name", "date", "time", "datetime", "timestamp", "ds", "y", "value",
}  # fmt: skip
"""Names that make the first line a header, although its other cells look like those of a row."""
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank"}


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: Sign between cells.
        skip: Number of lines before the header.
        has_header: Whether the first row holds the names of the columns.
    """

    separator: str
    skip: int = 0
    has_header: bool = True


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
    dialect, notes = find_dialect(first, kind, options), list[str]()
    source = Source(name, kind, [], iter(()), separator=dialect.separator, notes=notes)
    records = _records(chain(first[dialect.skip :], lines), dialect)
    head = list(islice(records, PEEKED))
    if not head:
        raise UserError(f"{name} has no rows")
    if any(map(is_undecoded, head[0].cells)):
        raise UserError(f"{name} line {head[0].line} {OTHER_ENCODING}")
    names = [cell.strip() for cell in head[0].cells]
    if not dialect.has_header:
        names = [f"column_{place}" for place in range(1, len(names) + 1)]
        notes.append(
            f"{name} has no header: its columns are {', '.join(names)} (data.header=true takes the first line for it)"
        )
    elif len(head) > 1 and all(len(record.cells) == len(names) + 1 for record in head[1:]):
        names = ["", *names]  # names of rows, without a name of their own
    if dialect.skip and not first[0].startswith("sep="):
        notes.append(f"{name}: the header is line {dialect.skip + 1}")
    if dialect.separator not in ",\t":
        notes.append(f"{name}: cells are separated by a {NAMES.get(dialect.separator, repr(dialect.separator))}")
    source.columns = numbered(names)
    source.rows = _rows(chain(head[dialect.has_header :], records), source)
    return source


def find_dialect(lines: Sequence[str], kind: str, options: TableOptions) -> Dialect:
    """The separator and header of a table, from its first lines; those that the options name are taken.

    Args:
        lines: First lines of the table.
        kind: "csv" or "tsv".
        options: How it is written.
    """
    import duckdb

    announced = re.fullmatch(r"sep=(.)\s*", lines[0]) if lines else None  # as spreadsheets write it
    skip = 1 if announced else 0
    separator = options.separator or (announced[1] if announced else "\t" if kind == "tsv" else None)
    has_header = True
    with TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.csv"
        sample.write_text("".join(lines[skip:]), encoding="utf-8", errors="replace", newline="")
        size = max(map(len, lines), default=1) * 4 + 1
        given = {} if separator is None else {"separator": separator}
        for quote in ("", "quote='\"',"):  # an apostrophe is no quote
            query = f"""select Delimiter, SkipRows, HasHeader, Comment, Quote from sniff_csv($file, {quote}
                {"delim=$separator," if given else ""} ignore_errors=true, max_line_size={max(size, 2_097_152)},
                buffer_size={max(2 * size, 8_388_608)})"""
            try:
                result = duckdb.connect().execute(query, {"file": str(sample), **given}).fetchone()
            except duckdb.Error:  # too odd: a table is taken to be as simple as can be
                result = None
            if result and result[-1] != "'":
                break
        line = "".join(lines[skip : skip + 1])
        separator, more, has_header, comment, _ = result or (separator or max(",;\t|", key=line.count), 0, True, "", "")
        skip += more
        while comment and len(comment) == 1 and len(lines) > skip + 1 and lines[skip].startswith(comment):
            skip += 1
    head = next(csv.reader(lines[skip : skip + 1], delimiter=separator or ","), [])
    names = {cell.strip().lower() for cell in head}
    has_header = (
        has_header or "" in names or bool(names & HEADER_WORDS)
    )  # an index without a name, steps by their numbers
    return Dialect(separator or ",", skip, has_header if options.header is None else options.header)


class Record(NamedTuple):
    """A record: its cells, the number of its first line, and whether its quotes were taken as text."""

    cells: list[str]
    line: int
    is_repaired: bool = False


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


def _records(lines: Iterable[str], dialect: Dialect) -> Iterator[Record]:
    """Records in order; empty lines are none."""
    source = _Lines(lines, dialect.skip)
    reader = csv.reader(source, delimiter=dialect.separator, strict=True)
    width = 0
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
        width = width or len(cells) or len(_plain(taken[0], dialect))
        if len(cells) == width and not _swallowed(taken, width, dialect):
            yield Record(cells, start)
            continue
        for number, line in enumerate(taken, start):
            yield _alone(line, number, width, dialect)


def _swallowed(lines: Sequence[str], width: int, dialect: Dialect) -> bool:
    """Whether a record took in lines that are rows by themselves."""
    return len(lines) >= SWALLOWED and width > 1 and all(len(_plain(line, dialect)) == width for line in lines)


def _alone(line: str, number: int, width: int, dialect: Dialect) -> Record:
    """The record of one line, with quotes if they are in order, else without."""
    try:
        cells = next(csv.reader([line], delimiter=dialect.separator, strict=True), [])
    except csv.Error:
        cells = []
    if len(cells) == width:
        return Record(cells, number)
    plain = _plain(line, dialect) if width > 1 else [line.rstrip("\r\n")]
    if len(plain) == width:
        return Record(plain, number, '"' in line)
    return Record(cells or plain, number)


def _plain(line: str, dialect: Dialect) -> list[str]:
    return line.rstrip("\r\n").split(dialect.separator)


def _rows(records: Iterable[Record], source: Source) -> Iterator[Row]:
    """Rows of a table; cells beyond the header that are empty are no cells."""
    width, repaired = len(source.columns), list[int]()
    for cells, line, is_repaired in records:
        is_ragged = len(cells) < width or any(cell.strip() for cell in cells[width:])
        error = f"line {line} has {len(cells)} cells, the header has {width}" if is_ragged else ""
        if any(map(is_undecoded, cells)):
            error, cells = f"line {line} {OTHER_ENCODING}", list(map(readable, cells))
        if is_repaired:
            repaired.append(line)
        yield Row(dict(zip(source.columns, cells, strict=False)), error, f"line {line}")
    if repaired:
        source.notes.append(
            f"{source.name}: quotes in {len(repaired):,} lines do not close or stand inside cells, the first in line "
            f"{repaired[0]}: they are read as part of the text"
        )
