"""Files of rows as a stream: what is read of each row, or what is wrong with it, in its place."""

import io
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mla_train.data.packed import OPENERS, UNREADABLE, check_lines, check_regular, is_packed_name, open_packed
from mla_train.data.tables.first_bytes import FIRST, encoding_of
from mla_train.errors import UserError

FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "arrow", "xlsx", "npz", "txt", "fasta")
ENDINGS = {
    "feather": "arrow", "ndjson": "jsonl", "pq": "parquet", "tab": "tsv", "dat": "csv", "data": "csv", "psv": "csv",
    "fa": "fasta", "fas": "fasta", "fsa": "fasta", "fna": "fasta", "ffn": "fasta", "faa": "fasta", "frn": "fasta",
}  # fmt: skip
"""Other endings of a format."""
STDIN = "standard input"
"""Name of a source that is no file."""
SUMS = frozenset({
    "total", "totals", "grand total", "subtotal", "sum", "average", "mean", "summe", "gesamt", "mittelwert", "moyenne",
})  # fmt: skip
"""First cells of a row that sums others up."""


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        cells: Column name to cell, as the file has it.
        error: What is wrong with the row; empty where it could be read.
        place: Where the row stands, such as "line 7".
        values: Raw value of each input, where the source reads them itself.
    """

    cells: Mapping[str, Any]
    error: str = ""
    place: str = ""
    values: Mapping[str, Any] | None = None


@dataclass
class Source:
    """A file that is read as a stream.

    Attributes:
        name: Name of the file, for messages.
        format: One of `FORMATS`, "files" or "series".
        columns: Names of its columns.
        rows: Its rows in order.
        folder: Folder that paths in cells are relative to.
        separator: Separator of csv.
        size: Number of rows where it is known without reading them.
        schema: Types of the columns of parquet and arrow.
        notes: Lines for the user: what was guessed.
        class_names: Names of the classes of columns that hold them as numbers, as data sets of the hub keep them.
        has_values: Whether rows have `values`.
        file_bytes: Size of the file.
    """

    name: str
    format: str
    columns: list[str]
    rows: Iterator[Row]
    folder: Path = field(default_factory=Path)
    separator: str = ","
    size: int | None = None
    schema: Any = None
    notes: list[str] = field(default_factory=list)
    class_names: dict[str, list[str]] = field(default_factory=dict)
    has_values: bool = False
    file_bytes: int = 0


def format_of(file: Path) -> str | None:
    """Format by the ending of a file, also of a compressed one; None where it is unknown."""
    ending = (file.with_suffix("") if file.suffix.lower() in OPENERS else file).suffix.lower().removeprefix(".")
    ending = ENDINGS.get(ending, ending)
    return ending if ending in FORMATS else None


def open_bytes(path: str) -> BinaryIO:
    """Opens a file, decompressed, or the standard input, which is "-"."""
    return sys.stdin.buffer if path == "-" else open_packed(path)


def is_packed(path: str) -> bool:
    """Whether a file is compressed or the standard input, so that it is read from its beginning to its end."""
    return path == "-" or is_packed_name(path)


def read_lines(path: str, name: str, encoding: str | None = None, newline: str = "\n", most: int = -1) -> Iterator[str]:
    r"""Lines of a text with their ends; signs inside sentences that Unicode calls line ends do not count.

    Args:
        path: Path, or "-" for the standard input.
        name: Name of the file, for messages.
        encoding: Encoding; None is UTF-8, or the one that the first bytes tell. Bytes of another one do not stop, see
            `is_undecoded`.
        newline: End of a line; "" is any of \n, \r and \r\n.
        most: Characters of a line that are held in memory; one of more is given in pieces of `most + 1`. -1 is all.

    Raises:
        UserError: The text cannot be read.
    """
    try:
        with open_bytes(path) as stream:
            first = stream.peek(FIRST)[:FIRST] if hasattr(stream, "peek") else b""
            lines = io.TextIOWrapper(stream, encoding or encoding_of(first), errors="surrogateescape", newline=newline)
            each = lines if most < 0 else iter(partial(lines.readline, most + 1), "")
            clean = (line.lstrip("\ufeff") for line in each)  # also of files that were put together
            yield from check_lines(clean, check_regular(path), name) if path != "-" and is_packed(path) else clean
    except LookupError as error:
        raise UserError(f"data.encoding={encoding}: unknown; write utf-8, utf-16, cp1252, latin-1, ...") from error
    except (UnicodeError, *UNREADABLE) as error:
        raise UserError(f"{name} cannot be read: {error}") from error


def is_undecoded(line: str) -> bool:
    """Whether a line has bytes that are not of the encoding it was read with."""
    return not line.isascii() and re.search("[\udc80-\udcff]", line) is not None


def readable(text: str) -> str:
    """A text with a sign instead of each byte that is not of its encoding."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


OTHER_ENCODING = "is not UTF-8: name the encoding with data.encoding=, such as cp1252, or save it as UTF-8"


def numbered(names: Sequence[str]) -> list[str]:
    """Names of columns, each once: a second `text` becomes `text (2)`."""
    unique = dict[str, None]()
    counts = Counter[str]()
    for name in names:
        candidate = name
        while candidate in unique:
            counts[name] += 1
            candidate = f"{name} ({counts[name] + 1})"
        unique[candidate] = None
    return list(unique)


def note_sum(source: Source, cells: Sequence[Any], place: str) -> None:
    """A note on a last row that seems to sum the others up."""
    texts = ["" if cell is None else str(cell) for cell in cells]
    if next(filter(None, (text.strip().lower().rstrip(":") for text in texts)), "") in SUMS:
        source.notes.append(
            f"{source.name}: the last row, {place}, may be a sum and no example: {', '.join(texts)}. It is read as one"
        )
