"""Summary statistics of a whole series: a linear model reads them, and the head beside the encoder."""

import torch
from torch import Tensor

STATISTICS = ("mean", "std", "min", "max", "slope", "change", "first quartile", "median", "third quartile")


def summarize(values: Tensor, real: Tensor) -> Tensor:
    """Statistics of each channel over the steps that were measured.

    Slope is that of the least-squares line over the whole length of the series; change is the mean absolute difference of
    steps that follow each other.

    Args:
        values: `(batch, channels, length)`.
        real: True where a value was measured, of the same shape.

    Returns:
        `(batch, channels * statistics)`; zeros for a channel without values.
    """
    missing = values.masked_fill(~real, torch.nan)
    count = real.sum(-1).clamp(min=1)
    mean = missing.nanmean(-1)
    centred = (missing - mean.unsqueeze(-1)).nan_to_num()
    std = ((centred**2).sum(-1) / count).sqrt()
    low = values.masked_fill(~real, torch.inf).amin(-1)
    high = values.masked_fill(~real, -torch.inf).amax(-1)
    steps = torch.arange(values.size(-1), device=values.device).expand_as(values).to(values.dtype)
    steps = ((steps - (steps * real).sum(-1, keepdim=True) / count.unsqueeze(-1)) * real) / count.unsqueeze(-1)
    slope = (steps * centred).sum(-1) / (steps**2).sum(-1).clamp(min=1e-9)
    pairs = real[..., 1:] & real[..., :-1]
    change = ((values.diff(dim=-1).abs()) * pairs).sum(-1) / pairs.sum(-1).clamp(min=1)
    numbers = torch.stack([mean, std, low, high, slope, change, *_quartiles(values, real)], -1)
    return numbers.nan_to_num(0.0, 0.0, 0.0).flatten(1)


def _quartiles(values: Tensor, real: Tensor) -> list[Tensor]:
    """The three quartiles over the last dimension, interpolated; as `nanquantile`, which cannot be exported."""
    ordered = values.masked_fill(~real, torch.inf).sort(-1).values
    last = (real.sum(-1, keepdim=True) - 1).clamp(min=0)
    quartiles = []
    for level in (0.25, 0.5, 0.75):
        rank = last * level
        below = ordered.gather(-1, rank.floor().long())
        quartiles.append(below.lerp(ordered.gather(-1, rank.ceil().long()), rank.frac()).squeeze(-1))
    return quartiles
