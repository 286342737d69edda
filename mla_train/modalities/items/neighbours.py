"""Item-kNN as a part of a network: users who had the last items of a history vote for what else they had."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.modalities.items.spec import PADDING

USUAL_DAMPING, USUAL_DECAY = 10.0, 0.7


class Neighbours(nn.Module):
    """Damped cosine similarities of items to the last ones of a history (Sarwar et al. 2001), which decay from item to item.

    An item is worth `sum of decay^k * common(item, k-th last) / sqrt((users(item) + damping) * (users(k-th last) + damping))`.
    This is computed exactly through the users: each gets a vote from the last items, and gives it to all items that it has.
    Nothing of it is trained.

    Args:
        catalogue: Number of items.
        users: Number of training users who vote.
        lags: Number of items of a history that count.
        damping: Added to numbers of users, so that rare items say less.
        decay: Weight of an item beside that of the next.
    """

    has: Tensor
    damping: Tensor
    weights: Tensor

    def __init__(
        self, catalogue: int, users: int, lags: int = 8, damping: float = USUAL_DAMPING, decay: float = USUAL_DECAY
    ) -> None:
        super().__init__()
        self.lags = lags
        self.register_buffer("has", torch.zeros(1 + catalogue, users, dtype=torch.uint8))
        self.register_buffer("damping", torch.tensor(damping))
        self.register_buffer("weights", torch.zeros(lags))
        self.set(damping, decay)

    @torch.no_grad()
    def set(self, damping: float, decay: float) -> None:
        """Sets both; see the class."""
        self.damping.fill_(damping)
        self.weights.copy_(decay ** torch.arange(self.lags))

    @torch.no_grad()
    def learn(self, histories: Sequence[np.ndarray]) -> None:
        """Takes the voters from training users, evenly spread where there are more.

        Args:
            histories: Numbers of the items of each training user, each once.
        """
        self.has.zero_()
        places = np.linspace(0, len(histories) - 1, self.has.size(1)).round().astype(np.int64)
        for user, place in enumerate(places):
            self.has[torch.from_numpy(histories[place]), user] = 1

    def forward(self, recent: Tensor) -> Tensor:
        """What each item is worth, as a share of all, `(places, catalogue)`; zeros where nothing is known.

        Args:
            recent: The last items at each place, the newest first, 0 where there is none, `(places, lags)`.
        """
        has = self.has.float()
        scale = (has.sum(1) + self.damping).clamp(min=1e-9).rsqrt()
        votes = torch.einsum("plu,pl->pu", has[recent], scale[recent] * self.weights)
        worth = (votes @ has[1:].T) * scale[1:]
        return worth / worth.sum(1, keepdim=True).clamp(min=1e-9)


def last_items(items: Tensor, places: Tensor, lags: int) -> Tensor:
    """The items of histories `(batch, length)` up to a place of each `(batch,)`, the newest first, 0 where there is none, `(batch, lags)`."""
    back = places.unsqueeze(1) - torch.arange(lags, device=items.device)
    return items.gather(1, back.clamp(min=0)).masked_fill(back < 0, PADDING)
