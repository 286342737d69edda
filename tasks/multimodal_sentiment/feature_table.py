"""Features that were computed elsewhere: arrays in one npz or parquet file, an array for each modality.

Rows are counted from 0, in names and in messages, as numpy and pandas count them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.examples import Examples, RawData
from mla_train.data.packed import check_regular, open_arrays
from mla_train.data.rows import RowName
from mla_train.data.splits import PART_NAMES, SPLITS
from mla_train.data.tables.cells import as_label, is_missing
from mla_train.data.tables.columnar import check_parquet
from mla_train.errors import UserError
from tasks.multimodal_sentiment.config import FeatureTableConfig

ENDINGS = (".npz", ".parquet")


def read_feature_table(options: FeatureTableConfig) -> RawData:
    """Features of each input, labels, and perhaps splits and sequences.

    Raises:
        UserError: The file or an array does not exist, or has unusable contents.
    """
    file, columns = _read(options)
    values = {name: _features(file, name, columns[name]) for name in options.modalities}
    labels = _cells(file, options.label, columns[options.label])
    sequences, names = None, np.array([])
    if options.sequence is not None:
        sequences, names = pd.factorize(_cells(file, options.sequence, columns[options.sequence]))
    asked = {"ids": options.id_column, "groups": options.group_column, "times": options.time_column}
    keys = {key: _cells(file, name, columns[name]).tolist() for key, name in asked.items() if name is not None}
    row_names = [
        RowName(str(file), f"row {i}", as_label(each)) for i, each in enumerate(keys.pop("ids", [""] * len(labels)))
    ]
    whole = Examples(values, labels, row_names, sequences, **keys)
    rows = {"train": np.arange(len(labels))}
    if options.split is not None:
        splits = _splits(file, options.split, _cells(file, options.split, columns[options.split]))
        if sequences is not None:
            _check_whole(file, splits, sequences, names)
        rows = {split: np.flatnonzero(splits == split) for split in SPLITS if (splits == split).any()}
    return RawData({split: whole.select(places) for split, places in rows.items()})


def _read(options: FeatureTableConfig) -> tuple[Path, dict[str, Any]]:
    """The file and those of its arrays that the options name, all of one length."""
    if not options.path:
        raise UserError("data.path is missing: name the file of the features, data.path=FILE (npz or parquet)")
    roles = [("data.modalities", name) for name in options.modalities] + [("data.label", options.label)]
    others = ("data.split", options.split), ("data.sequence", options.sequence)
    roles += [(option, name) for option, name in others if name is not None]
    names = [name for _, name in roles]
    roles += [
        (f"data.{key}", getattr(options, key))
        for key in ("id_column", "group_column", "time_column")
        if getattr(options, key) not in (None, *names)
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"{', '.join(twice)}: an array is one of data.modalities, data.label, data.split and data.sequence, not two"
        )
    file = Path(options.path)
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    kind = file.suffix.lower()
    if kind not in ENDINGS:
        raise UserError(
            f"{file}: cannot read {kind or 'a file without ending'}; use {', '.join(ENDINGS)}, with an array for each of "
            "data.modalities, which is a list of numbers in each cell of parquet"
        )
    columns = (_read_npz if kind == ".npz" else _read_parquet)(file, roles)
    count = len(columns[options.label])
    for name, column in columns.items():
        if len(column) != count:
            raise UserError(
                f"{file}: {name} has {len(column):,} rows, but {options.label} has {count:,}; each array needs one row for "
                "each example"
            )
    if not count:
        raise UserError(f"{file} has no rows")
    return file, columns


def _must_have(file: Path, roles: list[tuple[str, str]], there: Sequence[str]) -> None:
    for option, name in roles:
        if name not in there:
            raise UserError(f"{file} has no array {name} ({option}=); there are {', '.join(there)}")
        if list(there).count(name) > 1:
            raise UserError(f"{file} has several arrays called {name}; give each a name of its own")


def _read_npz(file: Path, roles: list[tuple[str, str]]) -> dict[str, np.ndarray]:
    with open_arrays(file) as arrays:
        _must_have(file, roles, arrays.files)
        return {name: _read_array(file, name, arrays) for _, name in roles}


def _read_array(file: Path, name: str, arrays: Any) -> np.ndarray:
    try:
        array = arrays[name]
    except ValueError as error:
        raise UserError(
            f"{file}: {name} cannot be read: {error}. Save numbers, or strings as an array of dtype str; Python objects "
            "are refused"
        ) from error
    if not isinstance(array, np.ndarray) or not array.ndim:
        raise UserError(f"{file}: {name} is not an array with a row for each example")
    return array


def _read_parquet(file: Path, roles: list[tuple[str, str]]) -> dict[str, Any]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(file) as content:
            check_parquet(content, file, check_regular(file), str(file))
            _must_have(file, roles, content.schema_arrow.names)
            table = content.read(columns=[name for _, name in roles])
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{file} cannot be read as parquet: {error}; write it anew") from error
    return {name: table.column(name) for _, name in roles}


def _cells(file: Path, name: str, column: Any) -> np.ndarray:
    """Labels, splits or sequences: numbers or strings `(examples,)`, none of them missing.

    An array of npz may have further axes of length 1; else it is a column of parquet.
    """
    if isinstance(column, np.ndarray):
        content = f"{column.dtype} of shape {column.shape}"
        cells = column.reshape(-1) if column.size == len(column) else column
    else:
        content, listed = str(column.type), column.to_pylist()
        _refuse(file, name, "no value", [i for i, cell in enumerate(listed) if cell is None])
        cells = np.array(None if column.type.num_fields else listed)
    if cells.ndim != 1 or cells.dtype.kind not in "biufUS":
        raise UserError(f"{file}: {name} holds {content}; needed is one number or string in each row")
    if cells.dtype.kind == "S":
        cells = np.char.decode(cells, "utf-8", "replace")
    if cells.dtype.kind == "f":
        _refuse(file, name, "NaN or inf", np.flatnonzero(~np.isfinite(cells)))
    if cells.dtype.kind == "U":
        missing = [each for each in np.unique(cells) if is_missing(each)]
        _refuse(file, name, "no value", np.flatnonzero(np.isin(cells, missing)))
    return cells


def _refuse(file: Path, name: str, fault: str, rows: Sequence[int] | np.ndarray) -> None:
    if len(rows):
        raise UserError(
            f"{file}: {name} has {fault} in {len(rows):,} rows, the first is row {rows[0]} (counted from 0); "
            "correct these rows, or leave them out of the file"
        )


def _splits(file: Path, name: str, cells: np.ndarray) -> np.ndarray:
    """train, val or test for each row."""
    known = {alias: split for split, aliases in PART_NAMES.items() for alias in aliases}
    splits = np.array([known.get(str(cell).strip().lower(), "") for cell in cells])
    if "" in splits:
        row = int(np.argmin(splits != ""))
        raise UserError(
            f"{file}: {name} has {cells[row]} in row {row} (counted from 0); splits are called {', '.join(known)}"
        )
    if "train" not in splits:
        raise UserError(f"{file}: {name} marks no row as train; remove data.split= to have splits cut")
    return splits


def _check_whole(file: Path, splits: np.ndarray, sequences: np.ndarray, names: np.ndarray) -> None:
    first = splits[np.unique(sequences, return_index=True)[1]]
    torn = np.flatnonzero(splits != first[sequences])
    if len(torn):
        number = sequences[torn[0]]
        raise UserError(
            f"{file}: sequence {names[number]} is in {first[number]} and, with row {torn[0]} (counted from 0), in "
            f"{splits[torn[0]]}; put all rows of a sequence into one split"
        )


def _features(file: Path, name: str, column: Any) -> list[np.ndarray]:
    """Features of each row, `(width,)` or `(length, width)`; a missing one has length 0.

    An array of npz is `(examples, width)` or `(examples, steps, width)`; else it is a column of parquet.
    """
    rows = _from_array(file, name, column) if isinstance(column, np.ndarray) else _from_lists(file, name, column)
    width = next((row.shape[-1] for row in rows if row is not None), 0)
    values, broken = [], []
    for i, row in enumerate(rows):
        if row is None:
            values.append(np.zeros((0, width), np.float32))
            continue
        if row.shape[-1] != width:
            raise UserError(
                f"{file}: {name} has {row.shape[-1]} features in row {i} (counted from 0), but {width} in those before; "
                "give all the same width"
            )
        with np.errstate(over="ignore"):
            value = row.astype(np.float32, copy=False)
        if not np.isfinite(value).all():
            broken.append(i)
        values.append(value)
    _refuse(file, name, "NaN or inf", broken)
    return values


def _from_array(file: Path, name: str, array: np.ndarray) -> list[np.ndarray | None]:
    if array.ndim not in (2, 3) or not array.shape[-1] or array.dtype.kind not in "biuf":
        raise UserError(
            f"{file}: {name} holds {array.dtype} of shape {array.shape}; features are numbers of shape (examples, width) "
            "or (examples, steps, width)"
        )
    return list(array)


def _from_lists(file: Path, name: str, column: Any) -> list[np.ndarray | None]:
    """Rows of a parquet column; one that is null or empty is missing."""
    import pyarrow.compute
    from pyarrow import types

    kind, depth = column.type, 0
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind, depth = kind.value_type, depth + 1
    numeric = types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
    if not types.is_null(column.type) and not (numeric and depth in (1, 2)):
        raise UserError(f"{file}: {name} holds {column.type}; features are lists of numbers, or lists of such lists")
    rows: list[np.ndarray | None] = []
    for i, cell in enumerate(column):
        if not cell.is_valid or not len(cell.values):
            rows.append(None)
            continue
        shape, numbers = [len(cell.values)], cell.values
        if depth == 2:
            widths = pyarrow.compute.list_value_length(numbers).unique().to_pylist()
            if len(widths) > 1 or widths == [None]:
                raise UserError(
                    f"{file}: {name} has steps of different width in row {i} (counted from 0); give all the same width"
                )
            shape, numbers = shape + widths, numbers.flatten()
        rows.append(numbers.to_numpy(zero_copy_only=False, writable=True).reshape(shape))
    return rows
