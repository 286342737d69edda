"""From tokens to one vector for each example."""

import torch
from torch import Tensor, nn


class MeanPooling(nn.Module):
    """Mean of the tokens that are not padding."""

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """`(batch, length, dim)` to `(batch, dim)`; padding is left out, and an example without tokens gives zeros."""
        if key_padding_mask is None:
            return x.mean(1)
        kept = (~key_padding_mask).unsqueeze(-1).to(x.dtype)
        return (x * kept).sum(1) / kept.sum(1).clamp(min=1)


class ClassToken(nn.Module):
    """A learned token in front of the others, whose output represents the example (Devlin et al. 2018)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(dim) * 0.02)

    def prepend(self, x: Tensor) -> Tensor:
        """`(batch, length, dim)` to `(batch, 1 + length, dim)`."""
        return torch.cat([self.token.expand(x.size(0), 1, -1), x], dim=1)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """The first token's output, `(batch, dim)`."""
        return x[:, 0]


class AttentionPooling(nn.Module):
    """Mean weighted by a learned score of each token (the sequence pooling of Hassani et al. 2021)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Linear(dim, 1)

    def forward(self, x: Tensor, key_padding_mask: Tensor | None = None) -> Tensor:
        """`(batch, length, dim)` to `(batch, dim)`; padding is left out, and an example without tokens gives zeros."""
        scores = self.score(x).squeeze(-1)
        if key_padding_mask is not None:
            # The largest negative number rather than -inf keeps rows of only padding finite.
            scores = scores.masked_fill(key_padding_mask, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1)
        if key_padding_mask is not None:
            weights = weights.masked_fill(key_padding_mask, 0)
        return (weights.unsqueeze(-1) * x).sum(1)
