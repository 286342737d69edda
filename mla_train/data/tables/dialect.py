"""How a table of separated values is written: separator, quotes, and where its header is, from its first lines."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mla_train.config import TableOptions
from mla_train.errors import UserError

HEADER_WORDS = {
    "label", "labels", "class", "category", "target", "text", "sentence", "review", "source", "image", "file", "path", "id",
    "name", "date", "time", "datetime", "timestamp", "ds", "y", "value",
}  # fmt: skip
"""Names that make the first line a header, although its other cells look like those of a row."""
SEPARATORS = {
    "tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "colon": ":", "space": " ", "blank": " ",
}  # fmt: skip
"""Names that `data.separator=` may give to signs."""
NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", " ": "blank", ":": "colon"}
STANDS_FOR_SEVERAL = "\x1f"
"""Sign that is read in place of a separator of several signs."""
ANNOUNCED = re.compile(r"\"?sep\s*=\s*(.)\"?[;,\t]*\s*", re.IGNORECASE)
LONGEST_ANNOUNCED = 60  # characters: longer lines are rows, on which the expression would take long
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
QUOTED = re.compile(r'\s+".*"')
"""A cell with quotes that were not seen as such, for the blanks before them."""
TESTED = 1000
"""Lines on which ways to write a table are tried."""
TITLES = 10
"""Lines before the header, at most."""
MOST = 0.8
"""Share of lines that makes a rule."""


def announced_separator(line: str) -> re.Match[str] | None:
    """The separator, group 1, that a line of its own announces, as spreadsheets write it."""
    return ANNOUNCED.fullmatch(line) if len(line) <= LONGEST_ANNOUNCED else None


@dataclass(frozen=True)
class Dialect:
    """How a table is written.

    Attributes:
        separator: Sign between cells, or several signs.
        skip: Number of lines before the header.
        has_header: Whether the first row holds the names of the columns.
        quote: Sign around cells that hold separators.
        is_spaced: Whether blanks stand between a separator and a quote.
        has_backslashes: Whether a quote inside quotes is written behind a backslash, and not doubled.
    """

    separator: str
    skip: int = 0
    has_header: bool = True
    quote: str = '"'
    is_spaced: bool = False
    has_backslashes: bool = False

    @property
    def sign(self) -> str:
        """The separator as one sign, which `plain_lines` puts there."""
        return self.separator if len(self.separator) == 1 else STANDS_FOR_SEVERAL

    def plain_lines(self, lines: Iterable[str]) -> Iterable[str]:
        """Lines as Python's csv reads them."""
        if len(self.separator) > 1:
            lines = (line.replace(self.separator, STANDS_FOR_SEVERAL) for line in lines)
        if self.has_backslashes:
            lines = (line.replace('\\"', '""') for line in lines)
        return lines

    def read(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Cells of each record of plain lines; csv.Error where quotes are not in order."""
        return csv.reader(
            lines, delimiter=self.sign, quotechar=self.quote, skipinitialspace=self.is_spaced, strict=True
        )

    def split(self, line: str) -> list[str]:
        """Cells of a plain line whose quotes are part of the text."""
        return line.rstrip("\r\n").split(self.sign)

    def cells(self, line: str) -> list[str] | None:
        """Cells of a plain line that is a record by itself; None where its quotes are not in order."""
        try:
            return next(self.read([line]), [])
        except csv.Error:
            return None


def find_dialect(lines: Sequence[str], kind: str, options: TableOptions) -> Dialect:
    """How a table is written, from its first lines; what the options name is taken.

    Args:
        lines: First lines of the table.
        kind: "csv" or "tsv".
        options: How it is written.

    Raises:
        UserError: The separator that is named cannot be one.
    """
    announced = announced_separator(lines[0]) if lines else None
    skip = 1 if announced else 0
    named = options.separator and SEPARATORS.get(options.separator.lower(), options.separator)
    if named is not None and (not named or re.search(r"[\r\n\"\0]", named)):
        raise UserError(
            f"data.separator={options.separator!r} cannot part cells: name a sign such as ';', or {', '.join(SEPARATORS)}"
        )
    given = named or (announced[1] if announced else "\t" if kind == "tsv" else None)
    separator, more, has_header, comment = _sniffed(lines[skip:], given)
    skip += more
    while comment and len(comment) == 1 and len(lines) > skip + 1 and lines[skip].startswith(comment):
        skip += 1
    rest = [line for line in islice(lines, skip, None) if line.strip()][:TESTED]
    if given is None and not any(separator in line for line in rest[:1]) and (odd := _odd_separator(rest)):
        separator, has_header = odd, False  # but for usual names, which are looked for below
    dialect = _with_quotes(Dialect(separator or ",", skip), rest)
    if options.header is None:
        dialect = _behind_titles(dialect, lines)
    head = next((line for line in islice(lines, dialect.skip, None) if line.strip()), "")
    names = {cell.strip().lower() for cell in dialect.cells(next(iter(dialect.plain_lines([head])))) or []}
    # An index has no name, and steps have their numbers for names.
    has_header = has_header or dialect.skip > skip or "" in names or bool(names & HEADER_WORDS)
    return replace(dialect, has_header=has_header if options.header is None else options.header)


def _sniffed(lines: Sequence[str], separator: str | None) -> tuple[str, int, bool, str]:
    """Separator, lines before the header, whether there is one, and the sign of comments, as DuckDB finds them."""
    import duckdb

    result: Any = None
    with TemporaryDirectory() as folder:
        sample = Path(folder) / "sample.csv"
        sample.write_text("".join(lines), encoding="utf-8", errors="replace", newline="")
        size = max(map(len, lines), default=1) * 4 + 1
        given = {} if separator is None else {"separator": separator}
        for quote in ("", "quote='\"',"):  # an apostrophe is no quote
            # Nothing of the file or the user is in the text of the query.
            query = f"""select Delimiter, SkipRows, HasHeader, Comment, Quote from sniff_csv($file, {quote}
                {"delim=$separator," if given else ""} ignore_errors=true, max_line_size={max(size, 2_097_152)},
                buffer_size={max(2 * size, 8_388_608)})"""  # noqa: S608
            try:
                result = duckdb.connect().execute(query, {"file": str(sample), **given}).fetchone()
            except duckdb.Error:  # too odd: a table is taken to be as simple as can be
                result = None
            if result and result[-1] != "'":
                break
    line = "".join(lines[:1])
    found, more, has_header, comment, _ = result or (max(",;\t|", key=line.count), 0, True, "", "")
    return separator or found or ",", more, has_header, comment


def _odd_separator(lines: Sequence[str]) -> str | None:
    """Signs that part every line into as many cells as the first, a header with a usual name or, as all others, numbers."""
    for sign in dict.fromkeys(re.findall(r"[^\w\"'.\-\s]+|[\x01\x1e\x1f]| ", lines[0] if lines else "")):
        names = [name.strip().lower() for name in lines[0].split(sign)]
        if (
            not all(names)
            or min(len(names), len(lines)) < 2
            or any(line.count(sign) != len(names) - 1 for line in lines)
        ):
            continue
        if HEADER_WORDS & set(names) or all(
            NUMBER.fullmatch(cell.strip()) for line in lines for cell in line.split(sign)
        ):
            return sign
    return None


def _with_quotes(dialect: Dialect, lines: Sequence[str]) -> Dialect:
    """The dialect with the quotes that bring lines into order which are not so with the usual ones."""
    usual = _in_order(dialect, lines)
    if all(usual):
        return dialect
    sign = re.escape(dialect.separator)
    spaced, apostrophes = re.compile(rf'{sign} +"'), re.compile(rf"(^|{sign}) *'")
    others = [
        (replace(dialect, is_spaced=True), spaced, 0),
        (replace(dialect, has_backslashes=True), re.compile(r'\\"'), 0),
        (replace(dialect, quote="'", is_spaced=True), apostrophes, MOST),  # where a word may begin with an apostrophe
    ]
    for other, mark, share in others:
        marked = [bool(mark.search(line)) for line in lines]
        regular = _in_order(other, lines)
        gained = sum(new and not old and has for new, old, has in zip(regular, usual, marked, strict=True))
        lost = sum(old and not new for new, old in zip(regular, usual, strict=True))
        if gained > lost and sum(marked) >= share * (len(lines) - 1):
            return other
    return dialect


def _in_order(dialect: Dialect, lines: Sequence[str]) -> list[bool]:
    """Whether each line has as many cells as the first, without quotes around any."""
    records = [dialect.cells(line) for line in dialect.plain_lines(lines)]
    width = len(records[0] or []) if records else 0
    return [
        record is not None and len(record) == width and not any(map(QUOTED.fullmatch, record)) for record in records
    ]


def _behind_titles(dialect: Dialect, lines: Sequence[str]) -> Dialect:
    """The dialect with the lines before the header that have other cells than most lines."""
    numbered = [(n, line) for n, line in enumerate(islice(lines, TESTED)) if n >= dialect.skip and line.strip()]
    records = [dialect.cells(line) or [] for line in dialect.plain_lines(line for _, line in numbered)]
    if len(records) < 2 or _has_usual_name(records[0]):
        return dialect
    width, count = Counter(map(len, records)).most_common(1)[0]
    for place, record in enumerate(records[1 : TITLES + 1], 1):
        if width < 2 or len(record) != width or count < MOST * (len(records) - place):
            continue
        is_wider = all(len(title) < width or not title[-1].strip() for title in records[:place])
        if _has_usual_name(record) and (is_wider or len(record) == len(HEADER_WORDS & _lowered(record))):
            return replace(dialect, skip=numbered[place][0])
    return dialect


def _has_usual_name(cells: Sequence[str]) -> bool:
    return bool(HEADER_WORDS & _lowered(cells))


def _lowered(cells: Sequence[str]) -> set[str]:
    return {cell.strip().lower() for cell in cells}
