"""Figures of forecasts: the best to the worst windows, errors by step and by series."""

from pathlib import Path

import matplotlib.dates as mdates
import numpy as np
from matplotlib.figure import Figure

from mla_train.figures import save_figure
from mla_train.heads.base import Predictions
from mla_train.heads.forecast_metrics import mean_errors
from mla_train.heads.forecast_spec import ForecastSpec
from mla_train.modalities.series.windows import WindowColumn

SHOWN = {"best": 0.02, "good": 0.25, "typical": 0.5, "bad": 0.9, "worst": 1.0}  # place among all windows, by error
MOST_NAMES = 20
UNIT = "mse (std²; std: standard deviation of the training rows)"
LEAST_PAST = 12  # steps before a forecast that are shown


def draw_windows(
    predictions: Predictions, column: WindowColumn, spec: ForecastSpec, levels: list[float], file: Path
) -> None:
    """Forecasts beside what came, of test windows from the best to the worst, in original units."""
    table = column.series.table
    real = predictions["real"]
    squared = np.where(real, (predictions["forecast"] - predictions["future"]) ** 2, 0.0)
    error = squared.sum(-1) / np.maximum(real.sum(-1), 1)  # of each window and series
    order = np.argsort(np.where(real.any(-1), error, np.inf), axis=None)[: max(1, real.any(-1).sum())]
    figure = Figure(figsize=(10, 2.7 * len(SHOWN)), layout="constrained")
    rows = figure.subplots(len(SHOWN), 1)
    for (name, place), axes in zip(SHOWN.items(), rows, strict=True):
        window, channel = np.unravel_index(order[int(place * (len(order) - 1))], error.shape)
        future, forecast = (spec.in_units(predictions[key][window])[channel] for key in ("future", "forecast"))
        now = column[int(predictions["index"][window])].now
        begin, end = now - min(column.look_back, max(3 * column.horizon, LEAST_PAST)), now + column.horizon
        # A single step is as wide as the way to it, else nothing would be seen.
        drawn = np.arange(column.horizon) if column.horizon > 1 else [0, 0]
        ahead = table.times[now:end] if column.horizon > 1 else table.times[now - 1 : end]
        axes.plot(
            table.times[begin:end], table.values[begin:end, channel], color="black", linewidth=1, label="measured"
        )
        axes.plot(ahead, forecast[drawn], color="tab:blue", label="forecast")
        if "quantiles" in predictions:
            fan = [spec.in_units(each)[channel] for each in np.moveaxis(predictions["quantiles"][window], -1, 0)]
            for number in range(len(levels) // 2):
                low, high = levels[number], levels[-1 - number]
                axes.fill_between(ahead, fan[number][drawn], fan[-1 - number][drawn], color="tab:blue", alpha=0.2, linewidth=0,
                                  label=f"{low:g} to {high:g}")  # fmt: skip
        axes.axvline(table.times[now], color="grey", linewidth=0.8, linestyle=":")
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        squares = ((forecast - future) ** 2)[real[window, channel]]
        rmse = squares.sum() ** 0.5 / max(1, len(squares)) ** 0.5
        axes.set_title(f"{name} forecast, {table.times[now]:%Y-%m-%d %H:%M}: rmse {rmse:,.4g}")
        axes.set_ylabel(spec.names[channel])
        axes.grid(alpha=0.3)
    rows[0].legend(loc="upper left", fontsize=8)
    save_figure(figure, file, 110)


def draw_errors(predictions: Predictions, baselines: dict[str, np.ndarray], spec: ForecastSpec, file: Path) -> None:
    """Mean squared error by step ahead, beside the forecasts `(windows, series, horizon)` of baselines, and by series."""
    by_series, by_step = mean_errors(predictions)
    several = len(spec.names) > 1
    figure = Figure(figsize=(7 + 5 * several, 4.5), layout="constrained")
    steps, *others = figure.subplots(1, 1 + several, squeeze=False)[0]
    ahead = np.arange(1, spec.horizon + 1)
    marker = "o" if spec.horizon == 1 else None  # a point is no line
    for name, forecast in baselines.items():
        errors = mean_errors(predictions | {"forecast": forecast})[1]
        if np.nanmean(errors) < 4 * np.nanmean(by_step):  # others would flatten all the rest
            steps.plot(ahead, errors, label=name, linewidth=1, marker=marker)
    steps.plot(ahead, by_step, label="this model", color="black", linewidth=2, marker=marker)
    steps.set(xlabel="steps ahead", ylabel=UNIT, title="error by step", ylim=(0, None))
    steps.legend(fontsize=8)
    for axes in others:
        order = np.argsort(-by_series)[:MOST_NAMES]
        axes.barh([spec.names[i] for i in order][::-1], by_series[order][::-1], color="tab:blue")
        axes.set(xlabel=UNIT, title="error by series")
    for axes in (steps, *others):
        axes.grid(alpha=0.3)
    save_figure(figure, file, 110)
