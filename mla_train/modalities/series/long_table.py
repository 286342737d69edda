"""Long tables: a row is a step of one of several series, which a column tells apart."""

from collections.abc import Sequence

import pandas as pd

from mla_train.config import Resample, SeriesTableOptions
from mla_train.errors import UserError


def one_column_each(frame: pd.DataFrame, series: pd.Series, value: str, options: SeriesTableOptions) -> pd.DataFrame:
    """A column for each series and covariate, by their times; what a series lacks is a gap.

    Args:
        frame: Values and covariates by their times, a row for each step of a series.
        series: Name of the series of each row.
        value: Column of the values; `columns.name` of the result.
        options: Where the table is, and its roles.

    Raises:
        UserError: A time stands twice in a series, or a covariate differs between series.
    """
    names, column = series.to_numpy(), options.series_column
    if (names == "").any():
        raise UserError(f"{options.path}: there is no name in row {int((names == '').argmax()) + 1} of column {column}")
    twice = pd.MultiIndex.from_arrays([frame.index, names]).duplicated()
    if twice.any() and options.resample is Resample.refuse:
        row = int(twice.argmax())
        raise UserError(
            f"{options.path}: {frame.index[row]} stands twice in the series {names[row]} (row {row + 1}). "
            "data.resample=mean takes the mean of both"
        )
    wide = frame[value].groupby([frame.index, names]).mean().unstack()[pd.unique(names)]
    for covariate in (*options.known, *options.observed):
        each = frame[covariate].groupby(level=0)
        differing = each.nunique() > 1
        if differing.any():
            raise UserError(
                f"{options.path}: {covariate} differs between the series at {differing.idxmax()}; a covariate is one for "
                f"all series of data.series_column={column}"
            )
        if covariate in wide.columns:
            raise UserError(f"{options.path}: {covariate} is a covariate and a series of column {column}: rename one")
        wide[covariate] = each.first()
    return wide.rename_axis(columns=value)


def column_of_series(table: pd.DataFrame, times: pd.DatetimeIndex, others: Sequence[str]) -> str | None:
    """The column whose values each have a time at most once, where times repeat: names of series; None where there is none.

    Args:
        table: Table as it was read.
        times: Time of each row.
        others: Columns that may hold the names.
    """
    rows, moments = len(times), times.nunique()
    if rows < 1.1 * moments:  # some repeat by mistake
        return None
    for name in others:
        values = table[name]
        count = values.nunique()
        is_number = pd.api.types.is_numeric_dtype(values)
        if not 2 <= count <= rows / 3 or (is_number and ((values % 1 != 0).any() or 3 * rows < moments * count)):
            continue
        if not pd.MultiIndex.from_arrays([times, values]).has_duplicates:
            return name
    return None
