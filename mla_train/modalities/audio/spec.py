"""What a network must know of recordings, and what it reads of them."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor


@dataclass
class AudioSpec:
    """How recordings become log-mel spectrograms, and the statistics of these.

    Attributes:
        sample_rate: Samples a second that all recordings are brought to.
        mel_bands: Number of bands of frequencies.
        max_seconds: Length up to which a recording is read.
        mean: Mean of each band over the training split, in decibels.
        std: Standard deviation of each band over the training split.
    """

    carried: ClassVar = ("mean", "std")
    equally_long: ClassVar = ((("mean",), "std"),)
    within: ClassVar = {"sample_rate": (4_000, 48_000), "max_seconds": (0, 1e9)}

    sample_rate: int
    mel_bands: int
    max_seconds: float
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)


@dataclass
class AudioTensors:
    """A batch of recordings.

    Attributes:
        spectrograms: Decibels below the loudest place of each recording, `(batch, frames, bands)`.
        padding: True at padding, `(batch, frames)`.
    """

    spectrograms: Tensor
    padding: Tensor
