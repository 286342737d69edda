"""What a forecast has to beat, on the same windows."""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits

from mla_train.data.cache import cached
from tasks.forecasting import ridge
from tasks.forecasting.data import SeriesData

LEARNT_FROM = 400_000  # rows of the boosting's table, at most


def repeat_last(data: SeriesData) -> np.ndarray:
    """The last value, `(windows, channels, horizon)`."""
    past, future = data.windows("test")
    return np.broadcast_to(past[..., -1:], future.shape)


def seasonal_naive(data: SeriesData) -> np.ndarray:
    """The value a whole number of periods before, the nearest that is known, `(windows, channels, horizon)`.

    A period longer than the look-back is still seen: the rows are there when the forecast is made.
    """
    period, look_back, horizon = data.facts.period, data.facts.look_back, data.facts.horizon
    starts = data.test.first + np.arange(len(data.test)) + look_back
    steps = np.arange(horizon)
    back = period * (steps // period + 1)
    return data.values[starts[:, None] + steps - back].transpose(0, 2, 1)


def seasonal_profile(data: SeriesData) -> np.ndarray:
    """The mean of that place of the cycle over training rows, `(windows, channels, horizon)`."""
    profile = cycle_profile(data)
    starts = data.test.first + np.arange(len(data.test)) + data.facts.look_back
    return profile[(starts[:, None] + np.arange(data.facts.horizon)) % data.facts.period].transpose(0, 2, 1)


def cycle_profile(data: SeriesData) -> np.ndarray:
    """Mean of what was measured at each place of the cycle in the training rows, `(period, channels)`; else 0, the mean."""
    a, period = data.borders[0], data.facts.period
    real = data.real[:a]
    values = np.where(real, data.values[:a], 0)
    places = np.arange(a) % period
    sums = np.stack([values[places == place].sum(0) for place in range(period)])
    counts = np.stack([real[places == place].sum(0) for place in range(period)])
    return (sums / np.maximum(counts, 1)).astype(np.float32)


def linear(data: SeriesData) -> np.ndarray:
    """Ridge regression that knows no cycle, `(windows, channels, horizon)`."""
    fitted = ridge.fit(data.windows("train"), data.windows("val"))
    past, _ = data.windows("test")
    return np.concatenate([fitted(past[row : row + 1024]) for row in range(0, len(past), 1024)])


def boosting(data: SeriesData, seed: int = 0) -> np.ndarray:
    """Gradient boosted trees on lags, calendar and covariates, one model for all steps and series.

    Args:
        data: All parts.
        seed: Chooses the rows that are learnt from, where there are very many.
    """
    forecasts = cached(_boosted)(
        data.values, data.real, data.known, data.observed, data.facts.look_back, data.facts.horizon, data.facts.period,
        (data.train.first, len(data.train)), (data.test.first, len(data.test)), seed,
    )  # fmt: skip
    return forecasts.transpose(0, 2, 1)


def _boosted(
    values: np.ndarray, real: np.ndarray, known: np.ndarray, observed: np.ndarray, look_back: int, horizon: int, period: int,
    train: tuple[int, int], test: tuple[int, int], seed: int,
) -> np.ndarray:  # fmt: skip
    channels = values.shape[1]
    chance = np.random.default_rng(seed)
    lags = sorted(
        {*range(1, min(24, look_back) + 1), *(lag for lag in (48, 72, 96, 120, 144, 168) if lag <= look_back)}
    )

    pasts = pd.DataFrame(values).rolling(look_back)
    mean, spread = (found.to_numpy()[look_back - 1 :] for found in (pasts.mean(), pasts.std()))

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
    model = HistGradientBoostingRegressor(max_iter=300, learning_rate=0.1, max_leaf_nodes=63, random_state=seed)
    with threadpool_limits(None):
        model.fit(table(starts, steps, series), target - last)
    first, count = test
    found = np.empty((count, horizon, channels), np.float32)
    for step in range(horizon):
        for channel in range(channels):
            starts = first + np.arange(count)
            rows = table(starts, np.full(count, step), np.full(count, channel))
            found[:, step, channel] = model.predict(rows) + values[starts + look_back - 1, channel]
    return found
