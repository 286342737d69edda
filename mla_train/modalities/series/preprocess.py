"""From series to tensors: whole series as arrays, or windows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch

from mla_train.config import TrainConfig
from mla_train.data.examples import TableSeries
from mla_train.data.series_steps import without_end
from mla_train.errors import UserError
from mla_train.modalities.arrays import load_arrays, preprocess_arrays
from mla_train.modalities.base import Embedding, ListColumn, Modality
from mla_train.modalities.explanation import InputExplanation
from mla_train.modalities.series.embed import SeriesEmbedding
from mla_train.modalities.series.embed_windows import WindowEmbedding
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors, mean_and_std, pad_series

if TYPE_CHECKING:  # windows of tables need pandas, arrays do not
    from mla_train.modalities.series.windows import ScaledSeries, Window


@dataclass
class SeriesColumn(ListColumn):
    """Whole series of a split: `(length, channels)` for each example, unscaled; NaN is a gap.

    Attributes:
        formats: Columns that they were read from, see `SeriesSpec`; empty where they are of no table.
        time_format: How the times of their steps were read, see `SeriesSpec`.
    """

    formats: dict[str, list[str]] = field(default_factory=dict)
    time_format: str = ""

    def lengths(self) -> np.ndarray | None:
        """Number of steps of each series; None where all are alike."""
        lengths = {len(value) for value in self.values}
        return super().lengths() if len(lengths) > 1 else None

    def keys(self) -> list[bytes]:
        """The numbers of each series."""
        return [value.tobytes() for value in self.values]


class Series(Modality[SeriesSpec]):
    """Time series: windows of a table where a forecast is made, else whole series of any length."""

    kind = "series"
    spec_class = SeriesSpec

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> SeriesColumn:
        """Takes arrays `(length,)` or `(length, channels)`; None and empty ones are missing, NaN is a gap."""
        arrays = load_arrays(values, names, _channels, "channels")
        broken = [i for i, array in enumerate(arrays) if len(array) and np.isnan(array).all()]
        gaps = sum(bool(np.isnan(array).any()) for array in arrays)
        if gaps:
            notes.append(f"{gaps:,} series have steps without a value: they are read as gaps")
        first = next((value for value in values if isinstance(value, TableSeries)), None)
        if first is None:
            return SeriesColumn(arrays, broken)
        formats = {name: list(each or ()) for name, each in first.formats.items()}
        return SeriesColumn(arrays, broken, formats, first.time_format)

    @classmethod
    def fit(cls, train: SeriesColumn, options: Any) -> Self:
        """Mean and standard deviation of each channel over all steps."""
        steps = np.concatenate([value for value in train.values if len(value)])
        mean, std, _ = mean_and_std(steps)
        mean, std = np.nan_to_num(mean), np.nan_to_num(std, nan=1.0)
        names = [str(number) for number in range(1, steps.shape[1] + 1)]
        longest = max(map(len, train.values))
        gaps = bool(np.isnan(steps).any())
        spec = SeriesSpec(names, mean.tolist(), std.tolist(), gaps, longest=longest)
        return cls(replace(spec, formats=train.formats, time_format=train.time_format))

    def preprocess(self, values: Sequence[Any]) -> Any:
        """Reads whole series as arrays; where a forecast is made, the last rows of table files.

        Args:
            values: Arrays or lists of numbers, None is missing; where a forecast is made, paths of csv or parquet files.

        Raises:
            UserError: A value is not what this model reads.
        """
        if self.spec.horizon:
            return [self._window(value) for value in values]
        return SeriesColumn(preprocess_arrays(values, _channels, len(self.spec.names), "channels"))

    def _window(self, value: Any) -> "Window":
        from mla_train.modalities.series.future import read_windows
        from mla_train.modalities.series.windows import Window

        if isinstance(value, Window):
            return value
        if not isinstance(value, str | Path):
            raise UserError(f"a CSV or parquet file of series is needed, not {type(value).__name__}")
        return read_windows(Path(value), self.spec)[0]

    def collate(self, examples: Sequence[Any]) -> SeriesTensors:
        """Cuts windows out of their table, or pads whole series to the longest."""
        if not self.spec.horizon:
            return pad_series(examples, self.spec)
        from mla_train.modalities.series.windows import by_series

        parts = [self._cut(series, now) for series, now in by_series(examples)]
        if len(parts) == 1:
            return parts[0]
        names = [f.name for f in fields(SeriesTensors)]
        return SeriesTensors(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})

    def _cut(self, series: "ScaledSeries", now: np.ndarray) -> SeriesTensors:
        """Windows of one table whose forecasts begin at some rows."""
        rows = now[:, None] + np.arange(-self.spec.look_back, self.spec.horizon)
        past = rows[:, : self.spec.look_back]
        return SeriesTensors(
            torch.from_numpy(series.values.take(past, 0)).transpose(1, 2),
            torch.from_numpy(series.real.take(past, 0)).transpose(1, 2),
            torch.from_numpy(series.known.take(rows, 0)).transpose(1, 2),
            torch.from_numpy(series.observed.take(past, 0)).transpose(1, 2),
            torch.from_numpy((series.phase + now - self.spec.look_back) % self.spec.period),
            torch.zeros(past.shape, dtype=torch.bool),
        )

    def explain(self, name: str, embedding: Any, tensors: SeriesTensors, raw: Any) -> InputExplanation:
        """Patches as units, which are occluded at the mean of the series."""
        from mla_train.modalities.series.explain import explain_series, explain_window

        if self.spec.horizon:
            return explain_window(name, self.spec, embedding, tensors, self._window(raw))
        return explain_series(name, self.spec, embedding, tensors)

    @classmethod
    def example_values(cls, count: int) -> list[np.ndarray]:
        """Short waves of two channels and different length."""
        steps = np.arange(40)
        waves = [
            np.stack([np.sin((steps + i) * (1 + i % 2) / 3), np.cos(steps / 5) * (i % 3)], 1) for i in range(count)
        ]
        return [wave[: 25 + 5 * (i % 4)] for i, wave in enumerate(waves)]

    def embedding(self, config: TrainConfig) -> Embedding:
        """Patches as tokens; with a horizon those of the past and of the steps to be forecast."""
        return (WindowEmbedding if self.spec.horizon else SeriesEmbedding)(config, self.spec)


def _channels(value: Any) -> np.ndarray:
    """`(length, channels)` of finite numbers and NaN, which ends with a step that has a value, unless none has."""
    array = np.asarray(value, dtype=np.float64)
    array = array[:, None] if array.ndim == 1 else array
    array = np.where(np.isinf(array), np.nan, array)
    ended = without_end(array)
    return ended if len(ended) else array
