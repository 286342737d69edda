"""Rows of files as a stream, and files of answers in the same format: csv, tsv, jsonl, parquet, lines, image folders.

Nothing is held in memory but a chunk of rows. A row that cannot be read keeps its place, with what is wrong with it.
"""

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Self

from mla_train.data.rows import OPENERS
from mla_train.errors import UserError

CHUNK = 1024
FORMATS = ("csv", "tsv", "jsonl", "json", "parquet", "txt")
IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


class Row(NamedTuple):
    """A row of a file.

    Attributes:
        cells: Column name to cell, as the file has it.
        error: What is wrong with the row; empty where it could be read.
        values: Raw value of each input, where the source reads them itself.
    """

    cells: Mapping[str, Any]
    error: str = ""
    values: Mapping[str, Any] | None = None


@dataclass
class Source:
    """A file that is read as a stream.

    Attributes:
        name: Name of the file, for messages.
        format: One of `FORMATS`, or "images".
        columns: Names of its columns.
        rows: Its rows in order.
        folder: Folder that paths in cells are relative to.
        separator: Separator of csv.
        size: Number of rows where it is known without reading them.
        schema: Types of the columns of parquet.
        has_values: Whether rows have `values`.
    """

    name: str
    format: str
    columns: list[str]
    rows: Iterator[Row]
    folder: Path = field(default_factory=Path)
    separator: str = ","
    size: int | None = None
    schema: Any = None
    has_values: bool = False


def open_source(path: str, kind: str | None = None) -> Source:
    """Opens a file, a folder of images or the standard input.

    Args:
        path: Path, or "-" for the standard input.
        kind: One of `FORMATS`; None takes the ending of the file, and lines of text for the standard input.

    Raises:
        UserError: There is no such file, it is empty, or of an unknown format.
    """
    if path == "-":
        return _open_stream(sys.stdin.buffer, "standard input", kind or "txt", Path())
    file = Path(path)
    if file.is_dir():
        return _open_folder(file)
    if not file.is_file():
        raise UserError(f"{file}: there is no such file or folder ({file.resolve()})")
    kind = kind or format_of(file)
    if kind is None:
        raise UserError(f"{file}: cannot read {file.suffix or 'a file without ending'}; use .{', .'.join(FORMATS)}")
    if kind == "parquet":
        return _open_parquet(file)
    opener: Any = OPENERS.get(file.suffix, open)
    return _open_stream(opener(file, "rb"), str(file), kind, file.parent)


def format_of(file: Path) -> str | None:
    """Format by the ending of a file, also of a compressed one; None where it is unknown."""
    ending = (file.with_suffix("") if file.suffix in OPENERS else file).suffix.lower().removeprefix(".")
    return ending if ending in FORMATS else None


def _open_folder(folder: Path) -> Source:
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in IMAGES and not path.name.startswith(".")
    )
    if not files:
        raise UserError(f"{folder} holds no images")
    rows = (Row({"image": str(path.relative_to(folder))}) for path in files)
    return Source(str(folder), "images", ["image"], rows, folder, size=len(files))


def _open_stream(stream: BinaryIO, name: str, kind: str, folder: Path) -> Source:
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    rows = {"txt": _lines, "jsonl": _json_lines, "json": _json_list}.get(kind)
    if rows is not None:
        decoded = _decoded(rows(text), name)
        first = next(decoded, None)
        if first is None:
            raise UserError(f"{name} has no rows")
        columns = list(dict.fromkeys(first.cells))
        return Source(name, "jsonl" if kind == "json" else kind, columns, _chain(first, decoded), folder)
    header = next(_decoded(iter(text.readline, ""), name), "")  # the first line tells the separator
    separator = "\t" if kind == "tsv" else ";" if header.count(";") > header.count(",") else ","
    columns = next(csv.reader([header], delimiter=separator), [])
    if not columns:
        raise UserError(f"{name} has no rows")
    return Source(name, kind, columns, _decoded(_separated(text, columns, separator), name), folder, separator)


def _chain(first: Row, others: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from others


def _decoded(rows: Iterable[Any], name: str) -> Iterator[Any]:
    """Rows of a text file; one that is not UTF-8 or broken stops with a clear error."""
    try:
        yield from rows
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8; save it in that encoding") from error
    except (OSError, EOFError) as error:
        raise UserError(f"{name} cannot be read: {error}") from error


def _lines(text: io.TextIOWrapper) -> Iterator[Row]:
    for line in text:
        yield Row({"text": line.rstrip("\r\n")})


def _json_lines(text: io.TextIOWrapper) -> Iterator[Row]:
    for number, line in enumerate(text, 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except ValueError:
            cells = None
        yield Row(cells) if isinstance(cells, dict) else Row({}, f"line {number} is no JSON object")


def _json_list(text: io.TextIOWrapper) -> Iterator[Row]:
    try:
        items = json.load(text)
    except ValueError as error:
        raise UserError(f"no JSON: {error}") from error
    for number, cells in enumerate(items if isinstance(items, list) else [items], 1):
        yield Row(cells) if isinstance(cells, dict) else Row({}, f"item {number} is no JSON object")


def _separated(text: io.TextIOWrapper, columns: list[str], separator: str) -> Iterator[Row]:
    reader = csv.reader(text, delimiter=separator)
    for cells in reader:
        row = dict(zip(columns, cells, strict=False))
        if len(cells) == len(columns):
            yield Row(row)
        elif cells:
            yield Row(row, f"line {reader.line_num + 1} has {len(cells)} cells, the header has {len(columns)}")


def _open_parquet(file: Path) -> Source:
    import pyarrow
    import pyarrow.parquet

    try:
        content = pyarrow.parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    rows = (Row(cells) for batch in content.iter_batches(CHUNK) for cells in batch.to_pylist())
    schema = content.schema_arrow
    return Source(
        str(file), "parquet", list(schema.names), rows, file.parent, size=content.metadata.num_rows, schema=schema
    )


class Writer:
    """Writes rows with answers; a file appears when all of it is written.

    Args:
        path: File, or "-" for the standard output.
        kind: One of `FORMATS`.
        columns: Names of the columns.
        separator: Separator of csv.
        schema: Types of those columns of parquet that come from the source.
    """

    def __init__(self, path: str, kind: str, columns: Sequence[str], separator: str = ",", schema: Any = None) -> None:
        self.path, self.kind, self.columns, self.separator, self.schema = path, kind, columns, separator, schema
        self.part = None if path == "-" else Path(f"{path}.part")
        self.stream: Any = None
        self.parquet: Any = None

    def __enter__(self) -> Self:
        """Opens the file."""
        if self.kind == "parquet":
            if self.part is None:
                raise UserError("parquet cannot be written to the standard output: name a file with --output")
            return self
        try:
            self.stream = self.part.open("w", encoding="utf-8", newline="") if self.part else sys.stdout
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}") from error
        if self.kind in ("csv", "tsv"):
            csv.writer(self.stream, delimiter=self.separator, lineterminator="\n").writerow(self.columns)
        return self

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes some rows."""
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
            writer.writerows([_cell(row.get(name)) for name in self.columns] for row in rows)

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
        if self.stream is not None:
            self.stream.close()
        if kind is None:
            os.replace(self.part, self.path)
        else:
            with suppress(FileNotFoundError):
                self.part.unlink()


def _cell(value: Any) -> Any:
    """A value as a cell: lists as texts with a bar between, nothing as an empty cell."""
    if isinstance(value, list | tuple):
        return "|".join(map(str, value))
    return "" if value is None else json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def chunks(rows: Iterator[Row], size: int = CHUNK) -> Iterator[list[Row]]:
    """Rows in lists of a size."""
    while chunk := list(islice(rows, size)):
        yield chunk
