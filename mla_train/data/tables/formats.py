"""Files of records that say themselves where a cell ends: JSON, parquet, Arrow, spreadsheets, arrays, lines of text."""

import json
from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from typing import Any

from mla_train.config import TableOptions
from mla_train.data.tables.source import (
    OTHER_ENCODING,
    UNREADABLE,
    Row,
    Source,
    is_packed,
    is_undecoded,
    numbered,
    open_bytes,
    read_lines,
    readable,
)
from mla_train.errors import UserError

CHUNK = 1024


def open_lines(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """A text in each line, as column `text`."""
    lines = read_lines(path, name, options.encoding)
    rows = (_line(line, f"line {number}") for number, line in enumerate(lines, 1))
    return Source(name, kind, ["text"], rows)


def _line(line: str, place: str) -> Row:
    text = line.rstrip("\r\n")
    if is_undecoded(text):
        return Row({"text": readable(text)}, f"{place} {OTHER_ENCODING}", place)
    return Row({"text": text}, "", place)


def open_json(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """An object in each line; or one list of objects, or one object of columns, as pandas writes it.

    The columns are those of the first objects; a column that appears later is one, too.
    """
    lines = read_lines(path, name, options.encoding)
    first = next((line for line in lines if line.strip()), "")
    if first.lstrip().startswith("["):
        rows = _items(_whole(first, lines, name))
    elif _parsed(first) is None and kind == "json":
        rows = _items(_records_of(_whole(first, lines, name)))
    else:
        rows = _objects(chain([first], lines))
        known = _parsed(first)
        if (
            kind == "json"
            and isinstance(known, dict)
            and known
            and all(isinstance(v, dict | list) for v in known.values())
        ):
            rows = _items(_records_of(known))
    columns = dict[str, None]()
    head: list[Row] = []
    for row in rows:
        head.append(row)
        columns |= dict.fromkeys(row.cells)
        if len(head) == CHUNK:
            break
    return Source(name, "jsonl", list(columns), chain(head, rows))


def _parsed(text: str) -> Any:
    """The value of a piece of JSON; None if it is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _whole(first: str, lines: Iterator[str], name: str) -> Any:
    try:
        return json.loads(first + "".join(lines))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{name} is no JSON: {error}") from error


def _records_of(value: Any) -> list[Any]:
    """The rows of one object: `{column: {row: cell}}` or `{column: [cells]}` as pandas writes it, or {"data": [rows]}."""
    if not isinstance(value, dict):
        return [value]
    lists = [each for each in value.values() if isinstance(each, list)]
    if lists and all(isinstance(item, dict) for item in lists[0]) and len(lists) == 1:
        return lists[0]
    columns = {
        k: list(v.values()) if isinstance(v, dict) else v for k, v in value.items() if isinstance(v, dict | list)
    }
    if not columns or len({len(cells) for cells in columns.values()}) != 1 or len(columns) < len(value):
        return [value]
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]


def _items(items: Any) -> Iterator[Row]:
    for number, cells in enumerate(items if isinstance(items, list) else [items], 1):
        place = f"item {number}"
        yield Row(cells, "", place) if isinstance(cells, dict) else Row({}, f"{place} is no JSON object", place)


def _objects(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        place = f"line {number}"
        if is_undecoded(line):
            yield Row({}, f"{place} {OTHER_ENCODING}", place)
        elif line.strip():
            cells = _parsed(line)
            yield Row(cells, "", place) if isinstance(cells, dict) else Row({}, f"{place} is no JSON object", place)


def open_columns(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """A parquet or Arrow file."""
    import pyarrow
    import pyarrow.ipc
    import pyarrow.parquet

    packed = is_packed(path)
    try:
        if kind == "parquet":
            content = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(open_bytes(path).read()) if packed else path)
            schema, size, batches = content.schema_arrow, content.metadata.num_rows, content.iter_batches(CHUNK)
        else:
            table = _arrow_table(path, packed)
            schema, size, batches = table.schema, table.num_rows, iter(table.to_batches(CHUNK))
    except (pyarrow.ArrowException, *UNREADABLE) as error:
        raise UserError(f"{name} cannot be read: {error}") from error

    def rows() -> Iterator[Row]:
        number = 0
        try:
            for batch in batches:
                for cells in _records(batch):
                    number += 1
                    yield Row(cells, "", f"row {number}")
        except (pyarrow.ArrowException, *UNREADABLE) as error:
            raise UserError(f"{name} cannot be read behind row {number}: {error}") from error

    stored = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = stored.get("info", {}).get("features", {}) if isinstance(stored, dict) else {}
    classes = {name: each["names"] for name, each in features.items() if isinstance(each, dict) and each.get("names")}
    columns = [column for column in schema.names if not column.startswith("__index_level_")]
    return Source(name, kind, columns, rows(), size=size, schema=schema, class_names=classes)


def _records(batch: Any) -> list[dict[str, Any]]:
    """Rows of a batch; texts that are not UTF-8, though they are marked so, as bytes."""
    import pyarrow

    try:
        return batch.to_pylist()
    except UnicodeDecodeError:
        is_text = pyarrow.types.is_string
        columns = [column.view(pyarrow.binary()) if is_text(column.type) else column for column in batch.columns]
        return pyarrow.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()


def _arrow_table(path: str, packed: bool) -> Any:
    """An Arrow file, or stream, as the library datasets writes it."""
    import pyarrow.ipc

    with pyarrow.BufferReader(open_bytes(path).read()) if packed else pyarrow.memory_map(path) as stream:
        try:
            return pyarrow.ipc.open_file(stream).read_all()
        except pyarrow.ArrowInvalid:
            stream.seek(0)
            return pyarrow.ipc.open_stream(stream).read_all()


def open_sheet(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """The first sheet of a spreadsheet; its first row that is not empty holds the names of the columns."""
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(
            f"{name}: a spreadsheet needs the package openpyxl: pip install openpyxl, or save it as csv"
        ) from error
    try:
        book = load_workbook(open_bytes(path), read_only=True, data_only=True)
    except Exception as error:  # a broken file raises errors of many kinds
        raise UserError(f"{name} cannot be read as xlsx: {error}") from error
    sheet = book.worksheets[0]
    notes = [f"{name} has {len(book.worksheets)} sheets: {sheet.title} is read"] if len(book.worksheets) > 1 else []
    cells = ((n, row) for n, row in enumerate(sheet.iter_rows(values_only=True), 1) if any(c is not None for c in row))
    _, head = next(cells, (0, ()))
    columns = numbered(["" if cell is None else str(cell).strip() for cell in head])
    rows = (Row(dict(zip(columns, row, strict=False)), "", f"row {number}") for number, row in cells)
    return Source(name, kind, columns, rows, notes=notes)


def open_arrays(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """An npz file whose arrays have a row for each example."""
    import zipfile

    import numpy as np

    try:
        packed = is_packed(path)
        with np.load(BytesIO(open_bytes(path).read()) if packed else path, allow_pickle=False) as content:
            arrays = {each: content[each] for each in content.files}
    except (ValueError, zipfile.BadZipFile, *UNREADABLE) as error:
        raise UserError(
            f"{name} cannot be read: {error}. Write it with numpy.savez, numbers and strings alone"
        ) from error
    arrays = {each: array for each, array in arrays.items() if array.ndim}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1:
        raise UserError(
            f"{name}: arrays need one row for each example; these have {', '.join(map(str, sorted(counts)))} rows"
        )
    (size,) = counts
    rows = (Row({each: array[i] for each, array in arrays.items()}, "", f"row {i}") for i in range(size))
    return Source(name, kind, list(arrays), rows, size=size)
