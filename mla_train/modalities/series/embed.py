"""From whole series to tokens: patches of all channels; statistics and fixed convolutions beside the encoder."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.series.convolutions import FixedConvolutions
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors, pad_series
from mla_train.modalities.series.statistics import STATISTICS, summarize
from mla_train.nn import Dropout, ReconstructionTarget

BATCH = 256  # series whose features are computed at a time


class SummaryStatistics(nn.Module):
    """Mean, slope, quartiles and the like of each channel; see `summarize`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.width = channels * len(STATISTICS)

    def init_from_data(self, values: Tensor, real: Tensor) -> None:
        """There is nothing to learn."""

    def forward(self, values: Tensor, real: Tensor) -> Tensor:
        """`(batch, width)`."""
        return summarize(values, real)


class ScaledFeatures(nn.Module):
    """Features of whole series, of mean 0 and standard deviation 1 over the training split.

    Args:
        features: Layer that computes them.
        dropout: Share that is left out in training.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, features: SummaryStatistics | FixedConvolutions, dropout: float) -> None:
        super().__init__()
        self.features, self.width = features, features.width
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))
        self.dropout = Dropout(dropout)

    @torch.no_grad()
    def init_from_data(self, train: list[SeriesTensors]) -> None:
        """Takes mean and standard deviation of batches of the training split."""
        self.features.init_from_data(train[0].past, train[0].real)
        features = torch.cat([self.features(tensors.past, tensors.real) for tensors in train])
        self.mean.copy_(features.mean(0))
        self.std.copy_(features.std(0).clamp(min=1e-6))

    def forward(self, tensors: SeriesTensors) -> Tensor:
        """`(batch, width)`, of length about 1 so that they weigh as much as a pooled token."""
        scaled = (self.features(tensors.past, tensors.real) - self.mean) / self.std
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
        features: dict[str, SummaryStatistics | FixedConvolutions] = {}
        if getattr(options, "statistics", False):
            features["statistics"] = SummaryStatistics(channels)
        if getattr(options, "convolutions", 0):
            features["convolutions"] = FixedConvolutions(channels, spec.longest, options.convolutions)
        if getattr(options, "side_paths", True):
            for name, layer in features.items():
                self.side_paths[name] = ScaledFeatures(layer, config.regularization.dropout)
                self.side_dim += layer.width
        self.linear_width = self.side_dim

    def forward(self, tensors: SeriesTensors) -> ModalityFeatures:
        """Tokens `(batch, patches, dim)`; a patch without any step of the series is padding."""
        values, known = self.cut(tensors.past), self.cut(tensors.real)
        side = torch.cat([path(tensors) for path in self.side_paths.values()], -1) if self.side_paths else None
        tokens = self.project(torch.cat([values, known.to(values)], -1))
        return ModalityFeatures(tokens, self._padding(tensors), side=side)

    def _padding(self, tensors: SeriesTensors) -> Tensor:
        """True where a patch holds padding alone, `(batch, patches)`."""
        lacking = -tensors.padding.size(1) % self.patch
        return F.pad(tensors.padding, (0, lacking), value=True).unflatten(1, (-1, self.patch)).all(-1)

    def cut(self, values: Tensor) -> Tensor:
        """Steps `(batch, channels, length)` as patches `(batch, patches, channels * patch)`, filled up with zeros."""
        patches = F.pad(values, (0, -values.size(-1) % self.patch)).unflatten(-1, (-1, self.patch))
        return patches.transpose(1, 2).flatten(2)

    @torch.no_grad()
    def init_from_data(self, train: Any) -> None:
        """Scales the features beside the encoder."""
        batches = [batch for _, batch in self._present(train)]
        for path in self.side_paths.values():
            path.init_from_data(batches)  # type: ignore[operator]

    def _present(self, column: Any) -> Iterator[tuple[list[int], SeriesTensors]]:
        """Places of the series that are not missing, some at a time, in a random order, and their tensors."""
        examples = [column[place] for place in range(len(column))]
        places = [place for place, example in enumerate(examples) if example is not None]
        order = np.random.default_rng(0).permutation(places)
        for some in np.array_split(order, max(1, -(-len(order) // BATCH))):
            yield some.tolist(), pad_series([examples[place] for place in some], self.spec)

    @torch.no_grad()
    def side_table(self, column: Any) -> np.ndarray:
        """Scaled features; zeros for missing series."""
        table, was_training = np.zeros((len(column), self.side_dim), np.float32), self.training
        self.eval()
        for places, tensors in self._present(column):
            table[places] = torch.cat([path(tensors) for path in self.side_paths.values()], -1).numpy()
        self.train(was_training)
        return table

    def set_linear(self, weight: Tensor) -> Tensor:
        """The features are the table itself."""
        return weight

    def reconstruction_target(self, tensors: SeriesTensors) -> ReconstructionTarget:
        """Steps that were measured."""
        return ReconstructionTarget(self.cut(tensors.past), self.cut(tensors.real))

    def hide(self, tensors: SeriesTensors, hidden: Tensor) -> SeriesTensors:
        """Series whose hidden patches were not measured."""
        steps = hidden.repeat_interleave(self.patch, 1)[:, None, : tensors.past.size(-1)]
        return replace(tensors, past=tensors.past.masked_fill(steps, 0), real=tensors.real & ~steps)

    def join(self, values: Tensor) -> Tensor:
        """Patches as series, `(batch, channels, patches * patch)`."""
        return values.unflatten(-1, (-1, self.patch)).transpose(1, 2).flatten(2)

    def count_tokens(self, tensors: SeriesTensors) -> int:
        """Number of patches that are no padding."""
        return int((~self._padding(tensors)).sum())
