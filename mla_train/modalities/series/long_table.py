"""Long tables: a row is a step of one of several series, which a column tells apart."""

from collections.abc import Sequence
from itertools import combinations

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
    names = series.to_numpy()
    twice = pd.MultiIndex.from_arrays([frame.index, names]).duplicated()
    if twice.any() and options.resample is Resample.refuse:
        row = int(twice.argmax())
        raise UserError(
            f"{options.path}: {frame.index[row]} stands twice in the series {names[row]}. "
            "data.resample=mean, sum or last makes one of both"
        )
    steps = frame[value].groupby([frame.index, names])
    match options.resample:
        case Resample.sum:
            values = steps.sum(min_count=1)
        case Resample.last:
            values = steps.last()
        case _:
            values = steps.mean()
    wide = values.unstack()[pd.unique(names)]
    for covariate in (*options.known, *options.observed):
        each = frame[covariate].groupby(level=0)
        differing = each.nunique() > 1
        if differing.any():
            raise UserError(
                f"{options.path}: {covariate} differs between the series at {differing.idxmax()}; a covariate is one for "
                "all series"
            )
        if covariate in wide.columns:
            raise UserError(f"{options.path}: {covariate} is a covariate and the name of a series: rename one")
        wide[covariate] = each.first()
    return wide.rename_axis(columns=value)


def series_names(table: pd.DataFrame, columns: Sequence[str], path: str | None) -> pd.Series:
    """Name of the series of each row: the cells of some columns of texts, joined by a stroke."""
    for name in columns:
        if (table[name] == "").any():
            row = int((table[name] == "").to_numpy().argmax()) + 1
            raise UserError(f"{path}: there is no name in row {row} of column {name}")
    first, *others = (table[name] for name in columns)
    return first.str.cat(others, sep="/") if others else first


def columns_of_series(table: pd.DataFrame, times: pd.DatetimeIndex, others: Sequence[str]) -> list[str]:
    """The column, or the two, whose values each have a time at most once, where times repeat: names of series.

    Empty where there are none.

    Args:
        table: Table as it was read.
        times: Time of each row.
        others: Columns that may hold the names.
    """
    rows, moments = len(times), times.nunique()
    if rows < 1.1 * moments:  # some repeat by mistake
        return []
    likely = []
    for name in others:
        values = table[name]
        count = values.nunique()
        is_number = pd.api.types.is_numeric_dtype(values)
        if 2 <= count <= rows / 3 and not (is_number and ((values % 1 != 0).any() or 3 * rows < moments * count)):
            likely.append(name)
    for names in (*([name] for name in likely), *(list(pair) for pair in combinations(likely, 2))):
        if not pd.MultiIndex.from_arrays([times, *(table[name] for name in names)]).has_duplicates:
            return names
    return []
