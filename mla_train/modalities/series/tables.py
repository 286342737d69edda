"""Tables of time series: one column of times, the others are series."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.data.tables.cells import is_row_number
from mla_train.errors import UserError
from mla_train.modalities.series.columns import Formats, as_list, numbers, read_series_frame
from mla_train.modalities.series.covariates import static_covariates, texts_as_numbers
from mla_train.modalities.series.long_table import one_column_each, series_names
from mla_train.modalities.series.several_series import ask_for_series, refuse_repeated_times
from mla_train.modalities.series.spacing import evenly_spaced
from mla_train.modalities.series.span import in_span
from mla_train.modalities.series.spec import Categories, own_column
from mla_train.modalities.series.time_columns import joined_times, time_column_of
from mla_train.modalities.series.time_numbers import Reading
from mla_train.modalities.series.times import reading_note, times_of


@dataclass
class SeriesTable:
    """A table of time series, as it was read.

    Attributes:
        frame: Numbers by their times, evenly spaced; NaN is a gap.
        names: Columns of the series.
        known: Columns of covariates that are known ahead.
        observed: Columns of covariates that are known up to the present.
        own: Names among these of covariates that have a column for each series, see `own_column`.
        time_column: Column of the times that the user named, or columns; empty where it was detected.
        notes: Lines for the user.
        series_column: Column, or columns, that tell the series of a long table apart; else empty.
        value_column: Column of the values of a long table; else empty.
        na_values: Words that mean a missing value.
        categories: Categories of the covariates that are texts; `known` and `observed` have a column for each.
        static: What stays the same in each series, in numbers, by the names of the series; None where there is none.
        time_format: How times were read, as `data.time_format` names it; empty where there is one way alone.
        time_zone: "UTC" where times have a zone, else "local".
        formats: How the numbers of columns are written, where that shows.
        transform: Name of the `config.Transform` that suits the series, where the user names none.
    """

    frame: pd.DataFrame
    names: list[str]
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    own: list[str] = field(default_factory=list)
    time_column: str | list[str] = ""
    notes: list[str] = field(default_factory=list)
    series_column: str | list[str] = ""
    value_column: str = ""
    na_values: list[str] = field(default_factory=list)
    categories: Categories = field(default_factory=dict)
    static: pd.DataFrame | None = None
    time_format: str = ""
    time_zone: str = ""
    formats: Formats = field(default_factory=dict)
    transform: str = "none"

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
        """Those known ahead before the others, `(rows, series, covariates)`; `(rows, 1, covariates)` where series share them."""
        logical = [*self.known, *self.observed]
        if not set(self.own) & set(logical):
            return self.frame[logical].to_numpy(float)[:, None]
        columns = [own_column(each, name) if each in self.own else each for name in self.names for each in logical]
        return self.frame[columns].to_numpy(float).reshape(len(self.frame), len(self.names), len(logical))


def read_series_table(options: SeriesTableOptions) -> SeriesTable:
    """Reads a table with a column of times and columns of numbers.

    Raises:
        UserError: A file or column does not exist, a cell is no number or no time, or rows are not evenly spaced.
    """
    notes: list[str] = []
    numeric = read_numeric_table(options, notes)
    options = numeric.options
    try:
        frame = evenly_spaced(numeric.frame, numeric.spacing, notes, places=numeric.places)
    except UserError as error:  # what was guessed may be wrong
        raise UserError(f"{error} ({numeric.said})" if numeric.said else str(error)) from None
    targets = [name for name in frame.columns if name not in (*numeric.spacing.known, *options.observed)]
    if numeric.own:
        notes.append(f"{listed(numeric.own)}: each series has its own")
    if len(targets) > 1:
        notes.append(f"{len(targets):,} series are read: {listed(targets)}")
    return SeriesTable(
        frame,
        targets,
        list(options.known),
        list(options.observed),
        list(numeric.own),
        options.time_column or "",
        notes,
        options.series_column or "",
        str(frame.columns.name) if options.series_column else "",
        list(options.na_values),
        numeric.categories,
        numeric.static,
        numeric.time_format,
        numeric.time_zone,
        numeric.formats,
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
        time_format: How times were read, as `data.time_format` names it.
        said: A line that says so where it was guessed.
        places: Where each row stands in the file; None where rows of a long table were put side by side.
        own: Covariates that have a column for each series.
        time_zone: "UTC" where times have a zone, else "local".
        formats: How the numbers of columns are written, where that shows.
    """

    frame: pd.DataFrame
    options: SeriesTableOptions
    categories: Categories
    static: pd.DataFrame | None = None
    time_format: str = ""
    said: str = ""
    places: list[str] | None = None
    own: Sequence[str] = ()
    time_zone: str = ""
    formats: Formats = {}

    @property
    def spacing(self) -> SeriesTableOptions:
        """The options with the columns of all covariates, which are not summed."""
        existing = set(self.frame.columns)
        columns = {own_column(each, series) for each in self.own for series in existing} & existing
        return replace(self.options, known=[*self.options.known, *sorted(columns)])


def read_numeric_table(
    options: SeriesTableOptions,
    notes: list[str],
    categories: Categories | None = None,
    usual_time_format: str = "",
    formats: Formats | None = None,
) -> NumericTable:
    """Reads a table as numbers by their times.

    Args:
        options: Where it is, and the roles of its columns.
        notes: Lines for the user.
        categories: Categories that a model knows; None finds them in the table.
        usual_time_format: How times are read where there are several ways.
        formats: How the numbers of columns of the training data are written; None finds it.

    Raises:
        UserError: A file or column does not exist, or a cell is no number or no time.
    """
    table, options, formats = read_series_frame(options, notes, categories or (), formats or {})
    path = options.path
    if options.rows is not None:
        table = table.iloc[: options.rows]
    time_columns = as_list(options.time_column) or [time_column_of(table, path)]
    series_columns = as_list(options.series_column)
    _check_roles(table, time_columns, series_columns, options)
    reading = _times(table, time_columns, options, usual_time_format)
    times, said = reading.times, reading_note(table[time_columns[0]], reading)
    zone = reading.zone or "local"
    notes += [said] if said and options.time_format is None else []
    table, options, categories = texts_as_numbers(table, options, categories, notes)
    taken = [*time_columns, *series_columns, *options.static]
    names = _columns(table, taken, options, notes)
    frame = pd.DataFrame({name: numbers(table[name], path, notes) for name in names}).set_index(times)
    inside = in_span(times, options, notes)
    frame, table, times = frame[inside], table[inside], times[inside]
    places = list(map(str, table.index)) if isinstance(table.index[0], str) else None
    if options.series_column:
        values = [name for name in names if name not in (*options.known, *options.observed)]
        if len(values) > 1:
            most = max(values, key=lambda name: frame[name].nunique())
            raise UserError(
                f"{path}: a long table forecasts one column, not {', '.join(values)}: data.targets=[{most}]; columns that tell "
                "series apart, too, belong to data.series_column=[NAME,NAME]"
            )
        series = series_names(table, series_columns, path)
        static = static_covariates(table, options, series) if options.static else None
        wide, own = one_column_each(frame, series, values[0], options)
        return NumericTable(wide, options, categories, static, reading.form, said, None, own, zone, formats)
    if not times.is_unique:
        refuse_repeated_times(table, times, time_columns, options)
    ask_for_series(table, times, [*taken, *options.known, *options.observed], options)
    return NumericTable(frame, options, categories, None, reading.form, said, places, (), zone, formats)


def _check_roles(
    table: pd.DataFrame, time_columns: list[str], series_columns: list[str], options: SeriesTableOptions
) -> None:
    """Refuses columns that the table lacks, and those that have two roles."""
    roles = [*(options.targets or []), *options.known, *options.observed, *options.static]
    lacking = ", ".join(name for name in (*time_columns, *series_columns, *roles) if name not in table.columns)
    if lacking:
        lists = {"time_column": time_columns, "series_column": series_columns, "targets": options.targets or []}
        key = next((key for key, names in lists.items() if not {*names} <= {*table.columns}), "")
        hint = f". Name the right one with data.{key}=" if key else ""
        raise UserError(f"{options.path} has no column {lacking}; there are {', '.join(map(str, table.columns))}{hint}")
    twice = sorted({name for name in roles if roles.count(name) > 1})
    if twice:
        raise UserError(
            f"{', '.join(twice)}: a column is one of data.targets, data.known, data.observed and data.static, not two"
        )


def _times(table: pd.DataFrame, columns: list[str], options: SeriesTableOptions, usual: str) -> Reading:
    if len(columns) > 1:
        return joined_times(table, columns, options.path, options.time_format, usual)
    return times_of(table[columns[0]], options.path, options.time_format, usual)


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
    """Whether a column counts rows, up or down, numbers them by its name, or is the same in all of them."""
    values = column.to_numpy(float)
    steps = np.diff(values)
    counter = len(steps) > 0 and abs(steps[0]) == 1 and (steps == steps[0]).all()
    return bool(len(values) > 1 and (counter or is_row_number(name, values) or (values == values[0]).all()))
