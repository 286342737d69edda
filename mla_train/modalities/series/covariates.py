"""Covariates that are texts, and what stays the same in each series, as numbers: a column for each category."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.data.tables.cells import is_missing
from mla_train.errors import UserError
from mla_train.modalities.series.spec import Categories, column_of, mean_and_std

MOST_CATEGORIES = 50


def texts_as_numbers(
    table: pd.DataFrame, options: SeriesTableOptions, known: Categories | None, notes: list[str]
) -> tuple[pd.DataFrame, SeriesTableOptions, Categories]:
    """Replaces covariates of texts by a column for each category: 1 in its rows, else 0; NaN where the cell is missing.

    Args:
        table: Table as it was read.
        options: Its roles.
        known: Categories that a model knows: others are 0 in all columns, and counted; None finds them in the table.
        notes: Lines for the user.

    Returns:
        The table, the options with the new covariates, and the categories.

    Raises:
        UserError: A column has too many different texts.
    """
    covariates = [*options.known, *options.observed]
    texts = (
        [name for name in covariates if not pd.api.types.is_numeric_dtype(table[name])] if known is None else [*known]
    )
    categories: dict[str, list[str]] = {}
    for name in texts:
        columns, categories[name] = one_hot(
            table[name], None if known is None else known[name], f"{options.path} {name}", options.na_values
        )
        strange = int((columns.sum(axis=1, skipna=False) == 0).sum())
        if strange:
            notes.append(f"{strange:,} rows have a {name} that the model does not know: read as none of its categories")
        table = pd.concat([table.drop(columns=name), columns], axis=1)
    known_ahead, observed = (
        [column for name in names for column in _expanded(name, categories)]
        for names in (options.known, options.observed)
    )
    return table, replace(options, known=known_ahead, observed=observed), categories


def one_hot(
    column: pd.Series, categories: list[str] | None, where: str, na_values: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """A column for each category of a column of texts, and the categories; None finds them."""
    texts = column.map(lambda cell: None if is_missing(cell, na_values, ()) else str(cell).strip()).astype(object)
    if categories is None:
        categories = sorted(set(texts.dropna()))
        if len(categories) > MOST_CATEGORIES:
            raise UserError(
                f"{where} has {len(categories):,} different texts, such as {categories[0]!r}; a covariate of texts has at most "
                f"{MOST_CATEGORIES}: write it as numbers or leave it out"
            )
    rows = {
        column_of(each, str(column.name)): (texts == each).where(texts.notna()).astype(float) for each in categories
    }
    return pd.DataFrame(rows, index=column.index), categories


def _expanded(name: str, categories: Categories) -> list[str]:
    return [column_of(each, name) for each in categories[name]] if name in categories else [name]


def static_covariates(table: pd.DataFrame, options: SeriesTableOptions, series: pd.Series) -> pd.DataFrame:
    """What stays the same in each series as numbers: a row for each series, by its name.

    Args:
        table: Table as it was read.
        options: Its roles; `static` names the columns of the covariates, numbers or texts.
        series: Name of the series of each row.

    Raises:
        UserError: A column differs within a series.
    """
    columns, path, na_values = [], options.path, options.na_values
    for name in options.static:
        missing = table[name].map(lambda cell: is_missing(cell, na_values, ()))
        each = table[name].where(~missing).groupby(series.to_numpy(), sort=False)
        differing = each.nunique() > 1
        if differing.any():
            raise UserError(
                f"{path}: {name} differs within the series {differing.idxmax()}, and data.static stays the same: what changes "
                "in time is data.known or data.observed"
            )
        values = each.first()
        is_number = pd.api.types.is_numeric_dtype(table[name])
        columns.append(
            values.to_frame(name) if is_number else one_hot(values.rename(name), None, f"{path} {name}", na_values)[0]
        )
    return pd.concat(columns, axis=1)


def scaled_static(static: pd.DataFrame | None, names: Sequence[str]) -> list[list[float]]:
    """Static covariates of some series, scaled over these series, `(series, covariates)`; what is missing is 0, the mean."""
    if static is None:
        return []
    values = static.loc[list(names)].to_numpy(float)
    values = values[:, ~np.isnan(values).all(0)]
    mean, std, _ = mean_and_std(values)
    return np.nan_to_num((values - mean) / std).tolist()
