"""From whole series to tokens: patches of all channels; summary statistics beside the encoder."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors, pad_series
from mla_train.modalities.series.statistics import STATISTICS, summarize
from mla_train.nn import ReconstructionTarget


class SummaryStatistics(nn.Module):
    """Statistics of each channel over the whole series, of mean 0 and standard deviation 1 over the training split."""

    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.width = channels * len(STATISTICS)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.dropout = nn.Dropout(dropout)

    @torch.no_grad()
    def init_from_data(self, statistics: Tensor) -> None:
        """Takes mean and standard deviation of the training split's statistics, `(examples, width)`."""
        self.mean.copy_(statistics.mean(0))
        self.std.copy_(statistics.std(0).clamp(min=1e-6))

    def forward(self, tensors: SeriesTensors) -> Tensor:
        """`(batch, width)`, of length about 1 so that they weigh as much as a pooled token."""
        scaled = (summarize(tensors.past, tensors.real) - self.mean) / self.std
        return self.dropout(scaled.clamp(-5, 5)) * self.width**-0.5


class SeriesEmbedding(Embedding):
    """Tokens of whole series: patches of all channels together."""

    def __init__(self, config: TrainConfig, spec: SeriesSpec) -> None:
        super().__init__()
        options: Any = config.task
        self.spec, self.patch, channels = spec, options.patch, len(spec.names)
        self.reconstruction_size = self.patch * channels
        self.project = nn.Linear(2 * self.reconstruction_size, config.encoder.dim)
        self.side_paths = nn.ModuleDict()
        if getattr(options, "side_paths", True) and getattr(options, "statistics", False):
            statistics = SummaryStatistics(channels, config.regularization.dropout)
            self.side_paths["statistics"] = statistics
            self.side_dim = self.linear_width = statistics.width

    def forward(self, tensors: SeriesTensors) -> ModalityFeatures:
        """Tokens `(batch, patches, dim)`; a patch without any step of the series is padding."""
        values, known = self._patches(tensors.past), self._patches(tensors.real)
        side = self.side_paths["statistics"](tensors) if self.side_paths else None
        tokens = self.project(torch.cat([values, known.to(values)], -1))
        return ModalityFeatures(tokens, self._padding(tensors), side=side)

    def _padding(self, tensors: SeriesTensors) -> Tensor:
        """True where a patch holds padding alone, `(batch, patches)`."""
        lacking = -tensors.padding.size(1) % self.patch
        return F.pad(tensors.padding, (0, lacking), value=True).unflatten(1, (-1, self.patch)).all(-1)

    def _patches(self, x: Tensor) -> Tensor:
        """Steps `(batch, channels, length)` as patches `(batch, patches, channels * patch)`, filled up with zeros."""
        x = F.pad(x, (0, -x.size(-1) % self.patch)).unflatten(-1, (-1, self.patch))
        return x.transpose(1, 2).flatten(2)

    @torch.no_grad()
    def init_from_data(self, train: Any) -> None:
        """Scales the statistics."""
        if "statistics" in self.side_paths:
            present = [example for place in range(len(train)) if (example := train[place]) is not None]
            tensors = pad_series(present, self.spec)
            self.side_paths["statistics"].init_from_data(summarize(tensors.past, tensors.real))  # type: ignore[operator]

    @torch.no_grad()
    def side_table(self, column: Any) -> np.ndarray:
        """Scaled statistics; zeros for missing series."""
        examples = [column[place] for place in range(len(column))]
        present = [example for example in examples if example is not None]
        table = np.zeros((len(examples), self.side_dim), np.float32)
        statistics: Any = self.side_paths["statistics"]
        was_training = statistics.training
        statistics.eval()
        table[[example is not None for example in examples]] = statistics(pad_series(present, self.spec)).numpy()
        statistics.train(was_training)
        return table

    def set_linear(self, weight: Tensor) -> Tensor:
        """The statistics are the table itself."""
        return weight

    def reconstruction_target(self, tensors: SeriesTensors) -> ReconstructionTarget:
        """Steps that were measured."""
        return ReconstructionTarget(self._patches(tensors.past), self._patches(tensors.real))

    def count_tokens(self, tensors: SeriesTensors) -> int:
        """Number of patches that are no padding."""
        return int((~self._padding(tensors)).sum())
