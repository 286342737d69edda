"""Figures of forecasts: the best to the worst windows, errors by step and by series."""

from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np

from mla_train.heads.base import Predictions
from mla_train.heads.forecast_metrics import mean_errors
from mla_train.heads.forecast_spec import ForecastSpec

if TYPE_CHECKING:
    from mla_train.modalities.series.windows import WindowColumn

matplotlib.use("Agg")
import matplotlib.dates as mdates
import matplotlib.pyplot as plt

SHOWN = {"best": 0.02, "good": 0.25, "typical": 0.5, "bad": 0.9, "worst": 1.0}  # place among all windows, by error
MOST_NAMES = 20


def draw_windows(
    predictions: Predictions, column: "WindowColumn", spec: ForecastSpec, levels: list[float], file: Path
) -> None:
    """Forecasts beside what came, of windows from the best to the worst, in original units.

    Args:
        predictions: Columns of the test split.
        column: Windows of the test split.
        spec: The series that are forecast.
        levels: Levels of the quantiles.
        file: PNG to write.
    """
    table = column.series.table
    error = _each(predictions)
    order = np.argsort(error, axis=None)
    figure, rows = plt.subplots(len(SHOWN), 1, figsize=(10, 2.6 * len(SHOWN)), layout="constrained")
    for (name, place), axes in zip(SHOWN.items(), rows, strict=True):
        window, channel = np.unravel_index(order[int(place * (len(order) - 1))], error.shape)
        now = column[int(predictions["index"][window])].now
        begin, end = now - min(column.look_back, 3 * column.horizon), now + column.horizon
        ahead = table.times[now:end]

        def original(values: np.ndarray, channel: int = int(channel)) -> np.ndarray:
            return values * spec.std[channel] + spec.mean[channel]

        measured = table.values[begin:end, channel]
        axes.plot(table.times[begin:end], measured, color="black", linewidth=1, label="measured")
        axes.plot(ahead, original(predictions["forecast"][window, channel]), color="tab:blue", label="forecast")
        if "quantiles" in predictions and len(levels) > 1:
            fan = original(predictions["quantiles"][window, channel])
            for number in range(len(levels) // 2):
                low, high = levels[number], levels[-1 - number]
                axes.fill_between(ahead, fan[:, number], fan[:, -1 - number], color="tab:blue", alpha=0.2, linewidth=0,
                                  label=f"{low:g} to {high:g}")  # fmt: skip
        axes.axvline(table.times[now], color="grey", linewidth=0.8, linestyle=":")
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        axes.set(title=f"{name} ({spec.names[channel]}, mse {error[window, channel]:.3g})")
        axes.grid(alpha=0.3)
    rows[0].legend(loc="upper left", fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_errors(predictions: Predictions, baselines: dict[str, np.ndarray], spec: ForecastSpec, file: Path) -> None:
    """Mean squared error by step ahead, beside the baselines, and by series.

    Args:
        predictions: Columns of the test split.
        baselines: Forecasts of the same windows, `(windows, series, horizon)`, by name.
        spec: The series that are forecast.
        file: PNG to write.
    """
    by_series, by_step = mean_errors(predictions)
    several = len(spec.names) > 1
    figure, panels = plt.subplots(1, 1 + several, figsize=(7 + 5 * several, 4.5), layout="constrained", squeeze=False)
    steps = panels[0, 0]
    ahead = np.arange(1, spec.horizon + 1)
    for name, forecast in baselines.items():
        errors = mean_errors(predictions | {"forecast": forecast})[1]
        if np.nanmean(errors) < 4 * np.nanmean(by_step):  # others would flatten all the rest
            steps.plot(ahead, errors, label=name, linewidth=1)
    steps.plot(ahead, by_step, label="this model", color="black", linewidth=2)
    steps.set(xlabel="steps ahead", ylabel="mse (scaled)", title="error by step", ylim=(0, None))
    steps.legend(fontsize=8)
    if several:
        order = np.argsort(-by_series)[:MOST_NAMES]
        panels[0, 1].barh([spec.names[i] for i in order][::-1], by_series[order][::-1], color="tab:blue")
        panels[0, 1].set(xlabel="mse (scaled)", title="error by series")
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _each(predictions: Predictions) -> np.ndarray:
    """Mean squared error of each window and series, `(windows, channels)`; those without a measured step count 0."""
    squared = np.where(predictions["real"], (predictions["forecast"] - predictions["future"]) ** 2, 0.0)
    return squared.sum(-1) / np.maximum(predictions["real"].sum(-1), 1)
