"""Gates that a token's own input opens and closes: over heads, and over the channels of the latent.

Both are twice a sigmoid of a linear map that is zero at first, so that training begins with what there is without them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadGate(nn.Module):
    """How much each head's output counts, `heads_h * 2 sigmoid(w_h x + b_h)`, before the output projection.

    After the weighted heads of Ahmed et al. 2017 (arXiv 1711.02132), made dependent on the input as in Qiu et al. 2025
    (arXiv 2505.06708). Cost: dim * num_heads multiplications a token.

    Args:
        dim: Width of the input.
        num_heads: Heads.
    """

    def __init__(self, dim: int, num_heads: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_heads, dim))
        self.bias = nn.Parameter(torch.zeros(num_heads))

    def forward(self, heads: Tensor, x: Tensor) -> Tensor:
        """Weighs heads.

        Args:
            heads: `(batch, length, num_heads, v_head_dim)`.
            x: What attention read, `(batch, length, dim)`.
        """
        return heads * (2 * F.linear(x, self.weight, self.bias).sigmoid()).unsqueeze(-1)


class LatentGate(nn.Module):
    """Which channels of a token's latent are written, `latent_c * 2 sigmoid(w_c x + b_c)`.

    Dynamic selection of features, as squeeze-and-excitation does for the channels of pictures (Hu et al. 2018, arXiv
    1709.01507); `regularization.sparse_features` closes what is not needed. Cost: dim * rank multiplications a token.

    Args:
        dim: Width of the input.
        rank: Channels of the latent.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rank, dim))
        self.bias = nn.Parameter(torch.zeros(rank))
        # Named, so that a penalty can be attached to what goes through it.
        self.opening = nn.Sigmoid()

    def forward(self, latent: Tensor, x: Tensor) -> Tensor:
        """Selects channels.

        Args:
            latent: `(batch, length, rank)`.
            x: What attention read, `(batch, length, dim)`.
        """
        return latent * (2 * self.opening(F.linear(x, self.weight, self.bias)))
