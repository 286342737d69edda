"""Gates that follow a token's own input: over heads, and over the channels of the latent.

Both are twice a sigmoid of a linear map that starts at zero, so that training starts as without them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadGate(nn.Module):
    """Weights the output of each head, `heads_h * 2 sigmoid(w_h x + b_h)`, before the output projection.

    After the weighted heads of Ahmed et al. 2017 (arXiv 1711.02132), made dependent on the input as in Qiu et al. 2025
    (arXiv 2505.06708), who also weight each number of a head by itself. Cost: dim * num_heads * width multiplications a token.

    Args:
        dim: Width of the input.
        num_heads: Number of heads.
        width: Number of weights of a head: one, or one for each of its numbers.
    """

    def __init__(self, dim: int, num_heads: int, width: int = 1) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.weight = nn.Parameter(torch.zeros(num_heads * width, dim))
        self.bias = nn.Parameter(torch.zeros(num_heads * width))

    def forward(self, heads: Tensor, x: Tensor) -> Tensor:
        """Weights heads `(batch, length, num_heads, v_head_dim)` by the layer's input x, `(batch, length, dim)`."""
        return heads * (2 * F.linear(x, self.weight, self.bias).sigmoid()).unflatten(-1, (self.num_heads, -1))


class LatentGate(nn.Module):
    """Weights the channels of a token's latent, `latent_c * 2 sigmoid(w_c x + b_c)`.

    Dynamic selection of features, as squeeze-and-excitation does for the channels of images (Hu et al. 2018, arXiv
    1709.01507); `regularization.sparse_features` closes what is not needed. Cost: dim * rank multiplications a token.

    Args:
        dim: Width of the input.
        rank: Number of channels of the latent.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(rank, dim))
        self.bias = nn.Parameter(torch.zeros(rank))
        # A module of its own, so that a forward hook can observe how far gates are open.
        self.opening = nn.Sigmoid()

    def forward(self, latent: Tensor, x: Tensor) -> Tensor:
        """Weights normed latents `(batch, length, rank)` by the tokens they were made of, `(batch, length, dim)`."""
        return latent * (2 * self.opening(F.linear(x, self.weight, self.bias)))
