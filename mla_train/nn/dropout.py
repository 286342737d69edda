"""Dropout that takes less than half of torch's time on a CPU, where masks are a tenth of a training step (docs/performance.md)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LOWEST = torch.iinfo(torch.int64).min
STEPS = 1 << 16  # numbers that a piece of a random word may be


def dropout(x: Tensor, rate: float) -> Tensor:
    """Zeros each value with a probability and scales the others, so that the mean stays (Srivastava et al. 2014).

    On a CPU one random word of 64 bits decides about four values; the rate is rounded to a 65,536th.

    Args:
        x: Values, `(...)`.
        rate: Probability of dropping a value.
    """
    dropped = round(rate * STEPS)
    if x.device.type != "cpu" or torch.compiler.is_compiling() or not 0 < dropped < STEPS:
        return F.dropout(x, rate)
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(LOWEST, None)
    kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= dropped - STEPS // 2
    return x * (kept.to(x.dtype) * (STEPS / (STEPS - dropped)))


class Dropout(nn.Dropout):
    """`dropout` in training."""

    def forward(self, x: Tensor) -> Tensor:
        """Drops values of `(...)`."""
        return dropout(x, self.p) if self.training and self.p else x
