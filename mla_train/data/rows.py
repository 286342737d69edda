"""Reading tables of any usual kind: jsonl, csv, tsv, parquet; the first three also as .gz, .xz or .bz2."""

import bz2
import csv
import gzip
import io
import json
import lzma
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
BLANK = object()
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass
class Rows:
    """A table in memory.

    Attributes:
        file: File of the table.
        columns: Names of its columns.
        rows: Column name to cell, for each row.
        broken: Rows that could not be read, named by file and line.
        class_names: Names of the classes of columns that hold them as numbers, as data sets of the hub keep them.
    """

    file: Path
    columns: list[str] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    class_names: dict[str, list[str]] = field(default_factory=dict)

    def column(self, name: str) -> list[Any]:
        """The cells of a column.

        Raises:
            UserError: There is no such column; the message lists those that exist.
        """
        if name not in self.columns:
            raise UserError(f"{self.file} has no column {name}; there are {', '.join(self.columns)}")
        return [row.get(name) for row in self.rows]


def read_rows(file: Path) -> Rows:
    """Reads a table; broken rows are noted, not raised.

    Args:
        file: File whose ending gives its format.

    Raises:
        UserError: The file is not there, is of another kind, is not UTF-8 or has no rows.
    """
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    opener: Any = OPENERS.get(file.suffix, open)
    stem = file.with_suffix("") if file.suffix in OPENERS else file
    kind = stem.suffix
    if kind not in ENDINGS:
        raise UserError(f"{file}: cannot read {kind or 'a file without ending'}; use {', '.join(ENDINGS)}")
    table = Rows(file)
    try:
        if kind == ".parquet":
            _read_parquet(table)
        else:
            with opener(file, "rb") as stream:
                lines = stream.read()
            if kind in (".jsonl", ".json"):
                _read_json_lines(table, lines)
            else:
                _read_separated(table, lines, "\t" if kind == ".tsv" else _separator(lines))
                if kind == ".tsv" and b'"' in lines:
                    # Cells of tsv need no quotes: quotes that do not close belong to the text.
                    plain = Rows(file)
                    _read_separated(plain, lines, "\t", csv.QUOTE_NONE)
                    if (-len(plain.broken), len(plain.rows)) > (-len(table.broken), len(table.rows)):
                        table = plain
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if not table.rows and not table.broken:
        raise UserError(f"{file} has no rows")
    return table


def _read_json_lines(table: Rows, content: bytes) -> None:
    """One object a line, or one list of objects."""
    columns: dict[str, None] = {}
    whole = _json(content) if content.lstrip().startswith(b"[") else None
    rows = enumerate(whole if isinstance(whole, list) else map(_json, content.splitlines()), start=1)
    for number, row in rows:
        if isinstance(row, dict):
            table.rows.append(row)
            columns |= dict.fromkeys(row)
        elif row is not BLANK:
            table.broken.append(f"{table.file} {'item' if isinstance(whole, list) else 'line'} {number}")
    table.columns = list(columns)


def _json(content: bytes) -> Any:
    """The value of a piece of JSON; None if it is no JSON, BLANK if it is empty."""
    if not content.strip():
        return BLANK
    try:
        return json.loads(content)
    except ValueError:  # not JSON, or not UTF-8
        return None


def _separator(content: bytes) -> str:
    """Comma, or semicolon as spreadsheets write it where the comma is the decimal sign."""
    header = content.partition(b"\n")[0]
    return ";" if header.count(b";") > header.count(b",") else ","


def _read_separated(table: Rows, content: bytes, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> None:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{table.file} is not UTF-8 (line {line}); save it in that encoding") from error
    reader = csv.DictReader(
        io.StringIO(text, newline=""), delimiter=separator, restkey="", strict=True, quoting=quoting
    )
    table.columns = list(reader.fieldnames or [])
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            table.broken.append(f"{table.file} line {reader.line_num}")
            continue
        if row is None:
            return
        if "" in row or None in row.values():  # more or fewer cells than columns
            table.broken.append(f"{table.file} line {reader.line_num}")
        else:
            table.rows.append(row)


def _read_parquet(table: Rows) -> None:
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(table.file)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{table.file} cannot be read: {error}") from error
    table.columns, table.rows = list(content.column_names), content.to_pylist()
    stored = json.loads((content.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = stored.get("info", {}).get("features", {}) if isinstance(stored, dict) else {}
    table.class_names = {
        name: feature["names"]
        for name, feature in features.items()
        if isinstance(feature, dict) and feature.get("names")
    }


def find_parts(root: Path) -> dict[str, Path]:
    """Files of a folder that hold train, val and test; val may be called valid, validation or dev.

    Without a file called test, the first whose name starts with test_ or test- is taken (test_2016, test_2017).

    Args:
        root: Folder of the files.

    Raises:
        UserError: There is no such folder, or no train file in it.
    """
    if not root.is_dir():
        raise UserError(f"data.root={root}: there is no such folder ({root.resolve()})")
    split_files = {}
    for split, names in PART_NAMES.items():
        files = [f for name in names for ending in ENDINGS for f in sorted(root.glob(f"{name}{ending}*"))]
        if files:
            split_files[split] = files[0]
    if "test" not in split_files:
        others = [f for f in sorted(root.glob("test[_-]*")) if any(ending in f.suffixes for ending in ENDINGS)]
        split_files |= {"test": others[0]} if others else {}
    if "train" not in split_files:
        raise UserError(f"{root} holds no train file (train{', train'.join(ENDINGS)}, or these with .gz or .xz)")
    return split_files
