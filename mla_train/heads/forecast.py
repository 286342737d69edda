"""A forecast: point and quantiles of each step, as corrections of a closed-form solution behind a gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import ForecastOptions, TrainConfig
from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Embeddings, Explained, Head, Predictions, RawTargets, columns_of
from mla_train.heads.forecast_metrics import (
    coverage,
    errors_by_series,
    forecast_metrics,
    interval_facts,
    mean_errors,
    metrics_of_sums,
    pooled_quantile,
    rounded,
    window_sums,
)
from mla_train.heads.forecast_spec import ForecastSpec
from mla_train.modalities.base import ModalityFeatures
from mla_train.modalities.series.transforms import restored

SERIES_UNIT = "units of the series"
LABELS = {"future": "values", "real": "real", "now": "now"}
POINT_LOSSES: dict[str, Any] = {"mse": F.mse_loss, "mae": F.l1_loss, "huber": F.huber_loss}


@dataclass
class FutureTensors:
    """Scaled values to be forecast, True where one was measured, both `(batch, series, horizon)`, and their first rows `(batch,)`."""

    values: Tensor
    real: Tensor
    now: Tensor


class Forecast(Head):
    """Future of windows.

        forecast = cycle + linear + size * gate * correction                      gate: 0, at first

    It has one input, whose embedding is a `WindowEmbedding`, and `ForecastOptions` in the config's task.
    """

    kind = "forecast"
    spec_class = ForecastSpec
    draws_sums = True
    directions = {
        "mse": "min", "mae": "min", "rmse": "min", "mase": "min", "wql": "min",
        "mse_original": "min", "mae_original": "min", "rmse_original": "min", "smape_original": "min", "qlike": "min",
    }  # fmt: skip
    monitor = "mse"
    units = {
        "mse": "std²", "mae": "std", "rmse": "std", "smape_original": "%",
        "mse_original": "series²", "mae_original": "series", "rmse_original": "series",
    }  # fmt: skip
    units_note = f"std: standard deviations of the training rows; series: {SERIES_UNIT}"
    learning: Tensor
    quantile_shift: Tensor

    def __init__(
        self, config: TrainConfig, spec: ForecastSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__()
        options, dim = config.task, config.encoder.dim
        assert isinstance(options, ForecastOptions)
        if len(embeddings) > 1:
            raise UserError(f"a forecast reads one input, not {', '.join(embeddings)}: leave the others out")
        (windows,) = embeddings.values()
        self.spec, self.levels, self.point_loss = spec, list(options.quantiles), POINT_LOSSES[options.loss.value]
        if len(spec.names) > 1:  # whose units may differ
            of_one = [name for name, unit in self.units.items() if unit.startswith("series")]
            self.directions = {name: mode for name, mode in self.directions.items() if name not in of_one}
        if spec.transform != "log":  # which needs, and makes, values above zero
            self.directions = {name: mode for name, mode in self.directions.items() if name != "qlike"}
        if spec.transform != "none":
            self.units_note = (
                f"std: standard deviations of the training rows after {spec.transform}; series: {SERIES_UNIT}"
            )
        self.patch, self.step_dim, self.future_patches = windows.patch, windows.step_dim, windows.future_patches
        self.register_buffer("learning", torch.tensor(False))
        self._set_quantile_shift()
        self.quantiles = nn.Parameter((torch.tensor(self.levels) - 0.5).repeat(spec.horizon, 1))
        if windows.use_encoder:
            outputs = 1 + len(self.levels)
            self.write = nn.Linear(dim, self.patch * outputs)
            self.write_step = nn.Linear(dim, self.step_dim * outputs)
            self.gate = nn.Parameter(torch.zeros(spec.horizon))

    # Targets.

    @classmethod
    def load_targets(cls, targets: RawTargets, options: Any, notes: list[str]) -> tuple[ForecastSpec, dict[str, Any]]:
        """There are none beside the series, which `prepare_windows` reads."""
        raise UserError(
            "a forecast takes its targets from the series: override Task.prepare with "
            "mla_train.window_dataset.prepare_windows"
        )

    @classmethod
    def collate(cls, spec: ForecastSpec, targets: Sequence[Any], training: bool) -> FutureTensors:
        """The steps behind each window, cut out of their table."""
        from mla_train.modalities.series.windows import by_series

        values, real, first = [], [], []
        for series, now in by_series(targets):
            rows = now[:, None] + np.arange(spec.horizon)
            values.append(torch.from_numpy(series.values.take(rows, 0)).transpose(1, 2))
            real.append(torch.from_numpy(series.real.take(rows, 0)).transpose(1, 2))
            first.append(torch.from_numpy(now))
        return FutureTensors(torch.cat(values), torch.cat(real), torch.cat(first))

    # The network.

    @torch.no_grad()
    def init_from_errors(self, errors: Tensor) -> None:
        """Sets the quantiles to those of the closed form's errors, over the standard deviation of the past.

        Errors are `(examples, horizon)`, NaN where nothing was measured.
        """
        for number, level in enumerate(self.levels):
            for step, column in enumerate(errors.T):
                self.quantiles[step, number] = column.nanquantile(level).nan_to_num(level - 0.5)

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> tuple[Tensor, Tensor]:
        """Point forecast `(batch, series, horizon)` and quantiles `(batch, series, horizon, levels)`, scaled."""
        (series,) = features.values()
        context = series.context
        offsets: Tensor = self.quantiles
        point = context.linear + context.cycle
        if series.tokens is not None:
            added, moved = self.corrections(series.tokens, context.steps)
            # Its quantiles are random at first, so that the encoder learns from them before its gate opens.
            self.learning |= self.training
            moved = moved * self.learning.clone()  # a second pass before the gradient writes it again
            point, offsets = point + context.size * added, offsets + moved
        if not self.training:
            offsets = offsets + self.quantile_shift
        # Quantiles follow the point and leave it alone.
        return point, point.detach().unsqueeze(-1) + context.spread.unsqueeze(-1) * offsets

    def _set_quantile_shift(self) -> None:
        shift = torch.tensor(self.spec.quantile_shift or 0.0)
        self.register_buffer("quantile_shift", shift, persistent=False)

    def corrections(self, tokens: Tensor, steps: Tensor) -> tuple[Tensor, Tensor]:
        """What to add to the closed form, and how far quantiles move.

        Args:
            tokens: Encoded tokens, `(batch * series, length, dim)` or `(batch, series * length, dim)`.
            steps: Vectors of the steps to be forecast, `(batch, series, patches, patch * step_dim)`.

        Returns:
            Behind a gate that starts shut `(batch, series, horizon)`, and `(batch, series, horizon, levels)`.
        """
        tokens = tokens.reshape(*steps.shape[:2], -1, tokens.size(-1))[:, :, -self.future_patches :]
        by_place = self.write(tokens).unflatten(-1, (self.patch, -1))
        by_step = steps.unflatten(-1, (self.patch, -1)) @ self.write_step(tokens).unflatten(-1, (self.step_dim, -1))
        written = (by_place + by_step * self.step_dim**-0.5).flatten(2, 3)[:, :, : self.spec.horizon]
        return self.gate * written[..., 0], written[..., 1:]

    def loss(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss of the point forecast, and pinball loss of the quantiles, over the steps that were measured."""
        point, quantiles = outputs
        future, real = batch.targets.values, batch.targets.real
        total = self.point_loss(point, future, reduction="none")[real].sum()
        if self.levels and self.training:
            levels = torch.tensor(self.levels, device=point.device)
            error = (future.unsqueeze(-1) - quantiles)[real]
            total = total + torch.maximum(levels * error, (levels - 1) * error).mean(-1).sum()
        return total, real.sum().clamp(min=1)  # a batch that falls into a gap teaches nothing

    def r_drop_loss(self, first: Any, second: Any, batch: Batch) -> Tensor:
        """The divergence of two normal distributions of standard deviation 1 around both points."""
        return ((first[0] - second[0])[batch.targets.real] ** 2).sum() / 4

    # Answers.

    def read_outputs(self, outputs: tuple[Tensor, Tensor]) -> Predictions:
        """Forecast, and quantiles in rising order, scaled; those of series that were never negative are not either."""
        point, quantiles = (output.detach().float().cpu().numpy() for output in outputs)
        least = ((self.spec.least - self.spec.mean) / self.spec.std).astype(np.float32)  # transforms leave 0 as it is
        least = np.nextafter(least, np.float32(-np.inf))[:, None]  # `decode` makes it zero exactly
        columns = {"forecast": np.maximum(point, least) if self.spec.nonnegative_point else point}
        if self.levels:
            columns["quantiles"] = np.maximum(np.sort(quantiles, -1), least[..., None])
        return columns

    def predict(
        self,
        outputs: tuple[Tensor, Tensor],
        features: dict[str, ModalityFeatures],
        batch: Batch,
        val_size: int | None = None,
    ) -> Predictions:
        """The columns of `read_outputs`, and the standard deviation of the past, by which quantiles are calibrated."""
        (series,) = features.values()
        return self.read_outputs(outputs) | {"spread": series.context.spread.squeeze(-1).float().cpu().numpy()}

    def calibrate(self, predictions: Predictions) -> bool:
        """Shifts each quantile of each step so that its share of val lies below it (Romano et al. 2019, arXiv 1905.03222).

        A step with few measured values in val is calibrated together with its neighbours.
        """
        if not self.levels:
            return False
        spread, shift = predictions["spread"][..., None], []
        quantiles, future, real = (predictions[name] for name in ("quantiles", "future", "real"))
        for number, level in enumerate(self.levels):
            errors = np.where(real, (future - quantiles[..., number]) / spread, np.nan)
            by_step = np.moveaxis(errors, -1, 0).reshape(self.spec.horizon, -1)
            shift.append([pooled_quantile(by_step, step, level) for step in range(self.spec.horizon)])
        before = self.quantile_shift.cpu().numpy()
        self.spec = replace(self.spec, quantile_shift=(np.array(shift).T + before).tolist())
        self._set_quantile_shift()
        self.to(self.quantiles.device)
        return True

    def labels(self, batch: Batch) -> Predictions:
        """What came, what of it was measured, and its first row."""
        targets = batch.targets
        return {name: getattr(targets, each).cpu().numpy() for name, each in LABELS.items()}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Errors in scaled and original units."""
        return forecast_metrics(predictions, self.spec, self.levels)

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """See `Head.metrics_of_draws`; each window is summed once."""
        sums = window_sums(predictions, self.spec, self.levels)
        is_single = len(self.spec.names) == 1
        return columns_of(
            [
                metrics_of_sums({name: values[places].sum(0) for name, values in sums.items()}, is_single)
                for places in draws
            ]
        )

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Errors of each series, also in its own units, and of each step, coverage of the quantiles, and the cycle."""
        details: dict[str, Any] = {
            "per_series": errors_by_series(predictions, self.spec),
            "mse_by_step": rounded(mean_errors(predictions)[1]),
            "period": self.spec.period,
        }
        if "quantiles" in predictions:
            details["coverage"] = coverage(predictions, self.levels)
            details["interval"] = interval_facts(predictions, self.levels)
        return details

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Steps of each series in original units, and their quantiles."""
        least = self.spec.least if self.spec.nonnegative_point else -np.inf
        records: list[dict[str, Any]] = [
            {"prediction": self._by_name(window, least)} for window in predictions["forecast"]
        ]
        for record, window in zip(records, predictions.get("quantiles", ()), strict=False):
            columns = zip(self.levels, np.moveaxis(window, -1, 0), strict=True)
            record["quantiles"] = {f"{level:g}": self._by_name(steps, self.spec.least) for level, steps in columns}
        return records

    def decode_labels(self, predictions: Predictions) -> list[dict[str, list[float | None]]]:
        """Measured steps of each series in original units; null where nothing was measured."""
        future = np.where(predictions["real"], predictions["future"], np.nan)
        return [self._by_name(window) for window in future]

    def _by_name(self, scaled: np.ndarray, least: Any = -np.inf) -> dict[str, list[float | None]]:
        """Steps `(series, horizon)` in original units, and not below a bound, by the names of the series."""
        values = np.maximum(self.spec.in_units(scaled).T, least).T
        columns = zip(self.spec.names, values, self.spec.std, strict=True)
        return {name: rounded(steps, std) for name, steps, std in columns}

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Mean squared error of the measured steps of one series, in its standard deviations."""
        series = self.spec.names.index(record["series"])
        forecast, measured = (self.spec.scaled(record[name], series) for name in ("forecast", "measured"))
        squared = (forecast - measured)[~np.isnan(measured)] ** 2
        return float(squared.mean()) if len(squared) else 0.0

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """Errors by step and by series."""
        from mla_train.heads.forecast_figures import draw_errors

        draw_errors(predictions, {}, self.spec, folder / "errors.png")

    def answer_to_explain(self, features: dict[str, ModalityFeatures], raw: Mapping[str, Any]) -> int:
        """Index of the series that the explanation is about."""
        (window,) = raw.values()
        return getattr(window, "shown", 0)

    def encode_answers(self, answers: Sequence[int]) -> Tensor:
        """Indices of series, `(examples,)`."""
        return torch.tensor(answers)

    def explain(self, outputs: tuple[Tensor, Tensor], batch: Batch) -> Explained:
        """The mean of the forecast of one series, in its own unit."""
        shown = int(batch.targets[0])
        name, std, mean = self.spec.names[shown], self.spec.std[shown], self.spec.mean[shown]

        def score(outputs: tuple[Tensor, Tensor]) -> Tensor:
            return restored(outputs[0][:, shown] * std + mean, self.spec.transform).mean(-1)

        forecast = restored(outputs[0][0, shown] * std + mean, self.spec.transform).detach().cpu().numpy()
        prediction = f"{name}: {forecast.mean():,.4g} on average over {self.spec.horizon} steps"
        return Explained(score, "the mean of the forecast", prediction, forecast)
