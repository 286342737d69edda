"""Score functions of a query and a key beside the scaled dot product.

Those that are dot products up to a factor (`QueryScale`) stay on the flash kernel and may be absorbed; the others
(`EXPLICIT`) write scores out, a few queries at a time, see `per_head_attention`.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import Score


class QueryScale(nn.Module):
    """Dot products of another scale, as factors on the queries of each head; for `dot`, `scaled_dot` and `temperature`.

        dot          q k                     (Luong et al. 2015, arXiv 1508.04025)
        scaled_dot   q k * scale             (Vaswani et al. 2017, arXiv 1706.03762)
        temperature  q k * scale * exp(t)    t learned for each head, initially 0 (as the learned scale of query-key
                                             normalisation, Henry et al. 2020, arXiv 2010.04245)

    Cost: one multiplication of the queries.

    Args:
        scores: Score function of each head; those that are no dot products keep the factor 1.
        scale: Factor on the scores that attention itself applies.
    """

    fixed: Tensor

    def __init__(self, scores: Sequence[Score], scale: float) -> None:
        super().__init__()
        factors = [1 / scale if score is Score.dot else 1.0 for score in scores]
        self.register_buffer("fixed", torch.tensor(factors).view(-1, 1, 1), persistent=False)
        self.learned = [head for head, score in enumerate(scores) if score is Score.temperature]
        self.log_factor = nn.Parameter(torch.zeros(len(self.learned))) if self.learned else None

    def forward(self, query: Tensor) -> Tensor:
        """Scales `(batch, heads, length, qk_head_dim)`."""
        factor = self.fixed
        if self.log_factor is not None:
            log_factor = self.log_factor.new_zeros(len(factor))
            log_factor[self.learned] = self.log_factor
            factor = factor * log_factor.exp().view(-1, 1, 1)
        return query * factor.to(query.dtype)


class ExplicitScore(Protocol):
    """A score function whose scores are written out."""

    def __call__(
        self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Scores, and the keys that a query may attend to.

        Args:
            query: `(batch, heads, queries, qk_dim)`.
            key: `(batch, heads, keys, qk_dim)`.
            scale: Factor on dot products.
            allowed: True where a query may attend, broadcastable to `(batch, heads, queries, keys)`; None allows all keys.

        Returns:
            Scores `(batch, heads, queries, keys)`, and `allowed`, which may have become narrower.
        """
        ...


class Dot(nn.Module):
    """q k * scale, written out, for patterns that choose by scores."""

    def forward(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `ExplicitScore`."""
        return query @ key.transpose(-1, -2) * scale, allowed


class Additive(nn.Module):
    """v tanh(q + k) with a learned v for each head (Bahdanau et al. 2014, arXiv 1409.0473).

    Query and key are projections already, the paper's W s and U h. Cost: queries * keys * qk_dim tanhs a head, and as
    many numbers at a time as a chunk of queries makes; tens of times a dot product's.

    Args:
        num_heads: Number of heads.
        qk_dim: Width of queries and keys.
        topk: Unused.
    """

    def __init__(self, num_heads: int, qk_dim: int, topk: int = 0) -> None:
        super().__init__()
        # Scores have a standard deviation of about one at first: tanh of two unit normals has a variance of about one half.
        self.v = nn.Parameter(torch.randn(num_heads, qk_dim) * (2 / qk_dim) ** 0.5)

    def forward(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `ExplicitScore`."""
        energy = torch.tanh(query.unsqueeze(3) + key.unsqueeze(2))
        return (energy @ self.v.to(query.dtype).view(1, -1, 1, query.size(-1), 1)).squeeze(-1), allowed


class Hybrid(nn.Module):
    """g q k * scale + (1 - g) v tanh(q + k), g learned for each head, initially one half.

    Britz et al. 2017 (arXiv 1703.03906) compare the two alone. Cost: that of `Additive`.
    """

    def __init__(self, num_heads: int, qk_dim: int, topk: int = 0) -> None:
        super().__init__()
        self.additive = Additive(num_heads, qk_dim)
        self.gate = nn.Parameter(torch.zeros(num_heads))

    def forward(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `ExplicitScore`."""
        gate = self.gate.sigmoid().to(query.dtype).view(1, -1, 1, 1)
        added, _ = self.additive(query, key, scale, allowed)
        return gate * (query @ key.transpose(-1, -2) * scale) + (1 - gate) * added, allowed


class Staged(nn.Module):
    """The additive score selects `topk` keys of each query, the dot product weights them.

        score = q k * scale + log sigmoid(v tanh(q + k))    for the selected keys only

    The second term trains the selection: what selects a key also weights it, as with the gates of sparse experts (Shazeer
    et al. 2017, arXiv 1701.06538). Cost: that of `Additive`.
    """

    def __init__(self, num_heads: int, qk_dim: int, topk: int) -> None:
        super().__init__()
        self.additive, self.topk = Additive(num_heads, qk_dim), topk

    def forward(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See `ExplicitScore`."""
        added, _ = self.additive(query, key, scale, allowed)
        return query @ key.transpose(-1, -2) * scale + F.logsigmoid(added), highest(added, self.topk, allowed)


EXPLICIT: dict[Score, type[Additive] | type[Hybrid] | type[Staged]] = {
    Score.additive: Additive,
    Score.hybrid: Hybrid,
    Score.staged: Staged,
}


def highest(scores: Tensor, count: int, allowed: Tensor | None) -> Tensor:
    """The keys with the highest scores of each query; ties with the last one are kept too.

    Args:
        scores: `(batch, heads, queries, keys)`.
        count: Number of keys to keep.
        allowed: True where a query may attend; None allows all keys.

    Returns:
        True at the highest allowed scores, `(batch, heads, queries, keys)`.
    """
    scores = scores.detach()
    if allowed is not None:
        scores = scores.masked_fill(~allowed, -torch.inf)
    least = scores.topk(min(count, scores.size(-1)), dim=-1).values[..., -1:]
    return (scores >= least) & (scores > -torch.inf)
