"""Regularizers of heads and features beside the task's own loss; each is a number to be minimised."""

import torch
import torch.nn.functional as F
from torch import Tensor


def diverse_heads(heads: Tensor, padding: Tensor | None = None) -> Tensor:
    """Similarity of the outputs of heads: the mean squared cosine of pairs at each token.

        1 / (h (h - 1)) * sum_{i != j} cos(o_i, o_j)²

    The disagreement of outputs of Li et al. 2018 (arXiv 1810.10183), but squared: opposite outputs count as similar, since
    the output projection can change their sign. Cost: num_heads² * v_head_dim a token.

    Args:
        heads: Outputs of heads, `(batch, length, num_heads, v_head_dim)`.
        padding: True at padding, which is ignored, `(batch, length)`.

    Returns:
        0 if all are orthogonal, to 1 if all are parallel.
    """
    count = heads.size(2)
    unit = F.normalize(heads.float(), dim=-1)
    squares = (unit @ unit.transpose(-1, -2)).square()
    similarity = (squares.sum((-1, -2)) - squares.diagonal(dim1=-1, dim2=-2).sum(-1)) / (count * (count - 1))
    if padding is None:
        return similarity.mean()
    kept = ~padding
    return (similarity * kept).sum() / kept.sum().clamp(min=1)


def orthogonal_heads(weight: Tensor, num_heads: int) -> Tensor:
    """Overlap of the subspaces into which heads write: squared cosines between columns of different heads.

        mean_{i != j} |W_i^T W_j|_F^2 / v_head_dim,   columns of unit length

    Lee et al. 2019 (arXiv 1910.04500) ask for orthogonal context vectors of heads, this loss for orthogonal weights.
    Cost: (num_heads * v_head_dim)² * dim a step, whatever the batch.

    Args:
        weight: Weight of the output projection, `(dim, num_heads * v_head_dim)`.
        num_heads: Number of heads.

    Returns:
        0 if the subspaces are orthogonal; v_head_dim / dim for random weights.
    """
    unit = F.normalize(weight.float(), dim=0)
    width = weight.size(1) // num_heads
    cosines = (unit.T @ unit).view(num_heads, width, num_heads, width).square().sum((1, 3)) / width
    return (cosines.sum() - cosines.diagonal().sum()) / (num_heads * (num_heads - 1))


def contrastive_heads(heads: Tensor, padding: Tensor | None = None, temperature: float = 0.5) -> Tensor:
    """InfoNCE between heads: a head is recognised by its output on other tokens of the same example.

    Tokens at even positions are one view of an example and those at odd positions another; a head's mean output over one
    has to be nearest to its own over the other, among all heads (van den Oord et al. 2018, arXiv 1807.03748). Cost:
    one pass over the outputs.

    Args:
        heads: Outputs of heads, `(batch, length, num_heads, v_head_dim)`.
        padding: True at padding, which is ignored, `(batch, length)`.
        temperature: Divisor of cosines.

    Returns:
        Nats; log(num_heads) for random heads.
    """
    batch, length, count, _ = heads.shape
    kept = torch.ones(batch, length, device=heads.device) if padding is None else (~padding).float()
    first = kept * (torch.arange(length, device=heads.device) % 2 == 0)
    one, other = (F.normalize((heads.float() * part[..., None, None]).sum(1), dim=-1) for part in (first, kept - first))
    scores = one @ other.transpose(1, 2) / temperature
    labels = torch.arange(count, device=heads.device).expand(batch, count)
    loss = F.cross_entropy(scores.flatten(0, 1), labels.flatten(), reduction="none").view(batch, count).mean(1)
    # Both views need a token.
    has_both = ((first.sum(1) > 0) & ((kept - first).sum(1) > 0)).float()
    return (loss * has_both).sum() / has_both.sum().clamp(min=1)


def contrastive_classes(features: Tensor, labels: Tensor, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362): examples of a class are nearest to each other.

        mean_i mean_{p of i's class} -log softmax_{a != i}(cos(z_i, z_a) / temperature)_p

    Cost: batch² * dim.

    Args:
        features: Pooled features, `(batch, dim)`.
        labels: Class indices, `(batch,)`.
        temperature: Divisor of cosines.

    Returns:
        Nats; 0 if no class occurs twice.
    """
    unit = F.normalize(features.float(), dim=-1)
    is_self = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    log_shares = (unit @ unit.T / temperature).masked_fill(is_self, -1e9).log_softmax(-1)
    same = (labels.unsqueeze(0) == labels.unsqueeze(1)) & ~is_self
    partners = same.sum(1)
    loss = -(log_shares * same).sum(1) / partners.clamp(min=1)
    return (loss * (partners > 0)).sum() / (partners > 0).sum().clamp(min=1)


def drop_heads(heads: Tensor, probability: float) -> Tensor:
    """Drops whole heads, others for each example, and scales the rest up (DropHead, Zhou et al. 2020, arXiv 2004.13342).

    Args:
        heads: Outputs of heads, `(batch, length, num_heads, v_head_dim)`.
        probability: Probability of dropping a head; one is always kept.
    """
    batch, _, count, _ = heads.shape
    chance = torch.rand(batch, count, device=heads.device)
    kept = (chance >= probability) | (chance == chance.max(1, keepdim=True).values)
    factor = kept * (count / kept.sum(1, keepdim=True))
    return heads * factor.to(heads.dtype)[:, None, :, None]
