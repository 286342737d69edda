"""Fixed convolutions of whole series: a linear model of how often each exceeds a threshold is hard to beat on few examples.

MiniRocket (Dempster, Schmidt and Webb 2021, arXiv 2012.08791): the 84 kernels of nine taps that have three taps of 2 and six
of -1, each spread over the series in several dilations; of several channels each kernel reads a random few. A feature is the
share of steps at which the convolution exceeds a threshold, which is a quantile of a training example. Of long series every
n-th step is looked at.
"""

from itertools import combinations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS, KERNELS = 9, 84
MOST_DILATIONS = 16
MOST_STEPS = 256  # of the longest series at which convolutions are computed, evenly spread: a share needs no more
MOST_CHANNELS = 9  # that a kernel reads
MARGIN = 1e-4
GOLDEN = (5**0.5 - 1) / 2  # multiples of it, without their whole part, are spread evenly


def dilations_of(longest: int, features: int) -> list[int]:
    """Distances of taps, evenly spread on a logarithmic scale; the widest kernel is as long as the longest series."""
    widest = np.log2(max(1.0, (longest - 1) / (TAPS - 1)))
    count = max(1, min(MOST_DILATIONS, features // KERNELS))
    return sorted({int(2**exponent) for exponent in np.linspace(0, widest, count)})


class FixedConvolutions(nn.Module):
    """Shares of steps at which convolutions exceed thresholds.

    Args:
        channels: Number of channels.
        longest: Number of steps of the longest training series.
        features: Number of features, about.

    Attributes:
        width: Number of features.
        thresholds: `(dilations, kernels, thresholds)`.
    """

    kernels: Tensor
    thresholds: Tensor

    def __init__(self, channels: int, longest: int, features: int) -> None:
        super().__init__()
        self.dilations, self.stride = dilations_of(longest, features), max(1, longest // MOST_STEPS)
        each = max(1, features // (KERNELS * len(self.dilations)))
        self.width = len(self.dilations) * KERNELS * each
        kernels = -torch.ones(KERNELS, TAPS)
        for kernel, places in zip(kernels, combinations(range(TAPS), 3), strict=True):
            kernel[list(places)] = 2.0
        reads = _some_channels(len(self.dilations), channels)
        self.register_buffer("kernels", kernels.unsqueeze(1) * reads.unsqueeze(-1), persistent=False)
        self.register_buffer("thresholds", torch.zeros(len(self.dilations), KERNELS, each))

    @torch.no_grad()
    def init_from_data(self, values: Tensor, real: Tensor) -> None:
        """Takes as thresholds of each kernel quantiles of what it gives for a random training example; see `forward`."""
        chosen = torch.from_numpy(np.random.default_rng(0).integers(0, len(values), KERNELS))
        levels = (torch.arange(1, self.thresholds[0].numel() + 1, dtype=torch.float64) * GOLDEN).frac()
        levels = levels.view(KERNELS, -1).to(values.dtype)
        inside = self._inside(real[chosen])
        for number, convolved in enumerate(self._convolved(values[chosen], real[chosen])):
            for kernel in range(KERNELS):
                steps = convolved[kernel, kernel, inside[kernel, 0]]
                # A bit above: sums that are equal to it but for rounding, as where a series stands still, do not exceed it.
                margin = MARGIN * (1 + steps.max() - steps.min())
                self.thresholds[number, kernel] = torch.quantile(steps, levels[kernel]) + margin

    def forward(self, values: Tensor, real: Tensor) -> Tensor:
        """The features, `(batch, width)`.

        Args:
            values: `(batch, channels, length)`.
            real: True where a value was measured, of the same shape; steps without any value do not count.
        """
        inside = self._inside(real)
        count = inside.sum(-1).clamp(min=1)
        shares = [
            ((convolved > threshold.unsqueeze(-1)) & inside).sum(-1) / count
            for convolved, thresholds in zip(self._convolved(values, real), self.thresholds, strict=True)
            for threshold in thresholds.unbind(-1)
        ]
        return torch.cat(shares, -1)

    def _inside(self, real: Tensor) -> Tensor:
        """Whether there is a value at each step that is looked at, `(batch, 1, steps)`."""
        return real[..., :: self.stride].any(1, keepdim=True)

    def _convolved(self, values: Tensor, real: Tensor) -> list[Tensor]:
        """What the kernels give at the steps that are looked at, `(batch, kernels, steps)`, for each dilation."""
        count = real.sum(-1, keepdim=True).clamp(min=1)
        centred = (values - (values * real).sum(-1, keepdim=True) / count) * real  # so that ends and gaps are no steps
        return [
            F.conv1d(centred, kernels, stride=self.stride, padding=dilation * (TAPS // 2), dilation=dilation)
            for dilation, kernels in zip(self.dilations, self.kernels, strict=True)
        ]


def _some_channels(dilations: int, channels: int) -> Tensor:
    """1 for each channel that a kernel reads, else 0, `(dilations, kernels, channels)`: a power of two of them, at random."""
    chance = np.random.default_rng(0)
    reads = torch.zeros(dilations, KERNELS, channels)
    most = np.log2(min(channels, MOST_CHANNELS) + 1)
    for row in reads.flatten(0, 1):
        row[chance.permutation(channels)[: int(2 ** chance.uniform(0, most))]] = 1.0
    return reads
