"""Random variation of spectrograms in training.

A speaker is varied by stretching both axes a little: time as in slower speech, frequency as by a longer vocal tract
(Jaitly and Hinton 2013). SpecAugment (Park et al. 2019, arXiv 1904.08779) hides stretches of time and bands of frequencies.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.config import Augmentation
from mla_train.modalities.audio.log_mel import FLOOR

SHIFT = 10  # frames of silence before and behind, at most
MASKED = 0.2  # share of frames or bands that a mask hides, at most
NOISE = FLOOR, -20.0  # decibels of noise that is as loud in all bands


class Strength(NamedTuple):
    """How much is varied.

    Attributes:
        stretch: Share by which time and frequency are stretched or compressed, at most.
        masks: Number of masks along each axis.
    """

    stretch: float
    masks: int


STRENGTHS = {Augmentation.light: Strength(0.1, 1), Augmentation.strong: Strength(0.2, 2)}


class SpectrogramTransform:
    """Stretches, shifts, adds noise, hides.

    Args:
        level: Light or strong.
        mean: Mean of each band, which hidden places have.
    """

    def __init__(self, level: Augmentation, mean: list[float]) -> None:
        self.strength, self.mean = STRENGTHS[level], torch.tensor(mean)

    def __call__(self, spectrogram: np.ndarray) -> np.ndarray:
        """`(frames, bands)` to as many bands and about as many frames."""
        values = torch.from_numpy(spectrogram).float()
        values = _stretched(values, self.strength.stretch)
        values = F.pad(values, (0, 0, _below(SHIFT + 1), _below(SHIFT + 1)), value=FLOOR)
        noise = NOISE[0] + (NOISE[1] - NOISE[0]) * torch.rand(())
        values = (10 * (10 ** (values / 10) + 10 ** (noise / 10)).log10()).clamp(max=0)
        for _ in range(self.strength.masks):
            for axis in (0, 1):
                width = _below(int(MASKED * values.size(axis)) + 1)
                start = _below(values.size(axis) - width + 1)
                hidden = values.narrow(axis, start, width)
                hidden.copy_((self.mean if axis == 0 else self.mean[start : start + width]).expand_as(hidden))
        return values.half().numpy()


def _stretched(values: Tensor, most: float) -> Tensor:
    """`(frames, bands)` with both axes stretched; the highest bands are cut off, or repeated."""
    frames, bands = values.shape
    factors = 1 + most * (2 * torch.rand(2) - 1)
    size = max(1, round(frames * float(factors[0]))), max(1, round(bands * float(factors[1])))
    values = F.interpolate(values[None, None], size, mode="bilinear", align_corners=False)[0, 0, :, :bands]
    return F.pad(values[None], (0, bands - values.size(1)), mode="replicate")[0]


def _below(end: int) -> int:
    return int(torch.randint(end, ()))
