"""Files that say themselves where a cell ends: parquet, Arrow, spreadsheets, arrays, lines of text."""

import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import BytesIO
from itertools import chain, islice
from typing import Any

from mla_train.config import TableOptions
from mla_train.data.packed import UNREADABLE, check_cells, check_regular, check_unpacked, check_zip
from mla_train.data.packed import open_arrays as read_arrays
from mla_train.data.tables.arrow_messages import open_messages
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.columnar import check_parquet, checked
from mla_train.data.tables.dialect import TITLES
from mla_train.data.tables.source import (
    OTHER_ENCODING,
    Row,
    Source,
    is_packed,
    is_undecoded,
    note_sum,
    numbered,
    open_bytes,
    read_lines,
    readable,
)
from mla_train.data.tables.workbook import Workbook
from mla_train.errors import UserError

CHUNK = 1024
MOST_ROWS = 1_048_576  # of a spreadsheet
SHEET_CELL = 64  # bytes of a cell of a spreadsheet, in memory for a while
FORMULA_ALONE = re.compile(rb"<f(?:\s[^<>]*)?(?:/>|>[^<]*</f>)\s*(?:<v\s*/>|<v></v>)?\s*</c>")
ARRAY_CELL = 100  # bytes of a row of an array, as an object of its own


def open_lines(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """A text in each line, as column `text`."""
    lines = read_lines(path, name, options.encoding, newline="")
    rows = (_line(line, f"line {number}") for number, line in enumerate(lines, 1))
    return Source(name, kind, ["text"], rows)


def _line(line: str, place: str) -> Row:
    text = line.rstrip("\r\n")
    if is_undecoded(text):
        return Row({"text": readable(text)}, f"{place} {OTHER_ENCODING}", place)
    return Row({"text": text}, "", place)


def open_columns(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """A parquet or Arrow file."""
    import pyarrow
    import pyarrow.parquet

    packed = is_packed(path)
    try:
        if kind == "parquet":
            source: Any = pyarrow.BufferReader(open_bytes(path).read()) if packed else path
            content = pyarrow.parquet.ParquetFile(source)
            check_parquet(content, source, source.size() if packed else check_regular(path), name)
            schema, size, batches = content.schema_arrow, content.metadata.num_rows, content.iter_batches(CHUNK)
        else:
            table = _arrow_table(path, packed, name)
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

    classes = {}
    with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):  # others write it in other ways
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        classes = {
            name: each["names"] for name, each in features.items() if isinstance(each, dict) and each.get("names")
        }
    columns = numbered(schema.names)
    return Source(name, kind, columns, rows(), size=size, schema=schema, class_names=classes)


def _records(batch: Any) -> list[dict[str, Any]]:
    """Rows of a batch, with a name of its own for each column; texts that are not UTF-8, though they are marked so, as bytes."""
    import pyarrow

    names = numbered(batch.schema.names)
    try:
        return pyarrow.RecordBatch.from_arrays(batch.columns, names).to_pylist()
    except UnicodeDecodeError:
        columns = [
            column.dictionary_decode() if pyarrow.types.is_dictionary(column.type) else column
            for column in batch.columns
        ]
        columns = [column.cast(_with_bytes(column.type)) for column in columns]
        return pyarrow.RecordBatch.from_arrays(columns, names).to_pylist()


def _with_bytes(kind: Any) -> Any:
    """A type with bytes in place of texts."""
    import pyarrow
    from pyarrow import types

    if types.is_string(kind) or types.is_string_view(kind):
        return pyarrow.binary()
    if types.is_large_string(kind):
        return pyarrow.large_binary()
    if types.is_list(kind):
        return pyarrow.list_(_with_bytes(kind.value_type))
    if types.is_large_list(kind):
        return pyarrow.large_list(_with_bytes(kind.value_type))
    if types.is_struct(kind):
        return pyarrow.struct([(each.name, _with_bytes(each.type)) for each in kind])
    return kind


def _arrow_table(path: str, packed: bool, name: str) -> Any:
    """An Arrow file, or stream, as the library datasets writes it."""
    import pyarrow

    with pyarrow.BufferReader(open_bytes(path).read()) if packed else pyarrow.memory_map(path) as stream:
        reader = open_messages(stream, stream.size(), name)
        kept = list(checked(reader, stream.size(), name))
        return pyarrow.Table.from_batches(kept, reader.schema)


def open_sheet(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """The first sheet of a spreadsheet that is seen and has rows.

    The names of the columns are in its first row with several cells; where rows have one cell, in the first that is not empty.
    """
    try:
        from openpyxl.reader.excel import ExcelReader
    except ImportError as error:
        raise UserError(
            f"{name}: a spreadsheet needs the package openpyxl: pip install openpyxl, or save it as csv"
        ) from error
    try:
        content = BytesIO(open_bytes(path).read()) if is_packed(path) else path
        size = content.getbuffer().nbytes if isinstance(content, BytesIO) else check_regular(path)
        check_zip(content, size, name)
        reader = ExcelReader(content, read_only=True, data_only=True)
        reader.archive = Workbook(content, size, name)
        reader.read()
        book = reader.wb
    except UserError:
        raise
    except Exception as error:  # a broken file raises errors of many kinds
        raise UserError(f"{name} cannot be read as xlsx: {error}") from error
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"] or book.worksheets
    if not sheets:
        raise UserError(f"{name} has no sheet with cells: write the table as the first sheet, or save it as csv")
    for sheet in sheets:  # some begin with an empty one, or with a title alone
        filled = _filled_rows(sheet, reader.archive)
        first = list(islice(filled, TITLES))
        if len(first) > (options.header is not False):
            break
    notes = [f"{name} has {len(book.worksheets)} sheets: {sheet.title} is read"] if len(book.worksheets) > 1 else []
    if formulas := _formulas_without_result(content):
        notes.append(
            f"{name}: {formulas:,} formulas have no stored result, so that their cells are empty: open it in a spreadsheet program "
            "and save it"
        )
    titles = next((n for n, (_, row) in enumerate(first) if sum(not is_empty(cell) for cell in row) > 1), 0)
    width = max((len(row) for _, row in first), default=0)
    if options.header is False:
        columns, titles = [f"column_{place}" for place in range(1, width + 1)], -1
    else:
        if titles:
            notes.append(f"{name}: the header is row {first[titles][0]}")
        head = first[titles][1] if first else ()
        columns = numbered(["" if cell is None else str(cell).strip() for cell in _padded(head, width)])
    source = Source(name, kind, columns, iter(()), notes=notes)
    source.rows = _sheet_rows(chain(first[titles + 1 :], filled), source, width, options.header is not False)
    return source


def _sheet_rows(
    rows: Iterable[tuple[int, tuple[Any, ...]]], source: Source, width: int, has_header: bool
) -> Iterator[Row]:
    row: tuple[Any, ...] = ()
    number = 0
    for number, row in rows:
        yield Row(dict(zip(source.columns, _padded(row, width), strict=False)), "", f"row {number}")
    if has_header:
        note_sum(source, row, f"row {number}")


def _formulas_without_result(content: str | BytesIO) -> int:
    """Number of cells of a workbook with a formula alone, as programs write it that do not calculate."""
    with zipfile.ZipFile(content) as archive:
        sheets = [archive.read(name) for name in archive.namelist() if name.startswith("xl/worksheets/")]
    return sum(len(FORMULA_ALONE.findall(sheet)) for sheet in sheets if b"<f" in sheet)


def _padded(row: tuple[Any, ...], width: int) -> tuple[Any, ...]:
    return row + (None,) * (width - len(row))


def _filled_rows(sheet: Any, file: Workbook) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Rows of a sheet that are not empty, with their numbers, up to their last cell; the file may lie about its dimension.

    Raises:
        UserError: Rows are further down or have more cells than they may: each cell names its place.
    """
    from openpyxl.utils.escape import unescape  # of signs such as _x000D_, the first of the two that end a line

    sheet.reset_dimensions()
    count = file.held = 0
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        file.rows += 1
        if file.rows > MOST_ROWS:
            raise UserError(
                f"{file.name} has a cell below row {MOST_ROWS:,}, the last of a spreadsheet: save it as csv"
            )
        count, file.held = count + len(row), 0
        check_cells(number, count // number, file.size, file.name, SHEET_CELL)
        if any(cell is not None and not is_empty(cell) for cell in row):
            yield number, tuple(unescape(cell) if isinstance(cell, str) and "_x" in cell else cell for cell in row)


def open_arrays(path: str, name: str, kind: str, options: TableOptions) -> Source:
    """An npz file whose arrays have a row for each example."""
    with read_arrays(path) as content:
        arrays = {each: content[each] for each in content.files}
    arrays = {each: array for each, array in arrays.items() if array.ndim}
    counts = {len(array) for array in arrays.values()}
    if len(counts) != 1:
        raise UserError(
            f"{name}: arrays need one row for each example; these have {', '.join(map(str, sorted(counts)))} rows"
        )
    (size,) = counts
    check_unpacked(size * len(arrays) * ARRAY_CELL, 0 if path == "-" else check_regular(path), name)
    rows = (Row({each: array[i] for each, array in arrays.items()}, "", f"row {i}") for i in range(size))
    return Source(name, kind, list(arrays), rows, size=size)
