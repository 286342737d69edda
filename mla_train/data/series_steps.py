"""Long tables of labelled series, a row a step: which rows are of which series, and in which order, in training and prediction."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.tables.cells import is_missing
from mla_train.errors import UserError


def rows_of_series(
    cells: Sequence[Any], places: Sequence[str], column: str, na_values: Sequence[str]
) -> dict[str, list[int]]:
    """Rows of each series, by its name.

    Args:
        cells: Names of the series, a row each.
        places: File and place of each row, for messages.
        column: Column of the names.
        na_values: What the user says to mean a missing name.

    Raises:
        UserError: A row has no name.
    """
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(cells):
        if is_missing(cell, na_values):
            raise UserError(
                f"{places[row]}: there is no name in column {column}: write that of the series, or remove the row"
            )
        rows.setdefault(series_name(cell), []).append(row)
    return rows


def series_name(cell: Any) -> str:
    """The one form of the name of a series: 3, 3.0 and "3 " are one."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def repeated_step(name: str, rows: Sequence[int], times: np.ndarray, cells: pd.Series) -> str:
    """What is wrong with a series one of whose steps stands twice; empty where none does.

    Args:
        name: Name of the series.
        rows: Its rows in order of time.
        times: Time of each row of the table, `(rows,)`.
        cells: Cells of these times; the index tells where they stand in the file.
    """
    twice = next((pair for pair in pairwise(rows) if times[pair[0]] == times[pair[1]]), None)
    if twice is None:
        return ""
    first, second = (cells.index[row] for row in twice)
    return f"{cells.iloc[twice[0]]} of column {cells.name} stands twice in series {name}, in {first} and {second}: remove one"


def without_end(values: np.ndarray) -> np.ndarray:
    """A series without the steps at its end that have no value in any channel, `(length, channels)`."""
    real = np.flatnonzero(~np.isnan(values).all(1))
    return values[: real[-1] + 1] if len(real) else values[:0]
