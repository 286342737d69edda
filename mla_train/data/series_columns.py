"""Columns of a table that labelled series are read from; in new data those of the training data, by name and in its signs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.tables.cells import is_missing, is_row_number
from mla_train.data.tables.numbers import NumberFormat, read_numbers
from mla_train.data.tables.table import Table
from mla_train.errors import UserError, few

Formats = Mapping[str, NumberFormat | None]
"""Columns that series are read from, in order, and how the numbers of each are written where that is known."""


def read_columns(
    table: Table, roles: Sequence[str], options: Any, known: Formats, notes: list[str]
) -> tuple[dict[str, np.ndarray], Formats]:
    """Columns of numbers, `(rows,)` each, NaN where a cell is empty, and how they are written; those that are known by name."""
    columns, left, signs, infinite = {}, [], list[str](), 0
    formats: dict[str, NumberFormat | None] = {}
    bare = set[str]()  # of numbers without signs and units
    others = [name for name in table.columns if name not in roles]
    for name in known_columns(known, others, str(table.file), not options.series_column, notes) if known else others:
        column_numbers = read_numbers(
            f"{table.file} column {name}", table.column(name), options, signs, table.places, known.get(name)
        )
        values = None if column_numbers is None else column_numbers.values
        if values is None and all(is_missing(cell, options.na_values) for cell in table.column(name)):
            values = pd.Series(np.nan, index=range(len(table)))  # a step that no series has
        if values is None and known:
            raise UserError(
                f"{table.file}: {name} holds no numbers, which it does in the training data: write them there"
            )
        if values is None:
            left.append(name)
        elif not known and is_row_number(name, values.to_numpy(float)):
            notes.append(f"{table.file}: {name} counts rows and is left out")
        else:
            numbers = values.to_numpy(float)
            infinite += int(np.isinf(numbers).sum())
            columns[name] = np.where(np.isinf(numbers), np.nan, numbers)
            formats[name] = None if column_numbers is None else column_numbers.format
            if column_numbers is not None and column_numbers.format is None:
                bare.add(name)
    notes += first_of(signs)
    if infinite:
        notes.append(f"{table.file}: {infinite:,} infinite values are read as missing")
    if columns and left:
        notes.append(f"{table.file}: {', '.join(left)} are not numbers and are left out")
    alike = set(filter(None, formats.values()))
    if not options.series_column and len(alike) == 1:  # steps are of one quantity
        shared = alike.pop()
        formats = {name: shared._replace(unit="") if name in bare else shared for name in formats}
    return columns, known or formats


def first_of(signs: Sequence[str]) -> list[str]:
    """One note for those on the numbers of many columns."""
    return [signs[0] + (f"; {len(signs) - 1:,} more columns, too" if len(signs) > 1 else "")] if signs else []


def known_columns(known: Formats, columns: Sequence[str], where: str, is_wide: bool, notes: list[str]) -> list[str]:
    """Columns that series are read from in new data: those of the training data, by name and in their order.

    Args:
        known: Columns of the training data.
        columns: Columns that the new data has.
        where: Name of its file, for messages.
        is_wide: Whether columns are steps, of which the last may be missing where series are shorter.
        notes: Lines for the user; changes of order, and columns that are left out, are added.

    Raises:
        UserError: A column is missing, or occurs twice.
    """
    given = set(columns)  # there may be tens of thousands
    there, lacking = [name for name in known if name in given], [name for name in known if name not in given]
    kind = "steps" if is_wide else "channels"
    if not there or (lacking and not (is_wide and list(known)[: len(there)] == there)):
        raise UserError(
            f"{where} has no column {few(lacking)}, of which the model has learned {kind}: name the columns as in the training "
            f"data, {few(list(known))}"
        )
    twice = next((name for name in there if f"{name} (2)" in given), None)
    if twice is not None:
        raise UserError(f"{where} has several columns {twice}: give each a name of its own")
    if lacking:
        notes.append(f"{where} has no column {few(lacking)}: its series end before these steps")
    if [name for name in columns if name in known] != there:
        notes.append(f"{where}: {kind} are read in the order of the training data, {few(there)}")
    return there
