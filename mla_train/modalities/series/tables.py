"""Tables of time series: one column of times, the others are series."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.data.tables.cells import as_numbers, is_empty, is_row_number
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from mla_train.modalities.series.long_table import column_of_series, one_column_each
from mla_train.modalities.series.spacing import evenly_spaced
from mla_train.modalities.series.times import is_time_of_day, joined_times, numbers, time_column_of, times_of


@dataclass
class SeriesTable:
    """A table of time series, as it was read.

    Attributes:
        frame: Numbers by their times, evenly spaced; NaN is a gap.
        names: Columns of the series.
        known: Columns of covariates that are known ahead.
        observed: Columns of covariates that are known up to the present.
        time_column: Column of the times that the user named, or columns; empty where it was found.
        notes: Lines for the user.
        series_column: Column that tells the series of a long table apart; else empty.
        value_column: Column of the values of a long table; else empty.
        na_values: Words that mean a missing value.
    """

    frame: pd.DataFrame
    names: list[str]
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    time_column: str | list[str] = ""
    notes: list[str] = field(default_factory=list)
    series_column: str = ""
    value_column: str = ""
    na_values: list[str] = field(default_factory=list)

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
    frame = evenly_spaced(read_frame(options, notes), options, notes)
    targets = [name for name in frame.columns if name not in (*options.known, *options.observed)]
    if len(targets) > 1:
        more = f" and {len(targets) - 10:,} more" if len(targets) > 10 else ""
        notes.append(f"{len(targets):,} series are forecast: {', '.join(targets[:10])}{more}")
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
    )


def read_frame(options: SeriesTableOptions, notes: list[str]) -> pd.DataFrame:
    """The targets and covariates of a table as numbers, by their times; `columns.name` is that of values of long tables."""
    path, table = options.path, read_series_frame(options, notes)
    if options.rows is not None:
        table = table.iloc[: options.rows]
    time_columns = _time_columns(options) or [time_column_of(table, path)]
    series_columns = [options.series_column] if options.series_column else []
    roles = [*(options.targets or []), *options.known, *options.observed]
    lacking = ", ".join(name for name in (*time_columns, *series_columns, *roles) if name not in table.columns)
    if lacking:
        raise UserError(f"{path} has no column {lacking}; there are {', '.join(map(str, table.columns))}")
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        raise UserError(f"{', '.join(twice)}: a column is one of data.targets, data.known and data.observed, not two")
    times = joined_times(table, time_columns, path) if len(time_columns) > 1 else times_of(table[time_columns[0]], path)
    names = _columns(table, [*time_columns, *series_columns], options, notes)
    frame = pd.DataFrame({name: numbers(table[name], path) for name in names}).set_index(times)
    if options.series_column:
        values = [name for name in names if name not in (*options.known, *options.observed)]
        if len(values) > 1:
            raise UserError(
                f"{path}: a long table forecasts one column, not {', '.join(values)}: data.targets=[{values[0]}]"
            )
        return one_column_each(frame, table[options.series_column], values[0], options)
    if not times.is_unique:
        _refuse_repeated_times(table, times, time_columns, options)
    return frame


def _time_columns(options: SeriesTableOptions) -> list[str]:
    """Columns of the times that the user names."""
    named = options.time_column
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
    name = column_of_series(table, times, others)
    if name is not None:
        raise UserError(
            f"{options.path}: the time {first} occurs {(times == first).sum()} times: the rows belong to several series, "
            f"{table[name].nunique():,} by column {name}. data.series_column={name} forecasts each of them"
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


def read_series_frame(options: SeriesTableOptions, notes: list[str]) -> pd.DataFrame:
    """The columns of a table, numbers where most cells are numbers; a UserError where it is not there or cannot be read."""
    if options.path is None:
        raise UserError("the table is missing: name data.path=FILE (csv, parquet, xlsx, ...)")
    table = read_table(Path(options.path), options)
    if table.broken:
        raise UserError(
            f"{len(table.broken)} rows cannot be read: {'; '.join(table.broken[:3])}. Correct or remove them"
        )
    notes += table.notes
    columns: dict[str, pd.Series] = {}
    as_text = [options.series_column, *(_time_columns(options) if len(_time_columns(options)) > 1 else [])]
    for name, cells in table.cells.items():
        if name in as_text:
            columns[name] = pd.Series(["" if is_empty(cell) else str(cell).strip() for cell in cells])
            continue
        values = as_numbers(f"{options.path} column {name}", cells, options, notes)
        columns[name] = pd.Series(cells) if values is None else values
    return pd.DataFrame(columns)
