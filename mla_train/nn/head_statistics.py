"""Statistics of attention heads: entropy, distance and redundancy, and the effective rank of their latents.

All take what `observe(layers, *POINTS)` has recorded.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mla_train.nn.attention.observation import Record


def entropy(weights: Tensor) -> Tensor:
    """Entropy of attention relative to uniform attention: 0 is a single key, 1 is all keys alike.

    -sum w log w over the logarithm of the number of keys that the query may attend to, averaged over queries; those with
    a single key are left out.

    Args:
        weights: Attention weights, `(heads, queries, keys)`, zero where a key is masked.

    Returns:
        `(heads,)`.
    """
    keys = (weights > 0).sum(-1)
    relative = torch.special.entr(weights).sum(-1) / keys.float().log()
    return relative.masked_fill(keys < 2, torch.nan).nanmean(-1).nan_to_num(0.0)


def distance(weights: Tensor, positions: Tensor) -> Tensor:
    """Mean distance between a query and the keys that it attends to.

    Args:
        weights: Attention weights, `(heads, tokens, tokens)`.
        positions: Positions of tokens, `(tokens, axes)`; tokens at NaN are left out as queries and as keys.

    Returns:
        `(heads,)`, in steps or cells.
    """
    has_position = ~positions.float().isnan().any(-1)
    weights, positions = weights[:, has_position][..., has_position], positions[has_position].to(weights)
    weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-12)
    distances = torch.cdist(positions, positions, compute_mode="donot_use_mm_for_euclid_dist")
    return (weights * distances).sum(-1).mean(-1)


def redundancy(heads: Tensor) -> Tensor:
    """Similarity of heads: |cosine| of the outputs of two heads, averaged over tokens.

    Args:
        heads: Outputs of heads, `(tokens, heads, v_head_dim)`.

    Returns:
        `(heads, heads)`, 1 on the diagonal.
    """
    unit = torch.nn.functional.normalize(heads, dim=-1)
    return (unit @ unit.transpose(-1, -2)).abs().mean(0)


def effective_rank(latent: Tensor) -> float:
    """Number of directions in use: exp of the entropy of normalised singular values (Roy and Vetterli 2007).

    Args:
        latent: Latents, `(tokens, width)`.
    """
    values = torch.linalg.svdvals(latent)
    return float(torch.special.entr(values / values.sum().clamp(min=1e-12)).sum().exp())


@dataclass
class HeadStatistics:
    """Statistics of the heads of one layer for one example.

    Attributes:
        entropy: Relative entropy of each head, 0 to 1.
        distance: Mean distance of each head; None between two sequences.
        redundancy: Mean |cosine| of each head with the others; None with a single head.
        effective_rank: Effective rank of the key-value latents; None without a latent.
        kv_lora_rank: Width of the latents, which bounds their rank, as the number of tokens does.
    """

    entropy: list[float]
    distance: list[float] | None
    redundancy: list[float] | None
    effective_rank: float | None
    kv_lora_rank: int | None


@torch.no_grad()
def head_statistics(record: Record, positions: Tensor | None, call: int = 0, row: int = 0) -> HeadStatistics:
    """Statistics of one layer, from a record of all observation points, for one example (row) of one call."""
    observed, latent = record.calls[call], record.latent(call, row)
    assert observed.weights is not None
    assert observed.heads is not None
    weights, heads = observed.weights[row], observed.heads[row].float()
    similarity, count = redundancy(heads), weights.size(0)
    return HeadStatistics(
        entropy(weights).tolist(),
        None if positions is None else distance(weights, positions).tolist(),
        ((similarity.sum(-1) - 1) / (count - 1)).tolist() if count > 1 else None,
        None if latent is None else effective_rank(latent.float()),
        None if latent is None else latent.size(-1),
    )
