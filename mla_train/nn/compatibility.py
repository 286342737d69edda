"""Attention whose heads have scores and patterns of their own, in the place of the one call of the flash kernel.

Heads of the same kind are computed together: dot products by their pattern's way through the kernel, other scores
written out for a few queries at a time and computed again for the gradient, so that memory grows with the length and
not with its square.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mla_train.config import Score
from mla_train.nn import kernel
from mla_train.nn.patterns import Global, TopK
from mla_train.nn.scores import EXPLICIT, Dot, ExplicitScore, highest

CHUNK = 2**23
"""Numbers that written-out scores may take at a time: 32 MiB in float32."""


class HeadGroup(nn.Module):
    """Heads of one score and one pattern.

    Args:
        heads: Which.
        score: Written out, or None for dot products of any size.
        pattern: Which tokens look at which.
        qk_dim: Width of queries and keys.
        topk: Keys that the score `staged` selects.
    """

    def __init__(self, heads: list[int], score: Score | None, pattern: Global, qk_dim: int, topk: int) -> None:
        super().__init__()
        self.heads, self.pattern = heads, pattern
        self.score: ExplicitScore | None = None
        if score is not None:
            self.score = EXPLICIT[score](len(heads), qk_dim, topk)
        elif isinstance(pattern, TopK):
            self.score = Dot()

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        mask: Tensor | None,
        is_causal: bool,
        positions: Tensor | None,
    ) -> Tensor:
        """The group's outputs, `(batch, group, queries, v_dim)`; the arguments are those of `Compatibility.forward`."""
        query, key, value = (pick(x, self.heads) for x in (query, key, value))
        mask = None if mask is None else pick(mask, self.heads)
        if self.score is None:
            return self.pattern.attend(query, key, value, scale, mask, is_causal, positions)
        allowed = self._allowed(query, key, mask, is_causal, positions)
        size = max(1, CHUNK // (key.size(2) * key[:, :, 0].numel()))
        if size >= query.size(2):
            return self._mix(query, key, value, scale, allowed)
        parts = []
        for start in range(0, query.size(2), size):
            some = query[:, :, start : start + size]
            there = allowed if allowed is None or allowed.size(2) == 1 else allowed[:, :, start : start + size]
            if torch.is_grad_enabled():
                parts.append(checkpoint(self._mix, some, key, value, scale, there, use_reentrant=False))
            else:
                parts.append(self._mix(some, key, value, scale, there))
        return torch.cat(parts, 2)

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        scale: float,
        mask: Tensor | None,
        is_causal: bool,
        positions: Tensor | None,
    ) -> Tensor:
        """What values are weighed with, `(batch, group, queries, keys)`."""
        query, key = pick(query, self.heads), pick(key, self.heads)
        mask = None if mask is None else pick(mask, self.heads)
        allowed = self._allowed(query, key, mask, is_causal, positions)
        if self.score is None:
            return kernel.attention_weights(query, key, scale, allowed, False)
        return self._weigh(query, key, scale, allowed)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
        return self._weigh(query, key, scale, allowed) @ value

    def _weigh(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
        """Softmax of written-out scores; zeros where a query may look nowhere."""
        assert self.score is not None
        scores, allowed = self.score(query, key, scale, allowed)
        if isinstance(self.pattern, TopK):
            allowed = highest(scores, self.pattern.keep, allowed)
        if allowed is None:
            return scores.softmax(-1)
        # The largest negative number rather than -inf keeps rows that see nothing finite, in their gradients too.
        weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
        return weights.masked_fill(~allowed, 0)

    def _allowed(
        self, query: Tensor, key: Tensor, mask: Tensor | None, is_causal: bool, positions: Tensor | None
    ) -> Tensor | None:
        """The mask with the pattern's own, four dimensions; None is everywhere."""
        own = self.pattern.mask(query.size(2), positions, query.device)
        if is_causal:
            causal = torch.ones(query.size(2), key.size(2), dtype=torch.bool, device=query.device).tril()
            own = causal if own is None else own & causal
        if own is None or mask is None:
            return mask if own is None else own[None, None]
        return mask & own


class Compatibility(nn.Module):
    """softmax(score(query, key)) value, with a score and a pattern for each head.

    Args:
        scores: Of each head; dot products of any size count as one kind, see `QueryScale`.
        patterns: Of each head.
        qk_dim: Width of queries and keys.
        topk: Keys that the score `staged` selects.
    """

    def __init__(self, scores: Sequence[Score], patterns: Sequence[Global], qk_dim: int, topk: int) -> None:
        super().__init__()
        kinds = [
            (None if score.is_product else score, pattern) for score, pattern in zip(scores, patterns, strict=True)
        ]
        groups = {kind: [head for head, other in enumerate(kinds) if other == kind] for kind in kinds}
        self.groups = nn.ModuleList(HeadGroup(heads, *kind, qk_dim, topk) for kind, heads in groups.items())
        order = [head for heads in groups.values() for head in heads]
        self.back = None if order == sorted(order) else [order.index(head) for head in range(len(order))]
        self.patterned = any(pattern != Global() for pattern in patterns)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float,
        mask: Tensor | None = None,
        is_causal: bool = False,
        positions: Tensor | None = None,
    ) -> Tensor:
        """The arguments of `kernel.attend`, and where tokens stand, see `patterns.stand`.

        Returns:
            `(batch, heads, queries, v_dim)`.
        """
        for observe in kernel.observers:
            observe(partial(self.weights, query, key, scale, mask, is_causal, positions))
        return self._in_order([group(query, key, value, scale, mask, is_causal, positions) for group in self.groups])

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        scale: float,
        mask: Tensor | None = None,
        is_causal: bool = False,
        positions: Tensor | None = None,
    ) -> Tensor:
        """What values are weighed with, written out, `(batch, heads, queries, keys)`; see `forward`."""
        groups: Any = self.groups
        return self._in_order([group.weights(query, key, scale, mask, is_causal, positions) for group in groups])

    def _in_order(self, found: list[Tensor]) -> Tensor:
        whole = found[0] if len(found) == 1 else torch.cat(found, 1)
        return whole if self.back is None else whole[:, self.back]


def pick(x: Tensor, heads: list[int]) -> Tensor:
    """Some heads of `(batch, heads, ...)`; what is the same for all heads stays as it is."""
    if x.size(1) in (1, len(heads)):
        return x
    if heads == list(range(heads[0], heads[-1] + 1)):
        return x[:, heads[0] : heads[-1] + 1]
    return x[:, heads]


def check_call(
    compatibility: Compatibility | None, over_memory: bool, is_causal: bool, cached: bool, absorbed: bool
) -> None:
    """Looks for calls of an attention layer that have no meaning.

    Args:
        compatibility: What is plugged into the layer.
        over_memory: Other tokens are looked at.
        is_causal: Each token sees itself and earlier ones only.
        cached: Earlier tokens are remembered.
        absorbed: The up-projection is to be multiplied into queries.

    Raises:
        ValueError: Says what, and what would do.
    """
    if over_memory and is_causal:
        raise ValueError("is_causal has no meaning over a memory: its tokens stand at no place in x")
    if compatibility is None:
        return
    if absorbed:
        raise ValueError(
            "only dot products over all keys can be absorbed: choose attention.score=temperature, dot or scaled_dot with "
            "attention.pattern=global, or absorb=False"
        )
    if compatibility.patterned and (over_memory or cached):
        raise ValueError(
            "a pattern is for tokens that look at each other, all at once; over a memory or with a cache choose "
            "attention.pattern=global"
        )
