"""Tables of time series: one column of times, the others are series."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from mla_train.config import Resample, SeriesTableOptions
from mla_train.data.tables.cells import as_numbers
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from mla_train.modalities.series.times import frequency_of, numbers, time_column_of, times_of


@dataclass
class SeriesTable:
    """A table of time series, as it was read.

    Attributes:
        frame: Numbers by their times, evenly spaced; NaN is a gap.
        names: Columns of the series.
        known: Columns of covariates that are known ahead.
        observed: Columns of covariates that are known up to the present.
        time_column: Column of the times that the user named; empty where it was found.
        notes: Lines for the user.
    """

    frame: pd.DataFrame
    names: list[str]
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    time_column: str = ""
    notes: list[str] = field(default_factory=list)

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
    return SeriesTable(frame, targets, list(options.known), list(options.observed), options.time_column or "", notes)


def read_frame(options: SeriesTableOptions, notes: list[str]) -> pd.DataFrame:
    """The targets and covariates of a table as numbers, by their times."""
    table = read_series_frame(options, notes)
    if options.rows is not None:
        table = table.iloc[: options.rows]
    time_column = options.time_column or time_column_of(table, options.path)
    roles = [*(options.targets or []), *options.known, *options.observed]
    lacking = ", ".join(name for name in (time_column, *roles) if name not in table.columns)
    if lacking:
        raise UserError(f"{options.path} has no column {lacking}; there are {', '.join(map(str, table.columns))}")
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        raise UserError(f"{', '.join(twice)}: a column is one of data.targets, data.known and data.observed, not two")
    times = times_of(table[time_column], options.path)
    names = _columns(table, time_column, options, notes)
    return pd.DataFrame({name: numbers(table[name], options.path) for name in names}).set_index(times)


def _columns(table: pd.DataFrame, time_column: str, options: SeriesTableOptions, notes: list[str]) -> list[str]:
    """Targets and covariates; by default all columns of numbers are targets."""
    covariates = [*options.known, *options.observed]
    if options.targets is not None:
        return [*options.targets, *covariates]
    others = [name for name in table.columns if name != time_column]
    numeric = [name for name in others if pd.api.types.is_numeric_dtype(table[name]) and name not in covariates]
    left = [name for name in others if name not in (*numeric, *covariates)]
    if left:
        notes.append(
            f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not numeric and not forecast; "
            "data.targets= names the columns that are"
        )
    if not numeric:
        raise UserError(f"{options.path} has no column of numbers beside its times; there are {', '.join(others)}")
    return [*numeric, *covariates]


def evenly_spaced(frame: pd.DataFrame, options: SeriesTableOptions, notes: list[str]) -> pd.DataFrame:
    """Rows in order and evenly spaced, as the options say."""
    if options.resample is Resample.refuse:
        _refuse_uneven(pd.DatetimeIndex(frame.index), options)
        return frame
    frame = frame.sort_index()
    index = pd.DatetimeIndex(frame.index)
    if index[0] == index[-1]:
        raise UserError(f"{options.path}: all rows are of {index[0]}; a series has more times than one")
    frequency = options.frequency or frequency_of(index)
    try:
        regular = frame.resample(frequency).mean()
    except (ValueError, ZeroDivisionError) as error:
        raise UserError(f"data.frequency={frequency}: {error}; write 15min, 1h, 1D, B or MS") from error
    gaps = int(regular.isna().all(axis=1).sum())
    if options.resample is Resample.fill:
        regular = regular.ffill()
    notes.append(
        f"{len(frame):,} rows became {len(regular):,} at a distance of {frequency}; {gaps:,} without a row are "
        + ("filled with the last value" if options.resample is Resample.fill else "gaps")
    )
    return regular


def _refuse_uneven(index: pd.DatetimeIndex, options: SeriesTableOptions) -> None:
    path, steps = options.path, np.diff(index.asi8)
    if not index.is_monotonic_increasing:
        row = int(np.flatnonzero(steps < 0)[0]) + 2
        raise UserError(
            f"{path}: times are not in order, {index[row - 1]} in row {row} comes after {index[row - 2]}. "
            "data.resample=mean sorts them"
        )
    if not index.is_unique:
        row = int(np.flatnonzero(steps == 0)[0]) + 2
        raise UserError(
            f"{path}: {index[row - 1]} stands there twice (row {row}). data.resample=mean takes the mean of both"
        )
    if not len(steps):
        raise UserError(f"{path} has one row; a series has more")
    usual = np.median(steps)
    months = pd.infer_freq(index) if len(index) > 2 else None  # months and years differ in length
    odd = np.flatnonzero(steps != usual)
    if len(odd) and months is None:
        first = odd[0]
        raise UserError(
            f"{path}: rows are usually {pd.Timedelta(int(usual))} apart, but {len(odd)} are not; the first is "
            f"{index[first + 1]} after {index[first]}. Choose data.resample=mean (gaps stay gaps) or fill, at a distance of "
            f"data.frequency={options.frequency or frequency_of(index)}"
        )


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
    for name, cells in table.cells.items():
        values = as_numbers(f"{options.path} column {name}", cells, options, notes)
        columns[name] = pd.Series(cells) if values is None else values
    return pd.DataFrame(columns)
