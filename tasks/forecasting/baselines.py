"""Simple forecasts that a network has to beat, on the same windows: each `(windows, series, horizon)`, scaled."""

import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.data.cache import cached
from mla_train.dataset import Dataset
from mla_train.heads.forecast_spec import ForecastSpec
from mla_train.modalities.series import ridge
from mla_train.modalities.series.windows import WindowColumn, cycle_profile
from mla_train.window_dataset import INPUT
from tasks.forecasting.statistical import labelled, statistical_baselines

LEARNT_FROM, CHOSEN_BY = 100_000, 50_000  # rows of the boosting's tables, at most
LEAVES = (31, 63, 15)
"""Leaves of a boosted tree, the usual number first."""
LEAST_SECONDS = 30.0  # that the trees may take to forecast, even after a short training
CYCLES = 7  # that lags reach back
HAR_STEPS = (1, 5, 22)
AROUND_ZERO = 0.1  # standard deviations of the training rows that their mean may be off


def forecast_baselines(data: Dataset) -> Baselines:
    """All baselines."""
    train, val, test = (split.columns[INPUT] for split in (data.train, data.val, data.test))
    target = data.spec.target
    period = target.period
    forecasts: dict[str, Callable[[WindowColumn], np.ndarray]] = {
        "repeat_last": repeat_last,
        "seasonal_naive": lambda windows: seasonal_naive(windows, period),
        "seasonal_profile": lambda windows: seasonal_profile(train, windows, period),
    }
    if np.all(np.abs(target.mean) < np.multiply(AROUND_ZERO, target.std)):
        forecasts["zero"] = lambda windows: zero(target, windows)
    if target.transform == "log" and train.look_back >= max(HAR_STEPS):
        forecasts["har"] = lambda windows: har(train, windows)
    simple: Baselines = {name: partial(_simple, forecast, val, test) for name, forecast in forecasts.items()}
    return simple | {
        "ridge": partial(_ridge, train, val, test),
        "boosting": partial(_boosting, train, val, test, period),
        **statistical_baselines(test, period),
    }


def _simple(
    forecast: Callable[[WindowColumn], np.ndarray], val: WindowColumn, test: WindowColumn, limit: Limit
) -> Baseline:
    return Baseline(labelled(val, forecast(val)), labelled(test, forecast(test)))


def _ridge(train: WindowColumn, val: WindowColumn, test: WindowColumn, limit: Limit) -> Baseline:
    fitted = ridge.fit(train.thinned(ridge.MOST_VALUES).pairs(), val.pairs())
    of_val, of_test = (labelled(windows, linear(fitted, windows)) for windows in (val, test))
    return Baseline(of_val, of_test, {"strength": fitted.strength, "centre": fitted.centre})


def _boosting(train: WindowColumn, val: WindowColumn, test: WindowColumn, period: int, limit: Limit) -> Baseline | None:
    """Forecasts of val are left out: there are as many again, and they take as long."""
    settings = (*_arrays(train), *_rows(train), *_rows(val), period)
    fit = cache(partial(fit_boosting, *settings))  # once for each number of leaves
    best: tuple[float, int] | None = None
    for leaves in LEAVES:
        error = cached(boosting_error, ignore=["fit"])(fit, settings, leaves)
        if best is None or error < best[0]:
            best = error, leaves
        if limit.is_over:
            break
    assert best is not None
    leaves = best[1]
    forecasts = cached(boosted_forecasts, ignore=["fit", "limit"])
    try:
        forecast = forecasts(fit, limit, settings, leaves, (*_arrays(test), period), test.now)
    except TimeoutError:
        return None
    return Baseline({}, labelled(test, forecast), {"leaves": leaves})


def repeat_last(test: WindowColumn) -> np.ndarray:
    """The last value."""
    past, future = test.windows()
    return np.broadcast_to(past[..., -1:], future.shape)


def seasonal_naive(test: WindowColumn, period: int) -> np.ndarray:
    """The value a whole number of periods before, the nearest that is known.

    A period longer than the look-back is still seen: the rows are there when the forecast is made.
    """
    steps = np.arange(test.horizon)
    back = period * (steps // period + 1)
    return test.series.values[test.now[:, None] + steps - back].transpose(0, 2, 1)


def seasonal_profile(train: WindowColumn, test: WindowColumn, period: int) -> np.ndarray:
    """The mean of that place of the cycle over training rows."""
    profile = cycle_profile(train.series, train.end, period)
    return profile[test.places(period)[:, test.look_back :]].transpose(0, 2, 1)


def zero(target: ForecastSpec, windows: WindowColumn) -> np.ndarray:
    """Zero in the units of the table, offered where series swing around it, as returns do."""
    level = -np.reshape(target.mean, (-1, 1)) / np.reshape(target.std, (-1, 1))
    return np.broadcast_to(level, windows.windows()[1].shape).astype(np.float32)


def har(train: WindowColumn, windows: WindowColumn) -> np.ndarray:
    """Heterogeneous autoregression (Corsi 2009) of logarithms: least squares on the means of a day, a week and a month.

    Offered where `task.transform` is log; all series are pooled.
    """

    def means(past: np.ndarray) -> np.ndarray:
        ones = np.ones(past.shape[:-1])
        return np.stack([ones, *(past[..., -steps:].mean(-1) for steps in HAR_STEPS)], -1)

    past, future = train.windows()
    measured = train.real_future().all(-1)
    weight = np.linalg.lstsq(means(past)[measured], future[measured], rcond=None)[0]
    return (means(windows.windows()[0]) @ weight).astype(np.float32)


def linear(fitted: ridge.Ridge, windows: WindowColumn) -> np.ndarray:
    """Ridge regression that knows no cycle."""
    return np.concatenate([fitted(past).astype(np.float32) for past, _ in windows.pairs()])


def boosting_lags(look_back: int, period: int) -> list[int]:
    """Steps back that the boosting reads: the last ones, and those around the same place of earlier cycles."""
    near = range(1, min(24, look_back) + 1)
    seasonal = (cycles * period + offset for cycles in range(1, CYCLES + 1) for offset in (-1, 0, 1))
    return sorted({*near, *(lag for lag in seasonal if 0 < lag <= look_back)})


def _arrays(windows: WindowColumn) -> tuple[Any, ...]:
    series = windows.series
    return series.values, series.real, series.known, series.observed, windows.look_back, windows.horizon


def _rows(windows: WindowColumn) -> tuple[int, int]:
    """Row at which the first window begins, and number of rows at which windows may begin."""
    return windows.first - windows.look_back, windows.end - windows.horizon + 1 - windows.first


class BoostingTable:
    """Rows of lags, calendar and covariates, each of one step of one series of one window."""

    def __init__(
        self, values: np.ndarray, real: np.ndarray, known: np.ndarray, observed: np.ndarray, look_back: int, horizon: int,
        period: int,
    ) -> None:  # fmt: skip
        self.values, self.real, self.known, self.observed = values, real, known, observed
        self.look_back, self.horizon, self.period = look_back, horizon, period
        self.lags = boosting_lags(look_back, period)
        pasts = pd.DataFrame(values).rolling(look_back)
        self.mean, self.std = (part.to_numpy()[look_back - 1 :] for part in (pasts.mean(), pasts.std()))

    def __call__(self, starts: np.ndarray, steps: np.ndarray, series: np.ndarray) -> np.ndarray:
        """`(rows, features)`, from the row at which each window begins, the step ahead, and the series."""
        now, values = starts + self.look_back, self.values
        target = now + steps
        back = self.period * (steps // self.period + 1)
        columns = [steps, series, values[target - back, series], values[np.maximum(target - 2 * back, 0), series]]
        columns += [values[now - lag, series] for lag in self.lags]
        columns += [self.mean[starts, series], self.std[starts, series]]
        own = series if self.known.shape[1] > 1 else 0  # else series share their covariates
        return np.column_stack([*columns, self.known[target, own], self.observed[now - 1, own]]).astype(np.float32)

    def last(self, starts: np.ndarray, series: np.ndarray) -> np.ndarray:
        """The last value of the past, to which the trees add."""
        return self.values[starts + self.look_back - 1, series]

    def sample(self, first: int, count: int, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows of random measured steps, and what was measured less the last value."""
        chance, channels = np.random.default_rng(0), self.values.shape[1]
        size = min(size, count * self.horizon * channels)
        starts = first + chance.integers(max(0, self.period - self.look_back - first), count, size)
        steps, series = chance.integers(0, self.horizon, size), chance.integers(0, channels, size)
        measured = self.real[starts + self.look_back + steps, series]
        starts, steps, series = starts[measured], steps[measured], series[measured]
        target = self.values[starts + self.look_back + steps, series]
        return self(starts, steps, series), target - self.last(starts, series)


def fit_boosting(
    values: np.ndarray, real: np.ndarray, known: np.ndarray, observed: np.ndarray, look_back: int, horizon: int,
    train_first: int, train_count: int, val_first: int, val_count: int, period: int, leaves: int,
) -> tuple[float, HistGradientBoostingRegressor]:  # fmt: skip
    """Gradient boosted trees, one model for all steps and series, and its mean squared error on rows of val."""
    table = BoostingTable(values, real, known, observed, look_back, horizon, period)
    model = HistGradientBoostingRegressor(max_iter=200, learning_rate=0.1, max_leaf_nodes=leaves, random_state=0)
    rows, targets = table.sample(val_first, val_count, CHOSEN_BY)
    with threadpool_limits(None):
        model.fit(*table.sample(train_first, train_count, LEARNT_FROM))
        return float(np.mean((model.predict(rows) - targets) ** 2)), model


def boosting_error(fit: Callable[[int], tuple[float, Any]], settings: tuple[Any, ...], leaves: int) -> float:
    """The error of `fit_boosting` on val; a cache knows `fit` by the settings."""
    return fit(leaves)[0]


def boosted_forecasts(
    fit: Callable[[int], tuple[float, Any]], limit: Limit, settings: tuple[Any, ...], leaves: int, arrays: tuple[Any, ...],
    now: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Forecasts of windows, `(windows, series, horizon)`, from their first steps on; a cache knows `fit` by the settings.

    Raises:
        TimeoutError: They take far longer than there is time.
    """
    (_, model), table = fit(leaves), BoostingTable(*arrays)
    channels = table.values.shape[1]
    forecasts = np.empty((len(now), channels, table.horizon), np.float32)
    starts, series = np.repeat(now - table.look_back, channels), np.tile(np.arange(channels), len(now))
    last = table.last(starts, series)
    for step in range(table.horizon):
        rows = table(starts, np.full(len(starts), step), series)
        begun = time.monotonic()
        forecasts[..., step] = (model.predict(rows) + last).reshape(len(now), channels)
        if step == 0 and (time.monotonic() - begun) * table.horizon > max(limit.seconds, LEAST_SECONDS):
            raise TimeoutError
    return forecasts
