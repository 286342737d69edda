"""Files that are predicted: tables, lines, folders of images; and files of answers in the same format."""

import csv
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from secrets import token_hex
from typing import Any, Self

from mla_train.config import TableOptions
from mla_train.data.file_kinds import IMAGES, FileKind
from mla_train.data.image_files import files_below, is_hidden
from mla_train.data.tables import open_source
from mla_train.data.tables.source import Row, Source
from mla_train.errors import UserError, printable
from mla_train.escaping import spreadsheet_cell
from mla_train.safe_files import UNFINISHED

CHUNK = 1024
WRITTEN = ("csv", "tsv", "jsonl", "json", "parquet", "txt")
"""Formats of answers."""


def open_input(
    path: str, kind: str | None = None, options: TableOptions | None = None, files: FileKind = IMAGES
) -> Source:
    """Opens a folder of images or recordings, or else a file or the standard input, see `open_source`.

    Args:
        path: Folder or file, or "-".
        kind: Format of a table, where its name does not tell.
        options: How tables are written.
        files: Kind of files that a folder holds.

    Raises:
        UserError: There is no such file, it is empty, or of an unknown format.
    """
    folder = Path(path)
    if path == "-" or not folder.is_dir():
        return open_source(path, kind, options)
    endings = files.endings()
    paths = sorted(
        file
        for file in files_below(folder)
        if file.suffix.lower() in endings and not any(map(is_hidden, file.relative_to(folder).parts))
    )
    if not paths:
        raise UserError(f"{folder} holds no {files.name}s")
    rows = (Row({files.input: str(file.relative_to(folder))}) for file in paths)
    return Source(path, "files", [files.input], rows, folder, size=len(paths))


class _Terminal:
    """The standard output; on a terminal, control characters of the data are written out."""

    def write(self, text: str) -> None:
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)


class Writer:
    """Writes rows with answers; a file appears when all of it is written.

    Args:
        path: File, or "-" for the standard output.
        kind: One of `WRITTEN`.
        columns: Names of the columns.
        separator: Separator of csv.
        schema: Types of those columns of parquet that come from the source.
    """

    def __init__(self, path: str, kind: str, columns: Sequence[str], separator: str = ",", schema: Any = None) -> None:
        self.path, self.kind, self.columns, self.separator, self.schema = path, kind, columns, separator, schema
        self.part = None if path == "-" else Path(path).with_name(f"{UNFINISHED}{token_hex(4)}.{Path(path).name}")
        self.stream: Any = None
        self.parquet: Any = None

    def __enter__(self) -> Self:
        """Opens the file."""
        if self.kind == "parquet":
            if self.part is None:
                raise UserError("parquet cannot be written to the standard output: name a file with --output")
            return self
        try:
            self.stream = self.part.open("w", encoding="utf-8", newline="") if self.part else _Terminal()
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}") from error
        if self.kind in ("csv", "tsv"):
            csv.writer(self.stream, delimiter=self.separator, lineterminator="\n").writerow(
                map(spreadsheet_cell, self.columns)
            )
        return self

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes some rows; halves of characters, which cannot be encoded, are replaced."""
        rows = [{name: whole(value) for name, value in row.items()} for row in rows]
        if self.kind == "parquet":
            self._write_parquet(rows)
        elif self.kind == "txt":
            for row in rows:
                cells = (" ".join(str(_cell(row.get(name))).split()) for name in self.columns)
                self.stream.write("\t".join(cells) + "\n")
        elif self.kind == "jsonl":
            self.stream.writelines(f"{json.dumps(row, ensure_ascii=False, default=str)}\n" for row in rows)
        else:
            writer = csv.writer(self.stream, delimiter=self.separator, lineterminator="\n")
            writer.writerows([spreadsheet_cell(_cell(row.get(name))) for name in self.columns] for row in rows)

    def _write_parquet(self, rows: Sequence[Mapping[str, Any]]) -> None:
        import pyarrow
        import pyarrow.parquet

        known = {field.name: field.type for field in self.schema} if self.schema is not None else {}
        arrays = [pyarrow.array([row.get(name) for row in rows], known.get(name)) for name in self.columns]
        if self.parquet is None:
            fields = [
                pyarrow.field(name, pyarrow.string() if pyarrow.types.is_null(array.type) else array.type)
                for name, array in zip(self.columns, arrays, strict=True)
            ]
            self.parquet = pyarrow.parquet.ParquetWriter(self.part, pyarrow.schema(fields))
        schema = self.parquet.schema
        table = [array.cast(each.type) for array, each in zip(arrays, schema, strict=True)]
        self.parquet.write_table(pyarrow.Table.from_arrays(table, schema=schema))

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Closes the file; after an error it does not appear."""
        if self.parquet is not None:
            self.parquet.close()
        if self.part is None:
            sys.stdout.flush()
            return
        try:
            if self.stream is not None:
                self.stream.close()  # a full disk may only be noticed here
            if kind is None:
                os.replace(self.part, self.path)
        finally:
            with suppress(OSError):
                self.part.unlink()


def whole(value: Any) -> Any:
    """A value, in whose texts a sign stands for each half of a character."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [whole(each) for each in value]
    return {whole(name): whole(each) for name, each in value.items()} if isinstance(value, dict) else value


def _cell(value: Any) -> Any:
    """A value as a cell: lists as texts with a bar between, as JSON where a text has a bar; nothing as an empty cell."""
    if isinstance(value, list | tuple):
        texts = [str(each) for each in value]
        return json.dumps(texts, ensure_ascii=False) if any("|" in text for text in texts) else "|".join(texts)
    return "" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def chunks(rows: Iterator[Row], size: int = CHUNK) -> Iterator[list[Row]]:
    """Rows in lists of a size."""
    while chunk := list(islice(rows, size)):
        yield chunk


def table_options(options: Any) -> TableOptions:
    """How the tables of a run were said to be written, for tables that its model reads later.

    Args:
        options: `data` options of the run.
    """
    if not isinstance(options, TableOptions):
        return TableOptions()
    return TableOptions(**{each.name: getattr(options, each.name) for each in fields(TableOptions)})
