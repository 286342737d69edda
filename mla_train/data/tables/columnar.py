"""What a parquet or Arrow file unpacks to, found before its rows are made."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from mla_train.data import packed
from mla_train.data.packed import check_unpacked

ROWS = 65_536  # that are looked at together
NESTED_ROWS = 256  # where cells are lists or structures, whose repeated values are not kept as a dictionary
CELL = 8  # bytes of the shortest cell in memory


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
    if packed.is_small(size):
        paths = [content.schema.column(place).path for place in range(metadata.num_columns)]
        flat = [path for path in paths if path in content.schema_arrow.names]
        rows = ROWS if len(flat) == len(paths) else NESTED_ROWS
        again = pyarrow.parquet.ParquetFile(source, read_dictionary=flat)
        for _ in checked(again.iter_batches(rows), size, name):
            pass


def checked(batches: Iterable[Any], size: int, name: str) -> Iterator[Any]:
    """The batches of a file of a size; raises UserError where it unpacks to more than it may."""
    count = 0.0
    for batch in batches:
        count += sum(map(_bytes_of, batch.columns))
        check_unpacked(count, size, name)
        yield batch


def _bytes_of(column: Any) -> float:
    """Bytes of a column whose cells are written one by one."""
    import pyarrow.compute
    from pyarrow import types

    kind = column.type
    if not types.is_dictionary(kind):
        return max(column.nbytes, CELL * len(column))
    value = kind.value_type
    if not (
        types.is_string(value) or types.is_binary(value) or types.is_large_string(value) or types.is_large_binary(value)
    ):
        return CELL * len(column)
    lengths = pyarrow.compute.binary_length(column.dictionary).to_numpy(zero_copy_only=False)
    places = column.indices.drop_null().to_numpy(zero_copy_only=False)
    return CELL * len(column) + float(np.asarray(lengths, float)[places].sum())
