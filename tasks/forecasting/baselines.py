"""Simple forecasts that a network has to beat, on the same windows: each `(windows, series, horizon)`, scaled."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from mla_train.data.cache import cached
from mla_train.dataset import Dataset
from mla_train.modalities.series import ridge
from mla_train.modalities.series.windows import WindowColumn, cycle_profile
from mla_train.window_dataset import INPUT

LEARNT_FROM = 400_000  # rows of the boosting's table, at most


def forecast(data: Dataset) -> dict[str, np.ndarray]:
    """Forecasts of the test windows by all baselines."""
    train, val, test = (split.columns[INPUT] for split in (data.train, data.val, data.test))
    period = data.spec.target.period
    return {
        "repeat_last": repeat_last(test),
        "seasonal_naive": seasonal_naive(test, period),
        "seasonal_profile": seasonal_profile(train, test, period),
        "ridge": linear(train, val, test),
        "boosting": boosting(train, test, period),
    }


def repeat_last(test: WindowColumn) -> np.ndarray:
    """The last value."""
    past, future = test.windows()
    return np.broadcast_to(past[..., -1:], future.shape)


def seasonal_naive(test: WindowColumn, period: int) -> np.ndarray:
    """The value a whole number of periods before, the nearest that is known.

    A period longer than the look-back is still seen: the rows are there when the forecast is made.
    """
    now, steps = test.first + np.arange(len(test)), np.arange(test.horizon)
    back = period * (steps // period + 1)
    return test.series.values[now[:, None] + steps - back].transpose(0, 2, 1)


def seasonal_profile(train: WindowColumn, test: WindowColumn, period: int) -> np.ndarray:
    """The mean of that place of the cycle over training rows."""
    profile = cycle_profile(train.series, train.end, period)
    return profile[test.places(period)[:, test.look_back :]].transpose(0, 2, 1)


def linear(train: WindowColumn, val: WindowColumn, test: WindowColumn) -> np.ndarray:
    """Ridge regression that knows no cycle."""
    fitted = ridge.fit(train.windows(), val.windows())
    past, _ = test.windows()
    return np.concatenate([fitted(past[row : row + 1024]) for row in range(0, len(past), 1024)])


def boosting(train: WindowColumn, test: WindowColumn, period: int) -> np.ndarray:
    """Gradient boosted trees on lags, calendar and covariates, one model for all steps and series."""
    series, look_back = train.series, train.look_back
    forecasts = cached(_boosted)(
        series.values, series.real, series.known, series.observed, look_back, train.horizon, period,
        (train.first - look_back, len(train)), (test.first - look_back, len(test)),
    )  # fmt: skip
    return forecasts.transpose(0, 2, 1)


def _boosted(
    values: np.ndarray, real: np.ndarray, known: np.ndarray, observed: np.ndarray, look_back: int, horizon: int, period: int,
    train: tuple[int, int], test: tuple[int, int],
) -> np.ndarray:  # fmt: skip
    channels = values.shape[1]
    chance = np.random.default_rng(0)
    lags = [lag for lag in (*range(1, 25), 48, 72, 96, 120, 144, 168) if lag <= look_back]
    pasts = pd.DataFrame(values).rolling(look_back)
    mean, spread = (part.to_numpy()[look_back - 1 :] for part in (pasts.mean(), pasts.std()))

    def table(starts: np.ndarray, steps: np.ndarray, series: np.ndarray) -> np.ndarray:
        now = starts + look_back  # the row of the first step
        target = now + steps
        back = period * (steps // period + 1)
        columns = [steps, series, values[target - back, series], values[np.maximum(target - 2 * back, 0), series]]
        columns += [values[now - lag, series] for lag in lags]
        columns += [mean[starts, series], spread[starts, series]]
        return np.column_stack([*columns, known[target], observed[now - 1]]).astype(np.float32)

    first, count = train
    size = min(LEARNT_FROM, count * horizon * channels)
    starts = first + chance.integers(max(0, period - look_back), count, size)
    steps, series = chance.integers(0, horizon, size), chance.integers(0, channels, size)
    measured = real[starts + look_back + steps, series]
    starts, steps, series = starts[measured], steps[measured], series[measured]
    target = values[starts + look_back + steps, series]
    last = values[starts + look_back - 1, series]
    model = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.1, max_leaf_nodes=63, random_state=0)
    with threadpool_limits(None):
        model.fit(table(starts, steps, series), target - last)
    first, count = test
    forecasts = np.empty((count, horizon, channels), np.float32)
    for step in range(horizon):
        for channel in range(channels):
            starts = first + np.arange(count)
            rows = table(starts, np.full(count, step), np.full(count, channel))
            forecasts[:, step, channel] = model.predict(rows) + values[starts + look_back - 1, channel]
    return forecasts
