"""Embeddings of hashed token n-grams, the strength of linear models inside the network (Joulin et al. 2016)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

MULTIPLIER = 1_000_003
SPREAD = 0x1E3779B97F4A7C15


def _mixed(code: Tensor) -> Tensor:
    """Spreads the bits of numbers over their whole width (as in the finaliser of SplitMix64)."""
    for _ in range(2):
        code = (code ^ (code >> 31)) * SPREAD
    return code ^ (code >> 31)


class HashedNgrams(nn.Module):
    """For each token the sum of the embeddings of the n-grams that end there.

    Args:
        dim: Width of the embeddings.
        orders: Lengths of the n-grams, such as 2, 3 and 4.
        buckets: Rows of the table that all n-grams share; two that fall into one row are told apart by the rest.
    """

    def __init__(self, dim: int, orders: Sequence[int], buckets: int) -> None:
        super().__init__()
        self.orders = tuple(sorted(orders))
        self.buckets = buckets
        self.table = nn.Embedding(buckets, dim)
        nn.init.normal_(self.table.weight, std=0.1 / len(self.orders) ** 0.5)

    def forward(self, tokens: Tensor) -> Tensor:
        """Token numbers `(batch, length)` to `(batch, length, dim)`; in front of the text stands padding, 0."""
        total = tokens.new_zeros((), dtype=self.table.weight.dtype)
        code = tokens
        for n in range(1, self.orders[-1] + 1):
            if n > 1:
                earlier = torch.cat([code.new_zeros(len(code), 1), code[:, :-1]], dim=1)
                code = earlier * MULTIPLIER + tokens + 1
            if n in self.orders:
                total = total + self.table(_mixed(code + n) % self.buckets)
        return total
