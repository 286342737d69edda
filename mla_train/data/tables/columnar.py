"""What a parquet or Arrow file unpacks to, found before its rows are made."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

import numpy as np

from mla_train.data import packed
from mla_train.data.packed import CELL, check_unpacked, most_bytes

ROWS = 65_536  # that are looked at together
NESTED_ROWS = 16  # where cells are lists or structures whose repeated values cannot be kept as a dictionary
DELTA = {"DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"}
"""Encodings of texts that are not read as a dictionary."""


def check_parquet(content: Any, source: Any, size: int, name: str) -> None:
    """Checks what an open parquet file says of itself, and, of a small one, what its cells are: a dictionary repeats them.

    Args:
        content: The open file.
        source: Path or buffer of the file.
        size: Bytes of the file.
        name: Name of the file, for messages.

    Raises:
        UserError: It unpacks to more than it may.
    """
    import pyarrow.parquet

    metadata = content.metadata
    groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
    check_unpacked(max(metadata.num_rows, sum(group.num_rows for group in groups)) * CELL, size, name)
    check_unpacked(sum(group.total_byte_size for group in groups), size, name)
    check_unpacked(_least_bytes(content), size, name)
    lists = [
        chunk
        for chunk, column in _chunks(content)
        if column.max_repetition_level and "DELTA_BYTE_ARRAY" in chunk.encodings
    ]
    for chunk in lists:  # each text may repeat all of the one before, and a row has any number of them
        check_unpacked(chunk.num_values * chunk.total_uncompressed_size, size, name)
    if packed.is_small(size):
        try:
            _look_through(content, source, size, name, nested=True)
        except pyarrow.ArrowNotImplementedError:  # a list or structure whose dictionary ends before its values do
            _look_through(content, source, size, name, nested=False)


def _look_through(content: Any, source: Any, size: int, name: str, nested: bool) -> None:
    """Reads all rows to nowhere, repeated texts as a dictionary: also those inside of cells, where that is `nested`."""
    import pyarrow.parquet

    chunks = list(_chunks(content))
    names = set(content.schema_arrow.names)
    plain = {column.path for chunk, column in chunks if DELTA & set(chunk.encodings)}
    if not nested:
        plain |= {column.path for _, column in chunks if column.path not in names}
    paths = [column.path for _, column in chunks if column.path not in plain]
    again = pyarrow.parquet.ParquetFile(source, read_dictionary=paths)
    # A row has no more bytes than its piece of the column, unless it is a list.
    longest = max((chunk.total_uncompressed_size for chunk, column in chunks if column.path in plain), default=0)
    rows = min(ROWS if nested else NESTED_ROWS, max(1, most_bytes() // max(1, longest)))
    batches = (again.iter_batches(rows, row_groups=[group]) for group in range(content.num_row_groups))
    for _ in checked(chain.from_iterable(batches), size, name):
        pass


def _chunks(content: Any) -> Iterator[tuple[Any, Any]]:
    """The pieces that the columns of an open parquet file are stored in, each with its column."""
    for group in map(content.metadata.row_group, range(content.metadata.num_row_groups)):
        for place in range(group.num_columns):
            yield group.column(place), content.schema.column(place)


def _least_bytes(content: Any) -> int:
    """Bytes that the values of an open parquet file take at least, also the inner ones of lists, before any is decoded."""
    return sum(chunk.num_values * max(CELL, column.length or 0) for chunk, column in _chunks(content))


def checked(batches: Iterable[Any], size: int, name: str) -> Iterator[Any]:
    """The batches of a file of a size; raises UserError where it unpacks to more than it may."""
    count = 0.0
    for batch in batches:
        count += sum(map(_bytes_of, batch.columns))
        check_unpacked(count, size, name)
        yield batch


def _bytes_of(column: Any) -> float:
    """Bytes of a column whose cells, or values inside of cells, are written one by one.

    Raises:
        pyarrow.ArrowInvalid: It is damaged, or of a type that may repeat values uncounted.
    """
    import pyarrow
    from pyarrow import types

    if isinstance(column, pyarrow.ExtensionArray):
        column = column.storage
    column.validate()
    kind = column.type
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) or types.is_map(kind):
        if not types.is_fixed_size_list(kind):
            _check_lengths(np.diff(column.offsets.to_numpy()))
        return CELL * len(column) + _bytes_of(_items_of(column))
    if types.is_struct(kind):
        return CELL * len(column) + sum(map(_bytes_of, column.flatten()))
    if not types.is_dictionary(kind):
        return max(column.nbytes, CELL * len(column), float(_lengths(column).sum()))
    lengths = _lengths(column.dictionary)
    places = column.indices.drop_null().to_numpy(zero_copy_only=False)
    if len(places) and not 0 <= places.min() <= places.max() < len(lengths):
        raise pyarrow.ArrowInvalid("a cell is none of its dictionary")
    return CELL * len(column) + float(lengths[places].sum())


def _lengths(column: Any) -> np.ndarray:
    """Bytes of each cell of a column of texts or numbers."""
    import pyarrow
    import pyarrow.compute
    from pyarrow import types

    kind, count = column.type, len(column)
    if types.is_string_view(kind) or types.is_binary_view(kind):  # several cells may be the same bytes
        views = np.frombuffer(column.buffers()[1] or b"", np.int32)[4 * column.offset :: 4][:count]
        return np.where(column.is_valid().to_numpy(zero_copy_only=False), views, 0).astype(float)
    if types.is_string(kind) or types.is_binary(kind) or types.is_large_string(kind) or types.is_large_binary(kind):
        lengths = pyarrow.compute.binary_length(column).fill_null(0)
        return _check_lengths(lengths.to_numpy(zero_copy_only=False)).astype(float)
    if types.is_null(kind):
        return np.zeros(count)
    if types.is_primitive(kind) or types.is_decimal(kind) or types.is_fixed_size_binary(kind):
        return np.full(count, kind.bit_width / 8)
    raise pyarrow.ArrowInvalid(f"a column of the type {kind} is not read: write texts, numbers, or lists of them")


def _check_lengths(lengths: np.ndarray) -> np.ndarray:
    """Lengths of the cells of a column, of which none may be negative."""
    import pyarrow

    if len(lengths) and lengths.min() < 0:
        raise pyarrow.ArrowInvalid("a cell ends before it begins")
    return lengths


def _items_of(column: Any) -> Any:
    """The values of all lists of a column; of a map, its keys and items."""
    import pyarrow
    from pyarrow import types

    if not types.is_map(column.type):
        return column.flatten()
    first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
    pairs = [column.keys[first:last], column.items[first:last]]
    return pyarrow.StructArray.from_arrays(pairs, ["key", "value"])
