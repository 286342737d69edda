"""Random variation of windows in training."""

import torch
from torch import Tensor

from mla_train.config import Augmentation

# `light` adds noise to the past, relative to its standard deviation. `strong` also scales past and future by a random
# factor near 1 and hides a share of the steps of the past as if they were gaps.
NOISE, STRETCH, HIDDEN = 0.02, 0.1, 0.02


def vary_windows(
    past: Tensor, future: Tensor, real: Tensor, augmentation: Augmentation
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows, changed a little.

    Args:
        past: `(batch, series, look_back)`.
        future: `(batch, series, horizon)`.
        real: True where the past was measured, `(batch, series, look_back)`.
        augmentation: Strength.

    Returns:
        Past, future and what of the past counts as measured.
    """
    if augmentation is Augmentation.none:
        return past, future, real
    mean, spread = past.mean(-1, keepdim=True), past.std(-1, keepdim=True)
    if augmentation is Augmentation.strong:
        factor = 1 + STRETCH * torch.randn_like(mean)
        past, future = mean + factor * (past - mean), mean + factor * (future - mean)
        seen = torch.rand_like(past) >= HIDDEN
        seen[..., 0] = True
        last = torch.where(seen, torch.arange(past.size(-1)), 0).cummax(-1).values  # as gaps are filled
        past, real = past.gather(-1, last), real & seen
    past = past + NOISE * spread * torch.randn_like(past)
    return past, future, real
