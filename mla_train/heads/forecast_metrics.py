"""How good forecasts are, over all steps that were measured."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mla_train.heads.base import Predictions
from mla_train.heads.forecast_spec import ForecastSpec

PIECE = 4_000_000  # values whose errors are in memory as float64
ENOUGH = 500  # errors of a step, to take a quantile of them


def forecast_metrics(predictions: Predictions, spec: ForecastSpec, levels: Sequence[float]) -> dict[str, float]:
    """Errors in scaled units, and of a single series in original ones as `_original`: several may differ in their units.

    mase: mean absolute error over that of the value one period before, on training rows (Hyndman and Koehler 2006).
    wql: twice the sum of pinball losses over the sum of absolute values, mean over levels and series.
    smape_original: 200 |f - y| / (|f| + |y|), in percent.
    qlike: y / f - log(y / f) - 1 (Patton 2011), the loss of variances; where the transform is log.

    Args:
        predictions: Columns forecast, future and real `(windows, series, horizon)`, and where there are quantiles
            `(windows, series, horizon, levels)`.
        spec: The series that are forecast.
        levels: Levels of the quantiles.
    """
    sums = window_sums(predictions, spec, levels)
    return metrics_of_sums({name: values.sum(0) for name, values in sums.items()}, len(spec.names) == 1)


def window_sums(predictions: Predictions, spec: ForecastSpec, levels: Sequence[float]) -> dict[str, np.ndarray]:
    """What metrics are made of, summed over the measured steps of each window, `(windows, series)`.

    See `forecast_metrics`; `pinball` is `(windows, series, levels)`.
    """
    windows, *sizes = predictions["forecast"].shape
    rows = max(1, PIECE // math.prod(sizes))
    pieces = [
        _window_sums({name: values[row : row + rows] for name, values in predictions.items()}, spec, levels)
        for row in range(0, windows, rows)
    ]
    return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}


def _window_sums(predictions: Predictions, spec: ForecastSpec, levels: Sequence[float]) -> dict[str, np.ndarray]:
    real = predictions["real"]
    error = (predictions["forecast"] - predictions["future"]).astype(np.float64)
    future, forecast = (spec.in_units(predictions[name]) for name in ("future", "forecast"))
    original = forecast - future
    size = np.maximum(np.abs(forecast) + np.abs(future), np.finfo(float).tiny)

    def total(values: np.ndarray) -> np.ndarray:
        return values.sum(-1, where=real)

    sums = {
        "count": real.sum(-1).astype(float),
        "squared": total(error**2),
        "absolute": total(np.abs(error)),
        "relative": total(200 * np.abs(original) / size),
        "absolute_original": total(np.abs(original)),
        "squared_original": total(original**2),
        "size": total(np.abs(future)),
    }
    sums["absolute_scaled"] = sums["absolute"] / np.asarray(spec.naive_error)
    if spec.transform == "log":
        log_ratio = -error * np.reshape(spec.std, (-1, 1))
        sums["qlike"] = total(np.expm1(log_ratio) - log_ratio)
    if "quantiles" in predictions:
        losses = []
        for number, level in enumerate(levels):
            below = future - spec.in_units(predictions["quantiles"][..., number])
            losses.append(total(np.maximum(level * below, (level - 1) * below)))
        sums["pinball"] = np.stack(losses, -1)
    return sums


def metrics_of_sums(sums: Mapping[str, np.ndarray], is_single: bool) -> dict[str, float]:
    """Metrics of sums over windows, `(series,)` and `(series, levels)`; see `forecast_metrics`."""
    count = max(sums["count"].sum(), 1.0)

    def average(name: str) -> float:
        return float(sums[name].sum() / count)

    metrics = {
        "mse": average("squared"),
        "mae": average("absolute"),
        "rmse": average("squared") ** 0.5,
        "mase": average("absolute_scaled"),
    }
    if is_single:
        metrics |= {
            "mse_original": average("squared_original"),
            "mae_original": average("absolute_original"),
            "rmse_original": average("squared_original") ** 0.5,
        }
    metrics["smape_original"] = average("relative")
    if "qlike" in sums:
        metrics["qlike"] = average("qlike")
    if "pinball" in sums:
        measured = sums["size"] > 0
        losses = 2 * sums["pinball"][measured] / sums["size"][measured, None]
        metrics["wql"] = float(losses.mean()) if measured.any() else 0.0
    return metrics


def coverage(predictions: Predictions, levels: Sequence[float]) -> dict[str, float]:
    """Share of measured values at or below each quantile, which should be its level."""
    real = predictions["real"]
    future = predictions["future"][real]
    return {
        f"{level:g}": float((future <= predictions["quantiles"][..., number][real]).mean())
        for number, level in enumerate(levels)
    }


def interval_facts(predictions: Predictions, levels: Sequence[float]) -> dict[str, float]:
    """Share of values that the interval between the outermost quantiles should hold and holds, and its mean width, scaled."""
    lowest, highest = int(np.argmin(levels)), int(np.argmax(levels))
    real, low, high = predictions["real"], *(predictions["quantiles"][..., n] for n in (lowest, highest))
    inside = (low <= predictions["future"]) & (predictions["future"] <= high)
    return {
        "nominal": levels[highest] - levels[lowest],
        "coverage": float(inside[real].mean()),
        "width": float((high - low)[real].mean()),
    }


def pooled_quantile(errors: np.ndarray, step: int, level: float) -> float:
    """Quantile of the errors `(steps, windows)` of a step, with those of its neighbours until there are enough; NaN is no error."""
    for reach in range(len(errors)):
        near = errors[max(0, step - reach) : step + reach + 1]
        known = near[~np.isnan(near)]
        if len(known) >= ENOUGH or (near.size and len(near) == len(errors)):
            break
    return float(np.quantile(known, level)) if len(known) else 0.0


def errors_by_series(predictions: Predictions, spec: ForecastSpec) -> dict[str, dict[str, float | None]]:
    """Errors of each series, scaled and in its own units; null where nothing was measured."""
    points = {name: values for name, values in predictions.items() if name in ("real", "forecast", "future")}
    sums = {name: values.sum(0) for name, values in window_sums(points, spec, ()).items()}

    def average(name: str) -> np.ndarray:
        return np.where(sums["count"], sums[name] / np.maximum(sums["count"], 1), np.nan)

    metrics = {
        "mse": average("squared"),
        "mase": average("absolute_scaled"),
        "mae_original": average("absolute_original"),
        "rmse_original": average("squared_original") ** 0.5,
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
