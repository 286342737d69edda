"""Item-kNN as a part of a network: users who had the last items of a history say what else they had, and what near them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.modalities.items.spec import PADDING

USUAL_DAMPING, USUAL_DECAY, USUAL_NEAR = 10.0, 0.6, 0.3
REACH = 20  # items before and behind one that are near it


class Neighbours(nn.Module):
    """Two ways in which items are alike to the last ones of a history, each as a share of all items, mixed.

    Together: damped cosine similarity, `common users / sqrt((users + damping) * (users of the other + damping))` (Sarwar et al.
    2001). Near: instead of common users, the sum of one over the distance of both items in the histories of these users, up
    to `REACH` (sequential rules, Ludewig and Jannach 2018, in both directions). Both are summed over the last items with
    weights that decay from item to item, and computed exactly from the histories of some training users. Nothing is trained.

    Args:
        catalogue: Number of items.
        users: Number of training users whose histories count.
        longest: Number of items of the longest.
        lags: Number of items of a history that count.
    """

    places: Tensor
    sequences: Tensor
    damping: Tensor
    near: Tensor
    weights: Tensor

    def __init__(self, catalogue: int, users: int, longest: int, lags: int = 8) -> None:
        super().__init__()
        self.lags = lags
        self.register_buffer("places", torch.zeros(1 + catalogue, users, dtype=torch.int32))
        self.register_buffer("sequences", torch.zeros(users, longest + 2 * REACH, dtype=torch.int32))
        self.register_buffer("damping", torch.tensor(0.0))
        self.register_buffer("near", torch.tensor(0.0))
        self.register_buffer("weights", torch.zeros(lags))
        self.set(USUAL_DAMPING, USUAL_DECAY, USUAL_NEAR)

    @torch.no_grad()
    def set(self, damping: float, decay: float, near: float) -> None:
        """Sets the damping, the weight of an item beside that of the next, and the share of what is near."""
        self.damping.fill_(damping)
        self.weights.copy_(decay ** torch.arange(self.lags))
        self.near.fill_(near)

    @torch.no_grad()
    def learn(self, histories: Sequence[np.ndarray]) -> None:
        """Takes the histories of training users, evenly spread where there are more.

        Args:
            histories: Numbers of the items of each training user, each once.
        """
        self.places.zero_()
        self.sequences.zero_()
        chosen = np.linspace(0, len(histories) - 1, len(self.sequences)).round().astype(np.int64)
        for user, number in enumerate(chosen):
            items = torch.from_numpy(histories[number][-(self.sequences.size(1) - 2 * REACH) :])
            self.places[items, user] = torch.arange(1, len(items) + 1, dtype=torch.int32)
            self.sequences[user, REACH : REACH + len(items)] = items.int()

    def forward(self, recent: Tensor) -> Tensor:
        """What each item is worth, as a share of all, `(places, catalogue)`; zeros where nothing is known.

        Args:
            recent: The last items at each place, the newest first, 0 where there is none, `(places, lags)`.
        """
        has = (self.places > 0).float()
        scale = (has.sum(1) + self.damping).clamp(min=1e-9).rsqrt()
        weights = scale[recent] * self.weights
        together = torch.einsum("plu,pl->pu", has[recent], weights) @ has.T
        near = self._near(recent, weights)
        return (1 - self.near) * shares(together * scale) + self.near * shares(near * scale)

    @torch.no_grad()
    def of_histories(self, histories: Sequence[np.ndarray]) -> np.ndarray:
        """What each item is worth to each history, `(histories, catalogue)`.

        Args:
            histories: Numbers of items, the newest last.
        """
        recent = torch.zeros(len(histories), self.lags, dtype=torch.long)
        for row, history in zip(recent, histories, strict=True):
            newest = torch.from_numpy(history[::-1][: self.lags].copy())
            row[: len(newest)] = newest
        return self(recent).numpy()

    def _near(self, recent: Tensor, weights: Tensor) -> Tensor:
        """Sums of weights over distances, `(places, 1 + catalogue)`."""
        steps = torch.arange(1, REACH + 1, device=recent.device)
        offsets = torch.cat([-steps.flip(0), steps])
        users = torch.arange(len(self.sequences), device=recent.device).unsqueeze(1)
        total = weights.new_zeros(recent.size(0), self.places.size(0))
        for lag in range(self.lags):
            place = self.places[recent[:, lag]].long()
            items = self.sequences[users, place.unsqueeze(2) - 1 + REACH + offsets].long()
            worth = (place > 0).unsqueeze(2) * weights[:, lag].view(-1, 1, 1) / offsets.abs()
            total = total.scatter_add(1, items.flatten(1), worth.flatten(1))
        return total


def shares(worth: Tensor) -> Tensor:
    """Worth of items as shares of that of all, without the column of padding, `(places, catalogue)`."""
    worth = worth[:, PADDING + 1 :]
    return worth / worth.sum(1, keepdim=True).clamp(min=1e-9)


def last_items(items: Tensor, places: Tensor, lags: int) -> Tensor:
    """The items of histories `(batch, length)` up to a place of each `(batch,)`, the newest first, 0 where there is none, `(batch, lags)`."""
    back = places.unsqueeze(1) - torch.arange(lags, device=items.device)
    return items.gather(1, back.clamp(min=0)).masked_fill(back < 0, PADDING)
