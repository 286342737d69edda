"""Tables of time series: one column of times, the others are series."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.data.tables.cells import as_text, is_empty, is_row_number
from mla_train.data.tables.numbers import as_numbers
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from mla_train.modalities.series.covariates import static_covariates, texts_as_numbers
from mla_train.modalities.series.long_table import columns_of_series, one_column_each, series_names
from mla_train.modalities.series.spacing import evenly_spaced
from mla_train.modalities.series.span import in_span
from mla_train.modalities.series.spec import Categories
from mla_train.modalities.series.times import is_time_of_day, joined_times, numbers, time_column_of, times_of


@dataclass
class SeriesTable:
    """A table of time series, as it was read.

    Attributes:
        frame: Numbers by their times, evenly spaced; NaN is a gap.
        names: Columns of the series.
        known: Columns of covariates that are known ahead.
        observed: Columns of covariates that are known up to the present.
        time_column: Column of the times that the user named, or columns; empty where it was detected.
        notes: Lines for the user.
        series_column: Column, or columns, that tell the series of a long table apart; else empty.
        value_column: Column of the values of a long table; else empty.
        na_values: Words that mean a missing value.
        categories: Categories of the covariates that are texts; `known` and `observed` have a column for each.
        static: What stays the same in each series, in numbers, by the names of the series; None where there is none.
    """

    frame: pd.DataFrame
    names: list[str]
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    time_column: str | list[str] = ""
    notes: list[str] = field(default_factory=list)
    series_column: str | list[str] = ""
    value_column: str = ""
    na_values: list[str] = field(default_factory=list)
    categories: Categories = field(default_factory=dict)
    static: pd.DataFrame | None = None

    @property
    def times(self) -> pd.DatetimeIndex:
        """Time of each row."""
        return pd.DatetimeIndex(self.frame.index)

    @property
    def values(self) -> np.ndarray:
        """The series, `(rows, series)`."""
        return self.frame[self.names].to_numpy(float)

    @property
    def covariates(self) -> np.ndarray:
        """Those known ahead before the others, `(rows, covariates)`."""
        return self.frame[[*self.known, *self.observed]].to_numpy(float)


def read_series_table(options: SeriesTableOptions) -> SeriesTable:
    """Reads a table with a column of times and columns of numbers.

    Raises:
        UserError: A file or column does not exist, a cell is no number or no time, or rows are not evenly spaced.
    """
    notes: list[str] = []
    numeric = read_numeric_table(options, notes)
    options = numeric.options
    frame = evenly_spaced(numeric.frame, options, notes)
    targets = [name for name in frame.columns if name not in (*options.known, *options.observed)]
    if len(targets) > 1:
        notes.append(f"{len(targets):,} series are forecast: {listed(targets)}")
    return SeriesTable(
        frame,
        targets,
        list(options.known),
        list(options.observed),
        options.time_column or "",
        notes,
        options.series_column or "",
        str(frame.columns.name) if options.series_column else "",
        list(options.na_values),
        numeric.categories,
        numeric.static,
    )


def listed(names: Sequence[str], most: int = 10) -> str:
    """Names for a message, the first of many."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class NumericTable(NamedTuple):
    """A table in numbers.

    Attributes:
        frame: Targets and covariates by their times; `columns.name` is that of the values of a long table.
        options: How it was read, with a covariate for each category of those that are texts.
        categories: Categories of the covariates that are texts.
        static: What stays the same in each series, by their names.
    """

    frame: pd.DataFrame
    options: SeriesTableOptions
    categories: Categories
    static: pd.DataFrame | None = None


def read_numeric_table(
    options: SeriesTableOptions, notes: list[str], categories: Categories | None = None
) -> NumericTable:
    """Reads a table as numbers by their times.

    Args:
        options: Where it is, and the roles of its columns.
        notes: Lines for the user.
        categories: Categories that a model knows; None finds them in the table.

    Raises:
        UserError: A file or column does not exist, or a cell is no number or no time.
    """
    path, table = options.path, read_series_frame(options, notes, categories or ())
    if options.rows is not None:
        table = table.iloc[: options.rows]
    time_columns = _as_list(options.time_column) or [time_column_of(table, path)]
    series_columns = _as_list(options.series_column)
    roles = [*(options.targets or []), *options.known, *options.observed, *options.static]
    lacking = ", ".join(name for name in (*time_columns, *series_columns, *roles) if name not in table.columns)
    if lacking:
        raise UserError(f"{path} has no column {lacking}; there are {', '.join(map(str, table.columns))}")
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        raise UserError(
            f"{', '.join(twice)}: a column is one of data.targets, data.known, data.observed and data.static, not two"
        )
    times = joined_times(table, time_columns, path) if len(time_columns) > 1 else times_of(table[time_columns[0]], path)
    if len(time_columns) == 1 and pd.api.types.is_numeric_dtype(table[time_columns[0]]):
        notes.append(f"numbers of column {time_columns[0]} are read as times, the first {times[0]}")
    table, options, categories = texts_as_numbers(table, options, categories, notes)
    names = _columns(table, [*time_columns, *series_columns, *options.static], options, notes)
    frame = pd.DataFrame({name: numbers(table[name], path) for name in names}).set_index(times)
    inside = in_span(times, options, notes)
    frame, table, times = frame[inside], table[inside], times[inside]
    if options.series_column:
        values = [name for name in names if name not in (*options.known, *options.observed)]
        if len(values) > 1:
            raise UserError(
                f"{path}: a long table forecasts one column, not {', '.join(values)}: data.targets=[{values[0]}]"
            )
        series = series_names(table, series_columns, path)
        static = static_covariates(table, options.static, series, path) if options.static else None
        return NumericTable(one_column_each(frame, series, values[0], options), options, categories, static)
    if not times.is_unique:
        _refuse_repeated_times(table, times, time_columns, options)
    return NumericTable(frame, options, categories)


def _as_list(named: Any) -> list[str]:
    """Columns that the user names: one, a list of several, or none."""
    return [named] if isinstance(named, str) else list(named or [])


def _refuse_repeated_times(
    table: pd.DataFrame, times: pd.DatetimeIndex, time_columns: list[str], options: SeriesTableOptions
) -> None:
    """Refuses what must not be averaged: several series one below the other, and days whose times are in another column."""
    first = times[times.duplicated()][0]
    roles = [*time_columns, *(options.targets or []), *options.known, *options.observed]
    others = [name for name in table.columns if name not in roles]
    for name in others:
        if is_time_of_day(table[name]):
            raise UserError(
                f"{options.path}: duplicate time {first}, and column {name} holds times of day: "
                f"data.time_column=[{','.join([*time_columns, name])}] joins them"
            )
    names = columns_of_series(table, times, others)
    if names:
        count, named = len(table[names].drop_duplicates()), names[0] if len(names) == 1 else f"[{','.join(names)}]"
        raise UserError(
            f"{options.path}: the time {first} occurs {(times == first).sum()} times: the rows belong to several series, "
            f"{count:,} by column {' and '.join(names)}. data.series_column={named} forecasts each of them"
        )


def _columns(table: pd.DataFrame, taken: list[str], options: SeriesTableOptions, notes: list[str]) -> list[str]:
    """Targets and covariates; by default all columns of numbers are targets, unless they count rows or never change."""
    covariates = [*options.known, *options.observed]
    if options.targets is not None:
        return [*options.targets, *covariates]
    others = [name for name in table.columns if name not in (*taken, *covariates)]
    numeric = [name for name in others if pd.api.types.is_numeric_dtype(table[name])]
    left = [name for name in others if name not in numeric]
    if left:
        notes.append(
            f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not numeric and not forecast; "
            "data.targets= names the columns that are"
        )
    if not numeric:
        raise UserError(f"{options.path} has no column of numbers beside its times; there are {', '.join(others)}")
    idle = [name for name in numeric if _is_idle(name, table[name])]
    if not idle or len(idle) == len(numeric):
        return [*numeric, *covariates]
    notes.append(
        f"{', '.join(idle)}: not forecast, as {'it counts' if len(idle) == 1 else 'they count'} rows or never "
        f"{'changes' if len(idle) == 1 else 'change'}; data.targets=[{','.join(numeric)}] forecasts all"
    )
    return [*(name for name in numeric if name not in idle), *covariates]


def _is_idle(name: str, column: pd.Series) -> bool:
    """Whether a column counts rows, from 0 or 1 or by its name, or is the same in all of them."""
    values = column.to_numpy(float)
    counter = values[0] in (0, 1) and np.array_equal(values, values[0] + np.arange(len(values)))
    return bool(len(values) > 1 and (counter or is_row_number(name, values) or (values == values[0]).all()))


def read_series_frame(options: SeriesTableOptions, notes: list[str], texts: Iterable[str]) -> pd.DataFrame:
    """The columns of a table, numbers where most cells are numbers.

    Args:
        options: Where the table is.
        notes: Lines for the user.
        texts: Columns that are texts.

    Raises:
        UserError: The table is not there or cannot be read.
    """
    if options.path is None:
        raise UserError("the table is missing: name data.path=FILE (csv, parquet, xlsx, ...)")
    table = read_table(Path(options.path), options)
    if table.broken:
        raise UserError(
            f"{len(table.broken)} rows cannot be read: {'; '.join(table.broken[:3])}. Correct or remove them"
        )
    notes += table.notes
    columns: dict[str, pd.Series] = {}
    times = _as_list(options.time_column)
    named_texts = [*texts, *_as_list(options.series_column), *(times if len(times) > 1 else [])]
    for name, cells in table.cells.items():
        if name in named_texts:
            columns[name] = pd.Series(["" if is_empty(cell) else str(cell).strip() for cell in cells])
            continue
        values = as_numbers(f"{options.path} column {name}", cells, options, notes, table.places)
        if values is None:
            values = pd.Series([as_text(cell) if isinstance(cell, str) else cell for cell in cells])
        columns[name] = values
    return pd.DataFrame(columns)
