"""Whole series of a split in memory, and a batch of series as tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mla_train.data.batch import pad_stack
from mla_train.modalities.series.spec import SeriesSpec


@dataclass
class SeriesColumn:
    """Whole series of a split.

    Attributes:
        values: `(length, channels)` for each example, unscaled; NaN is a gap, a missing series has length 0.
        broken: Places of series without a single number.
        spec: Scale of the channels; None before it is learnt.
    """

    values: list[np.ndarray]
    broken: list[int] = field(default_factory=list)
    spec: SeriesSpec | None = None

    def __len__(self) -> int:
        """Number of series."""
        return len(self.values)

    def __getitem__(self, index: int) -> Tensor | None:
        """One series, scaled, `(length, channels)`; None where it is missing."""
        values = self.values[index]
        if not len(values):
            return None
        assert self.spec is not None
        scaled = (values - np.array(self.spec.mean)) / np.array(self.spec.std)
        return torch.from_numpy(scaled.astype(np.float32))

    def select(self, index: np.ndarray) -> "SeriesColumn":
        """Some of the series."""
        return SeriesColumn([self.values[i] for i in index], [], self.spec)

    def is_missing(self) -> np.ndarray:
        """True where an example has no series, `(examples,)`."""
        return np.array([not len(value) for value in self.values])

    def lengths(self) -> np.ndarray | None:
        """Number of steps of each series; None where all are alike."""
        lengths = np.array([len(value) for value in self.values])
        return None if (lengths == lengths[0]).all() else lengths

    def raw(self, index: int) -> np.ndarray:
        """One series, `(length, channels)`."""
        return self.values[index]

    def keys(self) -> list[bytes]:
        """The numbers of each series."""
        return [value.tobytes() for value in self.values]


@dataclass
class SeriesTensors:
    """A batch of series, in scaled units.

    Attributes:
        past: Steps that are read, `(batch, channels, length)`. Gaps of a window hold the last value before them; gaps of
            whole series, and padding, hold 0, the mean.
        real: True where a value was measured, `(batch, channels, length)`.
        known: Covariates that are known ahead, `(batch, length + horizon, num_known)`.
        observed: Covariates that are known up to the present, `(batch, length, num_observed)`.
        phase: Place in the cycle of the first step, `(batch,)`.
        padding: True at padding, `(batch, length)`.
    """

    past: Tensor
    real: Tensor
    known: Tensor
    observed: Tensor
    phase: Tensor
    padding: Tensor


def pad_series(examples: Sequence[Tensor | None], channels: int) -> SeriesTensors:
    """Whole series, padded to the longest.

    Args:
        examples: Scaled series, `(length, channels)`, NaN at gaps; None where one is missing.
        channels: Number of channels.
    """
    nothing = torch.zeros(0, channels)
    values, padding = pad_stack([nothing if example is None else example for example in examples])
    real = ~values.isnan() & ~padding.unsqueeze(-1)
    empty = values.new_zeros(*values.shape[:2], 0)
    phase = torch.zeros(len(values), dtype=torch.long)
    return SeriesTensors(values.nan_to_num().transpose(1, 2), real.transpose(1, 2), empty, empty, phase, padding)
