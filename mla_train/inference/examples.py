"""Files as rows that are predicted, an example each: tables, folders of images, arrays, whole series."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import TableOptions
from mla_train.data.readers import LABEL_NAMES
from mla_train.data.series_files import (
    is_archive,
    is_number,
    read_archive_file,
    row_columns,
    series_name,
    times_of_steps,
    without_end,
)
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.numbers import as_numbers
from mla_train.data.tables.source import Row, Source
from mla_train.errors import UserError
from mla_train.inference.files import CHUNK, open_input, table_options
from mla_train.inference.predictor import Predictor
from mla_train.modalities import Series


def open_examples(predictor: Predictor, path: str, kind: str | None = None, label: str | None = None) -> Source:
    """Opens a file as a source with a row for each example.

    Args:
        predictor: Trained model.
        path: Path, or "-" for the standard input.
        kind: Format of a table, see `open_input`.
        label: Column of the labels; None takes that of the training data or one of a usual name.

    Raises:
        UserError: There is no such file, or it holds no examples.
    """
    inputs, options = predictor.spec.inputs, predictor.config.data
    if all(each.kind != Series.kind for each in inputs.values()):
        source = open_input(path, kind, table_options(options))
        return _arrays(source, list(inputs)) if source.format == "npz" else source
    return _open_series(options, path, kind, label)


def _arrays(source: Source, inputs: Sequence[str]) -> Source:
    """A source of arrays, which holds inputs by their names; arrays of plain values are its cells."""
    first = next(source.rows)
    lacking = [name for name in inputs if name not in source.columns]
    if len(lacking) == len(inputs):
        raise UserError(f"{source.name} has no array {' or '.join(inputs)}; there are {', '.join(source.columns)}")
    plain = [name for name in source.columns if not np.ndim(first.cells[name])]
    rows = (
        row._replace(
            cells={name: row.cells[name].item() for name in plain},
            values={name: row.cells[name] for name in inputs if name not in lacking},
        )
        for row in chain([first], source.rows)
    )
    return replace(source, columns=plain, rows=rows, has_values=True)


def _open_series(options: Any, path: str, kind: str | None, label: str | None) -> Source:
    """A file of whole series: of the UCR and UEA archives, or a table, as training reads them."""
    file = Path(path)
    if path != "-" and is_archive(file):
        examples = read_archive_file(file)
        names: Sequence[str] = examples.names or ()
        rows = (
            Row({"series": name, "label": label}, values={"series": series})
            for name, label, series in zip(names, examples.targets, examples.inputs["series"], strict=True)
        )
        return Source(path, "series", ["series", "label"], rows, size=len(names), has_values=True)
    source = open_input(path, kind, table_options(options))
    source.has_values = True
    label = label or getattr(options, "label_column", None)
    labels = [name for name in source.columns if name in ((label,) if label else LABEL_NAMES)][:1]
    series_column = getattr(options, "series_column", None)
    if series_column is None:
        others = [*labels, *row_columns(options)]
        source.rows = _wide(source.rows, [name for name in source.columns if name not in others], options)
        return source
    if series_column not in source.columns:
        raise UserError(
            f"{source.name} has no column {series_column}, the series identifier of the training data (data.series_column); there are "
            f"{', '.join(source.columns)}"
        )
    kept = [series_column, *labels]
    time = getattr(options, "time_column", None)
    channels = [name for name in source.columns if name not in (*kept, *row_columns(options))]
    source.rows = _long(list(source.rows), channels, kept, time, source.name, options)
    source.columns, source.size = kept, None
    return source


def _wide(rows: Iterator[Row], columns: Sequence[str], options: Any) -> Iterator[Row]:
    """A row a series; its steps are the columns that hold mostly numbers in the first rows."""
    first = list(islice(rows, CHUNK))
    steps = [name for name in columns if _is_mostly_numbers([row.cells.get(name) for row in first])]
    for row in chain(first, rows):
        try:
            values = without_end(_numbers(row.cells, steps, options)[:, None])
        except UserError as error:
            yield row._replace(error=row.error or str(error))
            continue
        yield row._replace(values={"series": values}, error=row.error or ("" if len(values) else "no numbers"))


def _is_mostly_numbers(cells: Sequence[Any]) -> bool:
    filled = [cell for cell in cells if not is_empty(cell)]
    if 2 * sum(map(is_number, filled)) > len(filled):
        return True
    try:
        return as_numbers("", filled, TableOptions(), []) is not None
    except UserError:
        return True


def _long(
    rows: Sequence[Row], channels: Sequence[str], kept: Sequence[str], time: str | None, name: str, options: Any
) -> Iterator[Row]:
    """A row a step; a step that cannot be read is an error of its series."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(series_name(row.cells.get(kept[0])), []).append(row)
    numeric = [column for column in channels if _is_mostly_numbers([row.cells.get(column) for row in rows])]
    for members in groups.values():
        cells = {column: members[0].cells.get(column) for column in kept}
        error = next((row.error for row in members if row.error), "")
        if not numeric:
            error = f"{name} has no columns of numbers beside {', '.join(kept)}"
        if error:
            yield Row(cells, error)
            continue
        if time is not None:
            places = pd.Index([row.place for row in members], dtype=object)
            times = times_of_steps(pd.Series([row.cells.get(time) for row in members], index=places, name=time), name)
            members = [members[place] for place in np.argsort(times, kind="stable")]
        try:
            yield Row(cells, values={"series": np.stack([_numbers(row.cells, numeric, options) for row in members])})
        except UserError as fault:
            yield Row(cells, str(fault))


def _numbers(cells: Mapping[str, Any], columns: Sequence[str], options: Any) -> np.ndarray:
    return np.array([_number(name, cells.get(name), options) for name in columns])


def _number(name: str, cell: Any, options: Any) -> float:
    """A cell as a number, NaN where it is missing; words and signs are those that the options name."""
    if is_empty(cell):
        return np.nan
    if is_number(cell) and not (options.na_values or options.decimal or options.thousands):
        return float(cell)
    try:
        values = as_numbers(name, [str(cell), "1", "1"], options, [])  # beside numbers, as in its column
    except UserError:
        values = None
    if values is None:
        raise UserError(f"{name} is {cell!r}, not a number")
    return float(values.iloc[0])
