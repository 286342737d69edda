"""Attention whose heads have score functions and patterns of their own, in place of one call of the flash kernel.

Heads with the same score function and pattern are computed together: dot products as their pattern does it with the
kernel, other scores written out for a few queries at a time and recomputed for the gradient, so that memory grows with
the length and not with its square.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mla_train.config import Score
from mla_train.nn.attention.patterns import Global, TopK
from mla_train.nn.attention.score_functions import EXPLICIT, Dot, ExplicitScore, highest
from mla_train.nn.attention.sdpa import ALL_KEYS, KeyMask, attention_weights

CHUNK = 2**23
"""Numbers that written-out scores may take at a time: 32 MiB in float32."""


class HeadGroup(nn.Module):
    """Heads with one pattern and one score function, None for dot products of any scale; see `PerHeadAttention`."""

    def __init__(self, heads: list[int], score: Score | None, pattern: Global, qk_dim: int, topk: int) -> None:
        super().__init__()
        self.heads, self.pattern = heads, pattern
        self.score: ExplicitScore | None = None
        if score is not None:
            self.score = EXPLICIT[score](len(heads), qk_dim, topk)
        elif isinstance(pattern, TopK):
            self.score = Dot()

    def forward(self, query: Tensor, key: Tensor, value: Tensor, scale: float, key_mask: KeyMask) -> Tensor:
        """The outputs of the group's heads, `(batch, group, queries, v_dim)`; see `PerHeadAttention.forward`."""
        query, key, value = (select(x, self.heads) for x in (query, key, value))
        key_mask = self._select_mask(key_mask)
        if self.score is None:
            return self.pattern.attend(query, key, value, scale, key_mask)
        allowed = self._allowed(query, key, key_mask)
        size = max(1, CHUNK // (key.size(2) * key[:, :, 0].numel())) if not torch.compiler.is_exporting() else None
        if size is None or size >= query.size(2):
            return self._mix(query, key, value, scale, allowed)
        outputs = []
        for start in range(0, query.size(2), size):
            chunk = slice(start, start + size)
            chunk_allowed = allowed if allowed is None or allowed.size(2) == 1 else allowed[:, :, chunk]
            arguments = query[:, :, chunk], key, value, scale, chunk_allowed
            if torch.is_grad_enabled():
                outputs.append(checkpoint(self._mix, *arguments, use_reentrant=False))
            else:
                outputs.append(self._mix(*arguments))
        return torch.cat(outputs, 2)

    def weights(self, query: Tensor, key: Tensor, scale: float, key_mask: KeyMask) -> Tensor:
        """The attention weights of the group's heads, `(batch, group, queries, keys)`."""
        query, key = select(query, self.heads), select(key, self.heads)
        allowed = self._allowed(query, key, self._select_mask(key_mask))
        if self.score is None:
            return attention_weights(query, key, scale, allowed, False)
        return self._explicit_weights(query, key, scale, allowed)

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
        return self._explicit_weights(query, key, scale, allowed) @ value

    def _explicit_weights(self, query: Tensor, key: Tensor, scale: float, allowed: Tensor | None) -> Tensor:
        """Softmax of written-out scores; zeros for a query without an allowed key."""
        assert self.score is not None
        scores, allowed = self.score(query, key, scale, allowed)
        if isinstance(self.pattern, TopK):
            allowed = highest(scores, self.pattern.keep, allowed)
        if allowed is None:
            return scores.softmax(-1)
        # The largest negative number rather than -inf keeps rows without an allowed key finite, in their gradients too.
        weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1)
        return weights.masked_fill(~allowed, 0)

    def _select_mask(self, key_mask: KeyMask) -> KeyMask:
        return key_mask if key_mask.mask is None else key_mask._replace(mask=select(key_mask.mask, self.heads))

    def _allowed(self, query: Tensor, key: Tensor, key_mask: KeyMask) -> Tensor | None:
        """The mask and the pattern's mask together, with four dimensions; None allows all keys."""
        mask, is_causal, positions = key_mask
        own = self.pattern.mask(query.size(2), positions, query.device)
        if is_causal:
            causal = torch.ones(query.size(2), key.size(2), dtype=torch.bool, device=query.device).tril()
            own = causal if own is None else own & causal
        if own is None or mask is None:
            return mask if own is None else own[None, None]
        return mask & own


class PerHeadAttention(nn.Module):
    """softmax(score(query, key)) value, with a score function and a pattern for each head.

    Args:
        scores: Score function of each head; dot products of any scale count as one, see `QueryScale`.
        patterns: Pattern of each head.
        qk_dim: Width of queries and keys.
        topk: Number of keys that the score `staged` selects.
    """

    def __init__(self, scores: Sequence[Score], patterns: Sequence[Global], qk_dim: int, topk: int) -> None:
        super().__init__()
        kinds = [
            (None if score.is_product else score, pattern) for score, pattern in zip(scores, patterns, strict=True)
        ]
        groups = {kind: [head for head, other in enumerate(kinds) if other == kind] for kind in kinds}
        self.groups = nn.ModuleList(HeadGroup(heads, *kind, qk_dim, topk) for kind, heads in groups.items())
        order = [head for heads in groups.values() for head in heads]
        self.restore = None if order == sorted(order) else [order.index(head) for head in range(len(order))]
        self.has_patterns = any(pattern != Global() for pattern in patterns)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, scale: float, key_mask: KeyMask = ALL_KEYS) -> Tensor:
        """The outputs of all heads, `(batch, heads, queries, v_dim)`; see `sdpa.attend`."""
        return self._in_order([group(query, key, value, scale, key_mask) for group in self.groups])

    def weights(self, query: Tensor, key: Tensor, scale: float, key_mask: KeyMask = ALL_KEYS) -> Tensor:
        """The attention weights of all heads, `(batch, heads, queries, keys)`."""
        groups: Any = self.groups
        return self._in_order([group.weights(query, key, scale, key_mask) for group in groups])

    def _in_order(self, by_group: list[Tensor]) -> Tensor:
        heads = by_group[0] if len(by_group) == 1 else torch.cat(by_group, 1)
        return heads if self.restore is None else heads[:, self.restore]


def select(x: Tensor, heads: list[int]) -> Tensor:
    """Some heads of `(batch, heads, ...)`; one that all heads share is returned as it is."""
    if x.size(1) in (1, len(heads)):
        return x
    if heads == list(range(heads[0], heads[-1] + 1)):
        return x[:, heads[0] : heads[-1] + 1]
    return x[:, heads]
