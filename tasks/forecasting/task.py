"""The task: the past of series in, their future out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.errors import UserError
from mla_train.explain.explanation import Explanation
from mla_train.nn import ReconstructionInput, ReconstructionTarget
from mla_train.training.task import Predictions, Raw, Task
from tasks.forecasting import baselines, ridge
from tasks.forecasting.config import ForecastingTaskConfig, Loss
from tasks.forecasting.data import ForecastBatch, ForecastingFacts, SeriesData
from tasks.forecasting.figures import draw_attention, draw_errors, draw_windows
from tasks.forecasting.network import Forecaster
from tasks.forecasting.raw import read_end
from tasks.forecasting.scores import coverage, scores
from tasks.forecasting.view import view_window

POINT_LOSSES = {Loss.mse: F.mse_loss, Loss.mae: F.l1_loss, Loss.huber: F.huber_loss}


class ForecastingTask(Task):
    """How does a time series go on?"""

    facts_class = ForecastingFacts
    directions = {
        "mse": "min", "mae": "min", "rmse": "min", "mase": "min", "wql": "min",
        "mse_original": "min", "mae_original": "min", "rmse_original": "min", "smape_original": "min",
    }  # fmt: skip
    monitor = "mse"

    def build(self, facts: ForecastingFacts) -> None:
        """Makes the network for these series."""
        options = self.config.task
        assert isinstance(options, ForecastingTaskConfig)
        self.options = options
        self.facts = facts
        self.simple: dict[str, np.ndarray] = {}
        self.network = Forecaster(self.config, facts)

    def begin(self, data: SeriesData) -> bool:
        """Puts cycle, ridge and quantiles of the training windows in place: a forecaster before the first step."""
        period = self.facts.period if self.options.cycle else None
        profile = baselines.cycle_profile(data) if period else np.zeros((self.facts.period, len(self.facts.names)))
        train, val = (without_cycle(data, part, profile) for part in ("train", "val"))
        count = min(len(data.train), max(1, 4000 // len(self.facts.names)))
        places = np.linspace(0, len(data.train) - 1, count).astype(int)
        batch = data.collate([data.train[int(place)] for place in places], training=False)
        self.network.begin(ridge.fit(train, val, period), profile, batch)
        return True

    def forward(self, batch: ForecastBatch) -> tuple[Tensor, Tensor]:
        """Point forecast `(batch, channels, horizon)` and quantiles `(batch, channels, horizon, levels)`."""
        return self.network(batch)

    def loss(self, outputs: tuple[Tensor, Tensor], batch: ForecastBatch) -> tuple[Tensor, Tensor]:
        """Loss of the point forecast, and pinball loss of the quantiles, over the steps that were measured."""
        point, quantiles = outputs
        real = batch.real[..., self.facts.look_back :]
        measure: Any = POINT_LOSSES[self.options.loss]
        total = measure(point, batch.future, reduction="none")[real].sum()
        if self.options.quantiles and self.training:
            levels = torch.tensor(self.options.quantiles, device=point.device)
            error = (batch.future.unsqueeze(-1) - quantiles)[real]
            total = total + torch.maximum(levels * error, (levels - 1) * error).mean(-1).sum()
        return total, real.sum().clamp(min=1)  # a batch that falls into a gap teaches nothing

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """Patches of the past, less its cycle, of mean 0 and spread 1.

        Raises:
            UserError: The network has no encoder.
        """
        residual = self.network.residual
        if residual is None:
            raise UserError(
                "encoder.masked_modeling=true: task.residual=false leaves the encoder out; add task.residual=true"
            )

        def read(batch: ForecastBatch) -> ReconstructionTarget:
            return residual.told(self.network.closed_form(batch), batch.real[..., : self.facts.look_back])

        return [ReconstructionInput(self.options.patch, read)]

    def divergence(self, first: Any, second: Any, batch: ForecastBatch) -> Tensor:
        """The same for points as for class scores, if a point is the mean of a normal distribution of spread 1."""
        return ((first[0] - second[0])[batch.real[..., self.facts.look_back :]] ** 2).sum() / 4

    def predict(self, outputs: tuple[Tensor, Tensor], batch: ForecastBatch) -> Predictions:
        """Forecast, quantiles in rising order, and what was measured."""
        point, quantiles = outputs
        found = {"forecast": point, "future": batch.future, "real": batch.real[..., self.facts.look_back :]}
        if self.options.quantiles:
            found["quantiles"] = quantiles.sort(-1).values
        return {name: value.detach().cpu().numpy() for name, value in found.items()}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Errors in scaled and original units."""
        return scores(predictions, self.facts, self.options.quantiles)

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Errors by series and by step, coverage of the quantiles, and what the linear path began with."""
        real = predictions["real"]
        squared = np.where(real, (predictions["forecast"] - predictions["future"]) ** 2, np.nan)
        found: dict[str, Any] = {
            "mse_by_series": dict(zip(self.facts.names, _rounded(_means(squared, (0, 2))), strict=True)),
            "mse_by_step": _rounded(_means(squared, (0, 1))),
            "period": self.facts.period,
        }
        if "quantiles" in predictions:
            found["coverage"] = coverage(predictions, self.options.quantiles)
        return found

    def records(self, predictions: Predictions, data: SeriesData) -> list[dict[str, Any]]:
        """Windows that follow each other without overlap, in original units; steps that fill no last one are left out."""
        rows = []
        mean, std = np.array(self.facts.mean)[:, None], np.array(self.facts.std)[:, None]
        for place in range(0, len(predictions["index"]), self.facts.horizon):
            now = data.test.first + int(predictions["index"][place]) + self.facts.look_back
            forecast = predictions["forecast"][place] * std + mean
            measured = np.where(predictions["real"][place], predictions["future"][place] * std + mean, np.nan)
            for number, name in enumerate(self.facts.names):
                row = {
                    "index": int(predictions["index"][place]),
                    "from": str(data.series.times[now]),
                    "series": name,
                    "forecast": _rounded(forecast[number]),
                    "measured": _rounded(measured[number]),
                }
                if "quantiles" in predictions:
                    quantiles = predictions["quantiles"][place, number] * std[number] + mean[number]
                    row["quantiles"] = {
                        f"{level:g}": _rounded(quantiles[:, i]) for i, level in enumerate(self.options.quantiles)
                    }
                rows.append(row)
        return rows

    def error(self, record: Mapping[str, Any]) -> float:
        """Mean squared error of what was measured, in standard deviations of the series."""
        pairs = zip(record["forecast"], record["measured"], strict=True)
        squared = [(forecast - measured) ** 2 for forecast, measured in pairs if measured is not None]
        return float(np.mean(squared or 0.0)) / self.facts.std[self.facts.names.index(record["series"])] ** 2

    def baselines(self, data: SeriesData) -> dict[str, Predictions]:
        """What simple forecasters say of the same windows."""
        future = data.windows("test")[1]
        real = np.lib.stride_tricks.sliding_window_view(
            data.real[data.test.first + self.facts.look_back : data.borders[2]], self.facts.horizon, axis=0
        )
        self.simple = {
            "repeat_last": baselines.repeat_last(data),
            "seasonal_naive": baselines.seasonal_naive(data),
            "seasonal_profile": baselines.seasonal_profile(data),
            "ridge": baselines.linear(data),
            "boosting": baselines.boosting(data),
        }
        return {name: {"forecast": found, "future": future, "real": real} for name, found in self.simple.items()}

    def figures(self, predictions: Predictions, data: SeriesData, folder: Path) -> None:
        """Forecasts, errors, and what the encoder looks at."""
        draw_windows(predictions, data, self.options.quantiles, folder / "forecasts.png")
        draw_errors(predictions, self.simple, self.facts, folder / "errors.png")
        if self.network.residual is not None:
            places = np.linspace(0, len(data.test) - 1, min(64, len(data.test))).astype(int)
            batch = data.collate([data.test[int(place)] for place in places], training=False).to(self.device)
            draw_attention(self.network.residual, lambda: self(batch), folder / "attention.png")

    @property
    def inputs(self) -> Sequence[str]:
        """The file of the series, and the one of them that is shown."""
        return ("series", "column")

    def read(self, raws: Sequence[Raw]) -> ForecastBatch:
        """The last rows of files as a batch, or windows that are one already.

        Raises:
            UserError: A file is missing or is not as it must be.
        """
        if not all(raw.get("series") is not None for raw in raws):
            raise UserError("there is no series: name a CSV file")
        column = getattr(self.config.data, "time_column", None)
        windows = [
            window if isinstance(window, ForecastBatch) else read_end(Path(str(window)), self.facts, column)
            for window in (raw["series"] for raw in raws)
        ]
        parts = zip(*(vars(window).values() for window in windows), strict=True)
        return ForecastBatch(*(torch.cat(tensors) for tensors in parts))

    def raw(self, data: SeriesData, index: int) -> Raw:
        """The window."""
        return {"series": data.collate([data.test[index]], training=False)}

    def explain(self, raw: Raw) -> Explanation:
        """Patches over patches along the series; patches of its past as units."""
        return view_window(self, raw)

    def tokens(self, batch: ForecastBatch) -> int:
        """Patches that the encoder reads."""
        part = self.network.residual
        return len(batch) * len(self.facts.names) * (part.past_patches + part.future_patches if part else 1)


def _means(values: np.ndarray, axes: tuple[int, int]) -> np.ndarray:
    """Means of what is no NaN; NaN where there is nothing else."""
    count = (~np.isnan(values)).sum(axes)
    return np.where(count, np.nansum(values, axes) / np.maximum(count, 1), np.nan)


def _rounded(values: np.ndarray) -> list[float | None]:
    """Six digits; a gap is null."""
    return [None if np.isnan(value) else float(f"{value:.6g}") for value in values]


def without_cycle(data: SeriesData, part: str, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Past and future of the windows of a part, less the profile."""
    past, future = data.windows(part)
    if not profile.any():
        return past, future
    look_back = data.facts.look_back
    starts = getattr(data, part).first + np.arange(len(past))
    steps = (starts[:, None] + np.arange(look_back + data.facts.horizon)) % data.facts.period
    cycle = profile[steps].transpose(0, 2, 1)
    return past - cycle[..., :look_back], future - cycle[..., look_back:]
