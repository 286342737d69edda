"""FASTA files as tables: a header that begins with > and the lines of a sequence of nucleotides or amino acids are a row."""

import re
from collections.abc import Iterator
from pathlib import Path

from mla_train.config import TableOptions
from mla_train.data.packed import OPENERS
from mla_train.data.tables.source import OTHER_ENCODING, Row, Source, is_undecoded, read_lines, readable
from mla_train.errors import UserError

COLUMNS = ("text", "name", "header", "file")
BLANKS = {sign: None for sign in range(0x3001) if chr(sign).isspace()}  # splitting a long line would fill the memory


def open_fasta(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """The sequence as column `text`, the first word of its header as `name`, the whole `header`, the name of the file as `file`.

    Each named group of `data.header_pattern` is a further column, which is empty where a header does not match.

    Raises:
        UserError: The pattern is none, or names no column of its own.
    """
    try:
        pattern = re.compile(options.header_pattern or "")
    except re.error as error:
        raise UserError(f"data.header_pattern={options.header_pattern}: no regular expression: {error}") from error
    groups = list(pattern.groupindex)
    if options.header_pattern and (not groups or set(groups) & set(COLUMNS)):
        raise UserError(
            f"data.header_pattern={options.header_pattern}: needs named groups, such as (?P<family>[A-Za-z]+), which become "
            f"columns beside {', '.join(COLUMNS)}"
        )
    stem = Path(path).with_suffix("").stem if Path(path).suffix.lower() in OPENERS else Path(path).stem
    notes: list[str] = []

    def rows() -> Iterator[Row]:
        count = unmatched = 0
        for place, header, sequence in _records(read_lines(path, name, options.encoding, newline=""), name):
            fault = f"{place} {OTHER_ENCODING}" if is_undecoded(header + sequence) else ""
            header, sequence = (readable(part) if fault else part for part in (header, sequence))
            match = pattern.search(header)
            count, unmatched = count + 1, unmatched + (match is None)
            cells = {"text": sequence, "name": (header.split() or [""])[0], "header": header, "file": stem}
            yield Row(cells | (match.groupdict() if match else dict.fromkeys(groups)), fault, place)
        if unmatched:
            notes.append(
                f"{name}: {unmatched:,} of {count:,} headers do not match data.header_pattern: their {', '.join(groups)} is empty"
            )

    return Source(name, kind, [*COLUMNS, *groups], rows(), notes=notes)


def _records(lines: Iterator[str], name: str) -> Iterator[tuple[str, str, str]]:
    """Place, header and sequence of each record; blanks inside sequences, and lines that begin with a semicolon, are left out."""
    place, header, pieces = "", "", list[str]()
    for number, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith(";"):
            continue
        if line.startswith(">"):
            if place:
                yield place, header, "".join(pieces)
            place, header, pieces = f"line {number}", line[1:].strip(), []
        elif place:
            pieces.append(line.translate(BLANKS))
        else:
            raise UserError(f"{name} line {number} belongs to no sequence: in a FASTA file a header begins with >")
    if place:
        yield place, header, "".join(pieces)
