"""How good forecasts are, over all steps that were measured."""

from collections.abc import Sequence

import numpy as np

from mla_train.training.task import Predictions
from tasks.forecasting.data import ForecastingFacts


def scores(predictions: Predictions, facts: ForecastingFacts, levels: Sequence[float]) -> dict[str, float]:
    """Errors in scaled units, and in original ones as `_original`.

    mase: mean absolute error over that of the value one period before, on training rows (Hyndman and Koehler 2006).
    wql: twice the sum of pinball losses over the sum of absolute values, in original units, mean over levels.
    smape_original: 200 |f - y| / (|f| + |y|), in percent.

    Args:
        predictions: Columns forecast, future and real `(windows, channels, horizon)`; quantiles with a last dimension of
            levels, if there are any.
        facts: Of the series.
        levels: Of the quantiles.
    """
    real = predictions["real"]
    shape = (len(facts.names), 1)
    mean, std = np.reshape(facts.mean, shape), np.reshape(facts.std, shape)
    error = (predictions["forecast"] - predictions["future"]).astype(np.float64)
    original = error * std
    future = predictions["future"] * std + mean
    forecast = predictions["forecast"] * std + mean
    relative = 200 * np.abs(original) / np.maximum(np.abs(forecast) + np.abs(future), 1e-9)
    naive = np.reshape(facts.naive_error, shape)
    found = {
        "mse": _mean(error**2, real),
        "mae": _mean(np.abs(error), real),
        "rmse": _mean(error**2, real) ** 0.5,
        "mase": _mean(np.abs(error) / naive, real),
        "mse_original": _mean(original**2, real),
        "mae_original": _mean(np.abs(original), real),
        "rmse_original": _mean(original**2, real) ** 0.5,
        "smape_original": _mean(relative, real),
    }
    if "quantiles" in predictions:
        total = np.abs(future[real]).sum()
        losses = []
        for number, level in enumerate(levels):
            below = (future - (predictions["quantiles"][..., number] * std + mean))[real]
            losses.append(2 * np.maximum(level * below, (level - 1) * below).sum() / max(total, 1e-9))
        found["wql"] = float(np.mean(losses))
    return found


def coverage(predictions: Predictions, levels: Sequence[float]) -> dict[str, float]:
    """Share of measured values at or below each quantile, which should be its level."""
    real = predictions["real"]
    future = predictions["future"][real]
    return {
        f"{level:g}": float((future <= predictions["quantiles"][..., number][real]).mean())
        for number, level in enumerate(levels)
    }


def _mean(values: np.ndarray, real: np.ndarray) -> float:
    return float(values[real].mean())
