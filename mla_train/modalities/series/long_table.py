"""Long tables: a row is a step of one of several series, which a column tells apart."""

from collections.abc import Sequence

import pandas as pd

from mla_train.config import Resample, SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.spec import own_column
from mla_train.modalities.series.times import place_of


def one_column_each(
    frame: pd.DataFrame, series: pd.Series, value: str, options: SeriesTableOptions
) -> tuple[pd.DataFrame, list[str]]:
    """A column for each series and covariate, by their times; what a series lacks is a gap.

    A covariate that differs between series at some time has a column for each series, see `own_column`.

    Args:
        frame: Values and covariates by their times, a row for each step of a series.
        series: Name of the series of each row, by its place in the file.
        value: Column of the values; `columns.name` of the result.
        options: Where the table is, and its roles.

    Returns:
        The columns, and the names of the covariates that differ between series.

    Raises:
        UserError: A time stands twice in a series, or a covariate is named as a series is.
    """
    names = series.to_numpy()
    _refuse_repeated(pd.MultiIndex.from_arrays([frame.index, names]), series, options)
    steps = frame[value].groupby([frame.index, names])
    match options.resample:
        case Resample.sum:
            values = steps.sum(min_count=1)
        case Resample.last:
            values = steps.last()
        case _:
            values = steps.mean()
    order = pd.unique(names)
    parts, own = [values.unstack()[order]], []
    for covariate in (*options.known, *options.observed):
        if covariate in order:
            raise UserError(f"{options.path}: {covariate} is a covariate and the name of a series: rename one")
        each = frame[covariate].groupby(level=0)
        if (each.nunique() > 1).any():
            own.append(covariate)
            of_series = frame[covariate].groupby([frame.index, names]).mean().unstack().reindex(columns=order)
            parts.append(of_series.set_axis([own_column(covariate, name) for name in order], axis=1))
        else:
            parts.append(each.first().to_frame(covariate))
    return pd.concat(parts, axis=1).rename_axis(columns=value), own


def _refuse_repeated(steps: pd.MultiIndex, series: pd.Series, options: SeriesTableOptions) -> None:
    """Refuses times that stand twice in a series; where most do, also to average them."""
    twice = steps.duplicated()
    many = twice.sum() > len(steps) / 3
    if (
        not twice.any()
        or (options.resample is not Resample.refuse and not many)
        or options.resample in (Resample.sum, Resample.last)
    ):
        return
    row = int(twice.argmax())
    other = int((steps == steps[row]).argmax())
    problem = (
        f"{options.path}: {steps[row][0]} stands twice in the series {steps[row][1]}, in {place_of(series, other)} and "
        f"{place_of(series, row)}"
    )
    if many:
        raise UserError(
            f"{problem}, and so do most times, as where further columns tell series apart: name all of them with "
            "data.series_column=[NAME,NAME]; data.resample=sum forecasts the total of each time"
        )
    raise UserError(f"{problem}. data.resample=mean, sum or last makes one of both")


def series_names(table: pd.DataFrame, columns: Sequence[str], path: str | None) -> pd.Series:
    """Name of the series of each row: the cells of some columns of texts, joined by a stroke."""
    for name in columns:
        if (table[name] == "").any():
            row = int((table[name] == "").to_numpy().argmax())
            raise UserError(
                f"{place_of(table, row, path)}: there is no name in column {name}: write that of the series, or remove the row"
            )
    first, *others = (table[name] for name in columns)
    return first.str.cat(others, sep="/") if others else first
