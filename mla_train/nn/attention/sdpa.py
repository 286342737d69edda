"""The one call of scaled dot-product attention, kept on the flash kernel.

The flash kernel needs query, key and value heads of one width, no dropout and a boolean mask; anything else takes several
times as long. So narrower heads are padded with zeros, and attention dropout hides keys through the mask (DropKey, Li et
al. 2022, arXiv 2208.02646) instead of dropping probabilities.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class KeyMask(NamedTuple):
    """Which keys queries may attend to.

    Attributes:
        mask: True where a query may attend, broadcastable to `(batch, heads, queries, keys)`; None allows all keys.
        is_causal: Query i sees keys up to i; only with as many queries as keys and no mask.
        positions: Positions of tokens for a pattern, `(length,)` or `(length, 2)`; None counts from 0.
    """

    mask: Tensor | None = None
    is_causal: bool = False
    positions: Tensor | None = None


ALL_KEYS = KeyMask()


def attend(
    query: Tensor, key: Tensor, value: Tensor, scale: float, mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    """softmax(query key^T * scale) value.

    Args:
        query: `(batch, heads, queries, qk_dim)`.
        key: `(batch, heads, keys, qk_dim)`.
        value: `(batch, heads, keys, v_dim)`.
        scale: Factor on the scores.
        mask: True where a query may attend, broadcastable to `(batch, heads, queries, keys)`. A query that may attend to
            no key gets zeros.
        is_causal: Query i sees keys up to i; only with as many queries as keys and no mask.

    Returns:
        `(batch, heads, queries, v_dim)`.
    """
    if torch.compiler.is_exporting():
        # Written out: runtimes without the kernel give NaN to a query without a key, and exported kernels fix lengths.
        return attention_weights(query, key, scale, mask, is_causal) @ value
    qk_dim, v_dim = query.size(-1), value.size(-1)
    if qk_dim < v_dim:
        query, key = F.pad(query, (0, v_dim - qk_dim)), F.pad(key, (0, v_dim - qk_dim))
    elif v_dim < qk_dim:
        value = F.pad(value, (0, qk_dim - v_dim))
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=is_causal, scale=scale)
    return output[..., :v_dim]


def attention_weights(query: Tensor, key: Tensor, scale: float, mask: Tensor | None, is_causal: bool) -> Tensor:
    """softmax(query key^T * scale), which the kernel never writes out: `(batch, heads, queries, keys)`; see `attend`."""
    scores = query.float() @ key.float().transpose(-1, -2) * scale
    if is_causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1).nan_to_num(0.0)


def attention_mask(
    query: Tensor, keys: int, key_padding_mask: Tensor | None = None, is_causal: bool = False, dropkey: float = 0.0
) -> tuple[Tensor | None, bool]:
    """The mask for `attend`, and whether the kernel has to add causality.

    Args:
        query: `(batch, heads, queries, qk_dim)`; queries are the last tokens where there are more keys.
        keys: Number of keys.
        key_padding_mask: True at padding, `(batch, keys)`.
        is_causal: Query i sees keys up to i.
        dropkey: Probability of hiding a key from all queries of a head.

    Raises:
        ValueError: Causal attention with more queries than keys, whose order is unknown.
    """
    (batch, heads, queries, _), device = query.shape, query.device
    if is_causal and queries > keys:
        raise ValueError(f"is_causal needs at least as many keys as queries, got {keys} and {queries}")
    mask = None if key_padding_mask is None else ~key_padding_mask[:, None, None, :]
    if dropkey > 0:
        kept = torch.rand(batch, heads, 1, keys, device=device) >= dropkey
        mask = kept if mask is None else mask & kept
    if not is_causal or queries == 1:
        return mask, False
    if mask is None and queries == keys:
        return None, True
    causal = torch.ones(queries, keys, dtype=torch.bool, device=device).tril(keys - queries)
    return (causal if mask is None else mask & causal), False
