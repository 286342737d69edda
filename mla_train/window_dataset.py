"""From a table of time series to splits of windows: borders, scale, cycle, and what is wrong with the table."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import Augmentation, Resample, TrainConfig, WindowOptions
from mla_train.data.batch import Batch
from mla_train.dataset import Dataset, Split
from mla_train.errors import UserError
from mla_train.heads import Forecast, ForecastSpec
from mla_train.modalities import Series
from mla_train.modalities.series import SeriesSpec
from mla_train.modalities.series.augment import vary_windows
from mla_train.modalities.series.covariates import scaled_static
from mla_train.modalities.series.cycle import find_periods
from mla_train.modalities.series.frequency import frequency_of
from mla_train.modalities.series.spec import column_of, mean_and_std
from mla_train.modalities.series.tables import SeriesTable, listed
from mla_train.modalities.series.windows import WindowColumn, scale, transformed_values
from mla_train.model import ModelSpec

INPUT = "series"


def prepare_windows(table: SeriesTable, config: TrainConfig) -> Dataset:
    """Splits by rows, scales by training rows, and learns what a forecast must know of the series.

    A window of val and test reads the rows before its split, and forecasts rows inside it alone.

    Raises:
        UserError: There are too few rows, or a series holds nothing.
    """
    options: Any = config.data
    assert isinstance(options, WindowOptions)
    look_back, horizon, notes = options.look_back, options.horizon, list(table.notes)
    a, b, end = borders(options.split, table.times)
    if table.series_column:
        table = _present_in_train(table, a, notes)
    _check_rows(table, (a, b, end), look_back, horizon)
    if table.series_column:
        notes.append(
            f"all series are split at the same times (data.split): val from {table.times[a]}, test from {table.times[b]}"
        )
    table = _with_categories_of_train(table, a, notes)
    real, asked = ~np.isnan(table.values), config.task.transform
    is_nonnegative = getattr(config.task, "nonnegative", None)  # of a forecast
    transform = table.transform if asked is None else asked.value
    if asked is None and transform != "none":
        notes.append(f"series are read after {transform}, as suits this data (task.transform)")
    train_values = transformed_values(table, transform)[:a]
    mean, std, still = mean_and_std(train_values)
    constant = [name for name, value in zip(table.names, still, strict=True) if value]
    if constant:
        notes.append(f"{listed(constant)} does not change in the training rows; it is only centred")
    gaps = int((~real).sum())
    if gaps:
        notes.append(f"{gaps:,} missing values: read as the last value before them, not scored")
    lacking = np.isnan(table.covariates).sum((0, 1))
    for name, count in zip((*table.known, *table.observed), lacking.tolist(), strict=True):
        if count:
            notes.append(f"{name}: {count:,} missing values are read as the last value before them")
    covariates = table.covariates[:a]
    covariate_mean, covariate_std, _ = mean_and_std(covariates.reshape(covariates.shape[0] * covariates.shape[1], -1))
    spec = SeriesSpec(
        names=table.names,
        mean=mean.tolist(),
        std=std.tolist(),
        gaps=not real[:a].all() or config.regularization.augmentation is Augmentation.strong,
        look_back=look_back,
        horizon=horizon,
        known=table.known,
        observed=table.observed,
        own=table.own,
        covariate_mean=covariate_mean.tolist(),
        covariate_std=covariate_std.tolist(),
        start=str(table.times[0]),
        frequency=table.times.freqstr or frequency_of(table.times),
        resample=getattr(options, "resample", Resample.refuse).value,
        # A season that was seen once cannot be told from what else happened on its days.
        yearly=table.times[a - 1].toordinal() - table.times[0].toordinal() >= 2 * 365,
        time_column=table.time_column,
        series_column=table.series_column,
        value_column=table.value_column,
        na_values=table.na_values,
        categories=dict(table.categories),
        static=scaled_static(table.static, table.names),
        transform=transform,
        time_format=table.time_format,
        time_zone=table.time_zone,
        formats={name: list(signs) for name, signs in table.formats.items()},
    )
    series = scale(table, spec)
    if options.period is None:
        spec.period, *others = find_periods(series.values[:a])
        likely = f"; next in likelihood: {', '.join(map(str, others[:2]))}" if others else ""
        notes.append(f"the cycle is {spec.period} steps long (data.period){likely}")
    else:
        spec.period = options.period
    most = a - horizon - 1
    if spec.period > most:
        raise UserError(f"data.period={spec.period}: {a:,} training rows allow at most {most}")
    naive_error = _naive_error(series.values[:a], real[:a], spec.period)
    target = ForecastSpec(
        table.names,
        horizon,
        spec.period,
        spec.mean,
        spec.std,
        naive_error,
        _nonnegative(table, a, is_nonnegative) if transform != "log" else [False] * len(table.names),
        nonnegative_point=bool(is_nonnegative) and transform != "log",
        transform=transform,
    )
    splits = {}
    for split, first, last in (("train", look_back, a), ("val", a, b), ("test", b, end)):
        column = WindowColumn(series, first, last - first - horizon + 1, look_back, horizon)
        if split != "train" and (thinned := column.thinned(options.most_values)).step > 1:
            notes.append(
                f"{split}: {len(thinned):,} of {len(column):,} windows are scored, one in {thinned.step} "
                f"(data.most_values={options.most_values})"
            )
            column = thinned
        elif split == "train" and options.train_examples is not None and options.train_examples < len(column):
            notes.append(
                f"train: the newest {options.train_examples:,} of {len(column):,} windows are used (data.train_examples)"
            )
            column = column.select(np.arange(len(column) - options.train_examples, len(column)))
        splits[split] = Split({INPUT: column}, targets=column)
    model_spec = ModelSpec({INPUT: Series(spec)}, Forecast, target)
    vary = partial(_vary, augmentation=config.regularization.augmentation)
    return Dataset(model_spec, **splits, notes=notes, vary=vary)


def _nonnegative(table: SeriesTable, train: int, is_asked: bool | None) -> list[bool]:
    """Whether each series is never below zero in the training rows; a UserError where `task.nonnegative` says so and it is not true."""
    nonnegative = np.nanmin(table.values[:train], 0) >= 0
    if is_asked and not nonnegative.all():
        below = [name for name, is_above in zip(table.names, nonnegative, strict=True) if not is_above]
        raise UserError(f"task.nonnegative=true: {listed(below)} below zero in the training rows; leave the option out")
    return (nonnegative & (is_asked is not False)).tolist()


def _vary(batch: Batch, augmentation: Augmentation) -> None:
    """Varies past and future together."""
    tensors, targets = batch.inputs[INPUT], batch.targets
    past, future, real = vary_windows(tensors.past, targets.values, tensors.real, augmentation)
    batch.inputs[INPUT] = replace(tensors, past=past, real=real)
    batch.targets = replace(targets, values=future)


def _present_in_train(table: SeriesTable, train: int, notes: list[str]) -> SeriesTable:
    """A long table without the series that begin behind the training rows: neither their scale nor their name is learnt."""
    counts = (~np.isnan(table.values)).sum(0)
    if counts.min() < counts.max():
        notes.append(f"series have {counts.min():,} to {counts.max():,} values; where others have one, theirs is a gap")
    late = np.isnan(table.values[:train]).all(0)
    if not late.any() or late.all():
        return table
    names = np.array(table.names, dtype=object)
    notes.append(f"{late.sum():,} series without a value in the training rows are left out: {listed(names[late])}")
    return replace(table, names=names[~late].tolist())


def _with_categories_of_train(table: SeriesTable, train: int, notes: list[str]) -> SeriesTable:
    """A table without the covariates of categories that no training row has: nothing is learnt of them."""
    columns = {column_of(each, name): (name, each) for name, every in table.categories.items() for each in every}
    occurs: np.ndarray = np.nanmax(table.covariates[:train], (0, 1), initial=0) > 0
    occurring = {name for name, does in zip((*table.known, *table.observed), occurs, strict=True) if does}
    new = [column for column in columns if column not in occurring]
    if not new:
        return table
    notes.append(f"{listed(new)}: not in the training rows, read as none of the known categories")
    categories = {name: [e for e in every if column_of(e, name) not in new] for name, every in table.categories.items()}
    known, observed = ([name for name in names if name not in new] for names in (table.known, table.observed))
    own = [name for name in table.own if name not in new]
    return replace(table, known=known, observed=observed, own=own, categories=categories)


def _check_rows(table: SeriesTable, split_ends: tuple[int, int, int], look_back: int, horizon: int) -> None:
    """Refuses splits without a window or a value."""
    a, b, end = split_ends
    lacking = {"train": look_back + horizon - a, "val": horizon - (b - a), "test": horizon - (end - b)}
    for split, rows in lacking.items():
        if rows > 0:
            raise UserError(
                f"{len(table.times):,} rows are too few: {split} lacks {rows:,} rows for data.look_back={look_back} and "
                f"data.horizon={horizon}. Needed are {look_back + horizon:,} rows of train and {horizon:,} each of val and "
                f"test; the borders are now at rows {a:,}, {b:,} and {end:,}"
            )
    values = table.values
    empty = [name for name, column in zip(table.names, values[:a].T, strict=True) if np.isnan(column).all()]
    if empty:
        raise UserError(f"column {listed(empty)} has no value in the training rows; leave it out: data.targets=")
    for split, part in (("val", values[a:b]), ("test", values[b:end])):
        if np.isnan(part).all():
            raise UserError(f"{split} has no measured value; move its borders: data.split=")


def _naive_error(values: np.ndarray, real: np.ndarray, period: int) -> list[float]:
    """Mean absolute error of the value one period before, of each series; 1 where a series repeats itself."""
    pairs = real[period:] & real[:-period]
    change = np.where(pairs, values[period:] - values[:-period], 0)
    error = np.abs(change).sum(0) / np.maximum(pairs.sum(0), 1)
    return np.where(error < 1e-6, 1.0, error).tolist()


def borders(split: Sequence[Any], times: pd.DatetimeIndex) -> tuple[int, int, int]:
    """Rows at which val and test begin and test ends, as `data.split` says; a UserError where there are none."""
    rows = len(times)
    if all(isinstance(value, float) for value in split):
        train, val = split[:2]
        if len(split) > 2:
            raise UserError(f"data.split={list(split)}: two shares, of train and val; the rest is test")
        if not (0 < train < 1 and 0 < val < 1 and train + val < 1):
            raise UserError(f"data.split={list(split)}: shares of train and val must leave something for test")
        return round(rows * train), round(rows * train) + round(rows * val), rows
    ends = []
    for value in split:
        if isinstance(value, int):
            ends.append(value)
            continue
        try:
            date = pd.to_datetime(datetime.fromisoformat(str(value)), utc=True).tz_localize(None)
            ends.append(int(times.searchsorted(date)))
        except ValueError as error:
            raise UserError(f"data.split: {value} is no share, row or date such as 2018-01-31") from error
    first, second, last = [*ends, rows][:3]
    if not 0 < first < second < last <= rows:
        raise UserError(
            f"data.split={list(split)}: gives the rows {[first, second, last]} of {rows:,}, which do not rise"
        )
    return first, second, last
