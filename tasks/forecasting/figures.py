"""Pictures of forecasts: good, usual and bad ones, where errors are, and what is looked at."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch

from mla_train.nn import observe
from mla_train.training.task import Predictions
from tasks.forecasting.data import ForecastingFacts, SeriesData
from tasks.forecasting.network import Residual

matplotlib.use("Agg")
import matplotlib.dates as mdates
import matplotlib.pyplot as plt

SHOWN = {"best": 0.02, "good": 0.25, "typical": 0.5, "bad": 0.9, "worst": 1.0}  # place among all windows, by error
MOST_NAMES = 20


def draw_windows(predictions: Predictions, data: SeriesData, levels: list[float], file: Path) -> None:
    """Forecasts beside what came, of windows from the best to the worst, in original units.

    Args:
        predictions: Of the test part.
        data: The series.
        levels: Of the quantiles.
        file: The PNG to write.
    """
    facts = data.facts
    error = _each(predictions)
    order = np.argsort(error, axis=None)
    figure, rows = plt.subplots(len(SHOWN), 1, figsize=(10, 2.6 * len(SHOWN)), layout="constrained")
    for (name, place), axes in zip(SHOWN.items(), rows, strict=True):
        window, channel = np.unravel_index(order[int(place * (len(order) - 1))], error.shape)
        start = data.test.first + int(predictions["index"][window])
        now = start + facts.look_back
        shown = max(start, now - 3 * facts.horizon)
        times = data.series.times
        ahead = times[now : now + facts.horizon]

        def original(values: np.ndarray, channel: int = int(channel)) -> np.ndarray:
            return values * facts.std[channel] + facts.mean[channel]

        axes.plot(times[shown : now + facts.horizon], data.series.values[shown : now + facts.horizon, channel],
                  color="black", linewidth=1, label="measured")  # fmt: skip
        axes.plot(ahead, original(predictions["forecast"][window, channel]), color="tab:blue", label="forecast")
        if "quantiles" in predictions and len(levels) > 1:
            fan = original(predictions["quantiles"][window, channel])
            for number in range(len(levels) // 2):
                low, high = levels[number], levels[-1 - number]
                axes.fill_between(ahead, fan[:, number], fan[:, -1 - number], color="tab:blue", alpha=0.2, linewidth=0,
                                  label=f"{low:g} to {high:g}")  # fmt: skip
        axes.axvline(times[now], color="grey", linewidth=0.8, linestyle=":")
        axes.xaxis.set_major_formatter(mdates.ConciseDateFormatter(axes.xaxis.get_major_locator()))
        axes.set(title=f"{name} ({facts.names[channel]}, mse {error[window, channel]:.3g})")
        axes.grid(alpha=0.3)
    rows[0].legend(loc="upper left", fontsize=8)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def draw_errors(
    predictions: Predictions, baselines: dict[str, np.ndarray], facts: ForecastingFacts, file: Path
) -> None:
    """Mean squared error by step ahead, beside the baselines, and by series.

    Args:
        predictions: Of the test part.
        baselines: Name to forecasts of the same windows.
        facts: Of the series.
        file: The PNG to write.
    """
    real, future = predictions["real"], predictions["future"]

    def by_step(forecast: np.ndarray) -> np.ndarray:
        return np.nanmean(np.where(real, (forecast - future) ** 2, np.nan), (0, 1))

    several = len(facts.names) > 1
    figure, panels = plt.subplots(1, 1 + several, figsize=(7 + 5 * several, 4.5), layout="constrained", squeeze=False)
    steps = panels[0, 0]
    ahead = np.arange(1, facts.horizon + 1)
    ours = by_step(predictions["forecast"])
    for name, forecast in baselines.items():
        errors = by_step(forecast)
        if errors.mean() < 4 * by_step(predictions["forecast"]).mean():  # others would flatten all the rest
            steps.plot(ahead, errors, label=name, linewidth=1)
    steps.plot(ahead, ours, label="this model", color="black", linewidth=2)
    steps.set(xlabel="steps ahead", ylabel="mse (scaled)", title="error by step", ylim=(0, None))
    steps.legend(fontsize=8)
    if several:
        errors = np.nanmean(np.where(real, (predictions["forecast"] - future) ** 2, np.nan), (0, 2))
        order = np.argsort(-errors)[:MOST_NAMES]
        panels[0, 1].barh([facts.names[i] for i in order][::-1], errors[order][::-1], color="tab:blue")
        panels[0, 1].set(xlabel="mse (scaled)", title="error by series")
    for axes in panels.flat:
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    plt.close(figure)


@torch.no_grad()
def draw_attention(network: Residual, forecast: Callable[[], Any], file: Path) -> None:
    """How much of their attention the forecast patches give to each patch, mean over heads, windows and blocks.

    With an array of latents it is what they give to latents, times what these give to patches.

    Args:
        network: Whose attention.
        forecast: Lets it read some windows.
        file: The PNG to write.
    """
    array = network.encoder.array
    layers = [block.get_submodule("attention") for block in network.encoder.blocks]
    with observe(layers if array is None else [array.write_attention, array.read_attention], "weights") as records:
        forecast()
    if array is None:
        shown = torch.stack([record.weights[0].mean((0, 1)) for record in records]).mean(0)
    else:
        written, read = (record.weights[0].mean(1) for record in records)
        shown = (written @ read).mean(0)
    length = network.past_patches + network.future_patches
    if shown.size(-1) != length:  # channels mixed: over all series
        shown = shown.unflatten(0, (-1, length)).unflatten(-1, (-1, length)).mean(0).sum(1)
    future = shown[network.past_patches :].cpu().numpy()
    patch = network.patch
    first = -network.past_patches * patch
    figure, axes = plt.subplots(figsize=(10, 1.5 + 0.4 * min(len(future), 12)), layout="constrained")
    image = axes.imshow(future, cmap="Blues", vmin=0, aspect="auto", interpolation="nearest",
                        extent=(first, first + length * patch, len(future) * patch, 0))  # fmt: skip
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="step that is looked at (0: the first to be forecast)", ylabel="steps ahead")
    axes.set_title("where forecasts look (mean over heads, blocks and windows)")
    figure.colorbar(image, label="share")
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _each(predictions: Predictions) -> np.ndarray:
    """Mean squared error of each window and series, `(windows, channels)`; those without a measured step count 0."""
    squared = np.where(predictions["real"], (predictions["forecast"] - predictions["future"]) ** 2, 0.0)
    return squared.sum(-1) / np.maximum(predictions["real"].sum(-1), 1)
