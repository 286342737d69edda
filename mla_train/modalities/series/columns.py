"""A file, or several, as columns: numbers where cells are numbers, and where each row stands."""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.data.tables.cells import as_text, is_empty, is_missing
from mla_train.data.tables.numbers import NumberFormat, read_numbers
from mla_train.data.tables.splits import named_files
from mla_train.data.tables.table import concatenate, read_table
from mla_train.errors import UserError
from mla_train.modalities.series.time_columns import time_column_of
from mla_train.modalities.series.times import are_times, place_of

Formats = Mapping[str, NumberFormat]
"""How the numbers of columns are written."""
INDEX = "index"
"""Name of a column of times that has none."""


def read_series_frame(
    options: SeriesTableOptions, notes: list[str], texts: Iterable[str], known: Formats
) -> tuple[pd.DataFrame, SeriesTableOptions, Formats]:
    """The columns of a table, numbers where most cells are numbers; the index says where rows stand in the file.

    Args:
        options: Where the table is: a file, a list, a pattern or a folder of parts.
        notes: Lines for the user.
        texts: Columns that are texts.
        known: How the numbers of columns of the training data are written.

    Returns:
        The table, the options with its name as `path`, and how the numbers of columns are written where that shows.

    Raises:
        UserError: The table is not there or cannot be read.
    """
    if options.path is None:
        raise UserError("the table is missing: name data.path=FILE (csv, parquet, xlsx, ...)")
    files = named_files(options.path, "path", notes)
    name = str(files[0]) if len(files) == 1 else f"{files[0].parent} ({len(files)} files)"
    options = replace(options, path=name)
    table = concatenate([read_table(file, options) for file in files], name)
    if table.broken:
        raise UserError(
            f"{len(table.broken)} rows cannot be read: {'; '.join(table.broken[:3])}. Correct or remove them"
        )
    notes += table.notes
    for column in (*(options.targets or []), *options.known, *options.observed, *as_list(options.time_column)):
        if column in table.cells:
            table.column(column)  # of which there must not be two
    columns: dict[str, pd.Series] = {}
    formats: dict[str, NumberFormat] = {}
    named_texts = [*texts, *as_list(options.series_column), *as_list(options.time_column)]
    for name, cells in table.cells.items():
        if name in named_texts and not _are_times(cells):
            na_values = () if name in as_list(options.time_column) else options.na_values  # 0 may be an hour
            columns[name] = pd.Series(
                ["" if is_missing(cell, na_values, ()) else as_text(str(cell)).strip() for cell in cells]
            )
            continue
        is_used = options.targets is None or name in (*options.targets, *options.known, *options.observed)
        try:
            column_numbers = read_numbers(
                f"{options.path} column {name}", cells, options, notes, table.places, known.get(name)
            )
        except UserError:
            if is_used:
                raise
            column_numbers = None
        if column_numbers is None:
            columns[name] = pd.Series([as_text(cell) if isinstance(cell, str) else cell for cell in cells])
            continue
        columns[name] = column_numbers.values
        if column_numbers.format is not None:
            formats[name] = column_numbers.format
    frame = pd.DataFrame(columns).set_axis(pd.Index(table.places, dtype=object))
    if options.time_column is None and len(table.index) == len(frame) and not _has_times(frame):
        index = pd.Series([as_text(cell) if isinstance(cell, str) else cell for cell in table.index], frame.index)
        if not index.map(is_empty).any() and are_times(index):
            notes.append("the column without a name holds the times")
            frame.insert(0, INDEX, index)
    if options.time_column is None:
        _keep_zeros(frame, table.cells)
    return frame, options, formats


def _keep_zeros(frame: pd.DataFrame, cells: Mapping[str, Sequence[Any]]) -> None:
    """Takes the texts of the column of times where numbers have no zeros in front, as 01012024 has one."""
    with suppress(UserError):  # of which the reader of the times tells
        name = time_column_of(frame, None)
        if any(isinstance(cell, str) and re.match(r"\s*0\d", cell) for cell in cells.get(name, ())):
            frame[name] = pd.Series(
                ["" if is_empty(cell) else as_text(str(cell)).strip() for cell in cells[name]], frame.index
            )


def _has_times(frame: pd.DataFrame) -> bool:
    try:
        time_column_of(frame, None)
    except UserError:
        return False
    return True


def _are_times(cells: Sequence[Any]) -> bool:
    """Whether cells are times already, as parquet and spreadsheets have them."""
    return all(isinstance(cell, datetime) for cell in cells[:100])


def as_list(named: Any) -> list[str]:
    """Columns that the user names: one, a list of several, or none."""
    return [named] if isinstance(named, str) else list(named or [])


def numbers(column: pd.Series, path: str | None, notes: list[str]) -> np.ndarray:
    """The cells of a column; an empty one is NaN, and so is infinity, which the notes say; one that is no number is a UserError."""
    values = pd.to_numeric(column, errors="coerce")
    odd = np.flatnonzero((values.isna() & column.notna()).to_numpy())
    wrong = [int(row) for row in odd if str(column.iloc[row]).strip()]
    if wrong:
        row = wrong[0]
        raise UserError(
            f"{place_of(column, row, path)}: {column.iloc[row]!r} in column {column.name} is no number: correct it, or say that it "
            "means a missing value with data.na_values="
        )
    infinite = int(np.isinf(values).sum())
    if infinite:
        notes.append(f"{column.name}: {infinite:,} infinite values are read as missing")
    return np.where(np.isinf(values), np.nan, values).astype(float)
