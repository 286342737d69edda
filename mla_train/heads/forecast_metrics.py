"""How good forecasts are, over all steps that were measured."""

from collections.abc import Sequence

import numpy as np

from mla_train.heads.base import Predictions
from mla_train.heads.forecast_spec import ForecastSpec


def forecast_metrics(predictions: Predictions, spec: ForecastSpec, levels: Sequence[float]) -> dict[str, float]:
    """Errors in scaled units, and of a single series in original ones as `_original`: several may differ in their units.

    mase: mean absolute error over that of the value one period before, on training rows (Hyndman and Koehler 2006).
    wql: twice the sum of pinball losses over the sum of absolute values, mean over levels and series.
    smape_original: 200 |f - y| / (|f| + |y|), in percent.

    Args:
        predictions: Columns forecast, future and real `(windows, series, horizon)`, and where there are quantiles
            `(windows, series, horizon, levels)`.
        spec: The series that are forecast.
        levels: Levels of the quantiles.
    """
    real = predictions["real"]
    error = (predictions["forecast"] - predictions["future"]).astype(np.float64)
    future, forecast = (spec.in_units(predictions[name]) for name in ("future", "forecast"))
    original, naive = forecast - future, np.reshape(spec.naive_error, (-1, 1))
    relative = 200 * np.abs(original) / np.maximum(np.abs(forecast) + np.abs(future), np.finfo(float).tiny)

    def average(values: np.ndarray) -> float:
        return float(values[real].mean())

    metrics = {
        "mse": average(error**2),
        "mae": average(np.abs(error)),
        "rmse": average(error**2) ** 0.5,
        "mase": average(np.abs(error) / naive),
    }
    if len(spec.names) == 1:
        metrics |= {
            "mse_original": average(original**2),
            "mae_original": average(np.abs(original)),
            "rmse_original": average(original**2) ** 0.5,
        }
    metrics["smape_original"] = average(relative)
    if "quantiles" in predictions:
        total = np.abs(future).sum((0, 2), where=real)
        measured, losses = total > 0, []
        for number, level in enumerate(levels):
            below = future - spec.in_units(predictions["quantiles"][..., number])
            pinball = np.maximum(level * below, (level - 1) * below).sum((0, 2), where=real)
            losses.append(2 * (pinball[measured] / total[measured]).sum() / max(measured.sum(), 1))
        metrics["wql"] = float(np.mean(losses))
    return metrics


def coverage(predictions: Predictions, levels: Sequence[float]) -> dict[str, float]:
    """Share of measured values at or below each quantile, which should be its level."""
    real = predictions["real"]
    future = predictions["future"][real]
    return {
        f"{level:g}": float((future <= predictions["quantiles"][..., number][real]).mean())
        for number, level in enumerate(levels)
    }


def errors_by_series(predictions: Predictions, spec: ForecastSpec) -> dict[str, dict[str, float | None]]:
    """Errors of each series, scaled and in its own units; null where nothing was measured."""
    real = predictions["real"]
    error = np.abs(predictions["forecast"] - predictions["future"]).astype(np.float64)
    original = spec.in_units(predictions["forecast"]) - spec.in_units(predictions["future"])

    def average(values: np.ndarray) -> np.ndarray:
        count = real.sum((0, 2))
        return np.where(count, values.sum((0, 2), where=real) / np.maximum(count, 1), np.nan)

    metrics = {
        "mse": average(error**2),
        "mase": average(error) / spec.naive_error,
        "mae_original": average(np.abs(original)),
        "rmse_original": average(original**2) ** 0.5,
    }
    columns = zip(*map(rounded, metrics.values()), strict=True)
    return {name: dict(zip(metrics, row, strict=True)) for name, row in zip(spec.names, columns, strict=True)}


def mean_errors(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Mean squared error of each series `(series,)` and of each step `(horizon,)`; NaN where nothing was measured."""
    squared = (predictions["forecast"] - predictions["future"]) ** 2
    means = []
    for axes in ((0, 2), (0, 1)):
        count = predictions["real"].sum(axes)
        total = np.where(predictions["real"], squared, 0).sum(axes)
        means.append(np.where(count, total / np.maximum(count, 1), np.nan))
    return means[0], means[1]


def rounded(values: np.ndarray, std: float = np.inf) -> list[float | None]:
    """Six digits, or as many more as tell six digits of the standard deviation; a gap is null."""
    return [None if np.isnan(value) else float(f"{value:.{_digits(value, std)}g}") for value in values]


def _digits(value: float, std: float) -> int:
    if not value or np.isinf(std):
        return 6
    return int(np.clip(6 + np.floor(np.log10(abs(value))) - np.floor(np.log10(std)), 6, 16))
