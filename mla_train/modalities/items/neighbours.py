"""Item-kNN as a part of a network: items that the same users have, the last ones of a history counting most."""

from collections.abc import Sequence
from math import log

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.modalities.items.spec import PADDING

CHUNK = 256  # items whose neighbours are computed at a time


class Neighbours(nn.Module):
    """Sums of the cosine similarities of items to the last of a history (Sarwar et al. 2001), which decay from item to item.

    In training a user does not count as one of those who have an item: what the neighbours of the user's own items say of the
    user's next one would be known to nobody else, and worth nothing for new users.

    Args:
        catalogue: Number of items.
        count: Number of neighbours of each.
        lags: Number of items of a history that count.
        shrink: Added to the root of both items' users, so that few common users say less.
        decay: Weight of an item beside that of the next, to begin with.
    """

    neighbours: Tensor
    common: Tensor
    users: Tensor
    shrink: Tensor

    def __init__(
        self, catalogue: int, count: int = 100, lags: int = 8, shrink: float = 10.0, decay: float = 0.7
    ) -> None:
        super().__init__()
        self.count, self.lags = min(count, catalogue), lags
        size = catalogue + 1
        self.register_buffer("neighbours", torch.zeros(size, self.count, dtype=torch.int32))
        self.register_buffer("common", torch.zeros(size, self.count))
        self.register_buffer("users", torch.zeros(size))
        self.register_buffer("shrink", torch.tensor(shrink))
        self.log_weights = nn.Parameter(torch.zeros(lags))
        self.set_decay(decay)

    @torch.no_grad()
    def set_decay(self, decay: float) -> None:
        """Sets the weight of each item of a history beside that of the next."""
        self.log_weights.copy_(torch.arange(self.lags) * log(decay))

    @torch.no_grad()
    def learn(self, histories: Sequence[np.ndarray]) -> None:
        """Finds the neighbours of each item.

        Args:
            histories: Numbers of the items of each training user, each once.
        """
        from scipy.sparse import csr_matrix

        size = len(self.users)
        rows = np.repeat(np.arange(len(histories)), [len(each) for each in histories])
        has = csr_matrix(
            (np.ones(len(rows), np.float32), (rows, np.concatenate(histories))), shape=(len(histories), size)
        )
        users, of_items = np.asarray(has.sum(0)).ravel(), has.T.tocsr()
        self.users.copy_(torch.from_numpy(users))
        for start in range(1, size, CHUNK):
            items = np.arange(start, min(start + CHUNK, size))
            common = (of_items[items] @ has).toarray()
            common[:, PADDING] = common[np.arange(len(items)), items] = 0
            similarity = common / (np.sqrt(np.outer(users[items], users)) + float(self.shrink) + 1e-9)
            nearest = np.argsort(-similarity, 1, kind="stable")[:, : self.count]
            self.neighbours[items] = torch.from_numpy(nearest.astype(np.int32))
            self.common[items] = torch.from_numpy(np.take_along_axis(common, nearest, 1))

    def forward(self, recent: Tensor, own: Tensor | None = None) -> Tensor:
        """Scores of all items, `(places, catalogue)`.

        Args:
            recent: The last items at each place, the newest first, 0 where there is none, `(places, lags)`.
            own: 1 for all items of the user at each place, and 0 for others, `(places, 1 + catalogue)`; None where the user is
                none of those that the neighbours were learned from.
        """
        neighbours = self.neighbours[recent].long()
        common, users, others = self.common[recent], self.users[recent].unsqueeze(-1), self.users[neighbours]
        if own is not None:
            is_own = own.gather(1, neighbours.flatten(1)).view_as(common)
            common, users, others = common - is_own, users - 1, others - is_own
        similarity = common.clamp(min=0) / ((users * others).clamp(min=0).sqrt() + self.shrink.clamp(min=1e-9))
        weighted = similarity * self.log_weights.exp().unsqueeze(-1)
        scores = weighted.new_zeros(len(recent), len(self.users))
        return scores.scatter_add(1, neighbours.flatten(1), weighted.flatten(1))[:, 1:]


def last_items(items: Tensor, rows: Tensor, places: Tensor, lags: int) -> Tensor:
    """The last items at some places, the newest first, 0 where there is none, `(places, lags)`.

    Args:
        items: Numbers of the items of histories, `(batch, length)`.
        rows: History of each place, `(places,)`.
        places: Place in it, `(places,)`.
        lags: Number of items.
    """
    back = places.unsqueeze(1) - torch.arange(lags, device=items.device)
    return items[rows.unsqueeze(1), back.clamp(min=0)].masked_fill(back < 0, PADDING)
