"""Reading tables of any usual kind: jsonl, csv, tsv, parquet; the first three also as .gz, .xz or .bz2."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mla_train.data.splits import PART_NAMES
from mla_train.errors import UserError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
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

    @property
    def row_names(self) -> list[str]:
        """File and number of each row."""
        return [f"{self.file} row {number}" for number in range(1, len(self.rows) + 1)]

    def column(self, name: str) -> list[Any]:
        """The cells of a column; a UserError that lists those that exist where there is none."""
        if name not in self.columns:
            raise UserError(f"{self.file} has no column {name}; there are {', '.join(self.columns)}")
        return [row.get(name) for row in self.rows]


def read_rows(file: Path) -> Rows:
    """Reads a table of the format that the ending of the file tells; broken rows are noted, not raised.

    Raises:
        UserError: The file is not there, is of another kind, is not UTF-8 or has no rows.
    """
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    opener: Any = OPENERS.get(file.suffix, open)
    kind = (file.with_suffix("") if file.suffix in OPENERS else file).suffix
    if kind not in ENDINGS:
        raise UserError(f"{file}: cannot read {kind or 'a file without ending'}; use {', '.join(ENDINGS)}")
    try:
        if kind == ".parquet":
            table = _read_parquet(file)
        else:
            with opener(file, "rb") as stream:
                content = stream.read()
            table = _read_separated(file, content, kind) if kind in (".csv", ".tsv") else _read_json(file, content)
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if not table.rows and not table.broken:
        raise UserError(f"{file} has no rows")
    return table


def _read_json(file: Path, content: bytes) -> Rows:
    """One object a line, or one list of objects."""
    table, columns, what = Rows(file), dict[str, None](), "line"
    items: Iterator[Any] = map(_parsed, content.splitlines())
    if content.lstrip().startswith(b"[") and isinstance(whole := _parsed(content), list):
        items, what = iter(whole), "item"
    for number, row in enumerate(items, start=1):
        if isinstance(row, dict):
            table.rows.append(row)
            columns |= dict.fromkeys(row)
        elif row is not ...:
            table.broken.append(f"{file} {what} {number}")
    table.columns = list(columns)
    return table


def _parsed(content: bytes) -> Any:
    """The value of a piece of JSON; None if it is no JSON, `...` if it is empty."""
    try:
        return json.loads(content) if content.strip() else ...
    except ValueError:  # not JSON, or not UTF-8
        return None


def _read_separated(file: Path, content: bytes, kind: str) -> Rows:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{file} is not UTF-8 (line {line}); save it in that encoding") from error
    if kind == ".csv":  # spreadsheets write semicolons where the comma is the decimal sign
        header = text.partition("\n")[0]
        return _parse(file, text, ";" if header.count(";") > header.count(",") else ",")
    tables = [_parse(file, text, "\t")]
    if '"' in text:  # cells of tsv need no quotes: quotes that do not close belong to the text
        tables.append(_parse(file, text, "\t", csv.QUOTE_NONE))
    return min(tables, key=lambda table: (len(table.broken), -len(table.rows)))


def _parse(file: Path, text: str, separator: str, quoting: Literal[0, 3] = csv.QUOTE_MINIMAL) -> Rows:
    stream = io.StringIO(text, newline="")
    reader = csv.DictReader(stream, delimiter=separator, restkey="", strict=True, quoting=quoting)
    table = Rows(file, list(reader.fieldnames or []))
    while True:
        try:
            row = next(reader, None)
        except csv.Error:
            table.broken.append(f"{file} line {reader.line_num}")
            continue
        if row is None:
            return table
        if "" in row or None in row.values():  # more or fewer cells than columns
            table.broken.append(f"{file} line {reader.line_num}")
        else:
            table.rows.append(row)


def _read_parquet(file: Path) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.read_table(file)
    except pyarrow.ArrowInvalid as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    stored = json.loads((content.schema.metadata or {}).get(b"huggingface", b"{}"))
    features = stored.get("info", {}).get("features", {}) if isinstance(stored, dict) else {}
    classes = {name: each["names"] for name, each in features.items() if isinstance(each, dict) and each.get("names")}
    return Rows(file, list(content.column_names), content.to_pylist(), class_names=classes)


def find_parts(root: Path) -> dict[str, Path]:
    """Files of a folder that hold train, val and test; val may be called valid, validation or dev.

    Without a file called test, the first whose name starts with test_ or test- is taken (test_2016, test_2017).

    Raises:
        UserError: There is no such folder, or no train file in it.
    """
    if not root.is_dir():
        raise UserError(f"data.root={root}: there is no such folder ({root.resolve()})")
    split_files = {}
    for split, names in PART_NAMES.items():
        files = [f for name in names for ending in ENDINGS for f in sorted(root.glob(f"{name}{ending}*"))]
        if split == "test":
            files += [f for f in sorted(root.glob("test[_-]*")) if any(ending in f.suffixes for ending in ENDINGS)]
        if files:
            split_files[split] = files[0]
    if "train" not in split_files:
        raise UserError(f"{root} holds no train file (train{', train'.join(ENDINGS)}, or these with .gz or .xz)")
    return split_files
