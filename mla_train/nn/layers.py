"""Layers of a block beside attention: norms, the feed-forward layer, dropout of residual branches, initialisation."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import Activation, Norm
from mla_train.nn.dropout import dropout


class RMSNorm(nn.RMSNorm):
    """RMSNorm (Zhang and Sennrich 2019) over the last dimension, in the precision of its input.

    Torch's fused kernel takes weights of the input's type alone. Under autocast to bfloat16 they differ, which cost a seventh of
    a training step of `encoder=base` on an H200.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Norms `(..., dim)`."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


def build_norm(kind: Norm, dim: int) -> nn.Module:
    """RMSNorm or LayerNorm over the last dimension."""
    return RMSNorm(dim, eps=1e-6) if kind is Norm.rmsnorm else nn.LayerNorm(dim)


class FeedForward(nn.Module):
    """Two matrices around a GELU, or three around a SwiGLU (Shazeer 2020, arXiv 2002.05202) of as many parameters.

    Args:
        dim: Width of inputs and outputs, `(..., dim)`.
        hidden: Hidden width of the GELU form; SwiGLU takes two thirds of it.
        activation: GELU or SwiGLU.
    """

    def __init__(self, dim: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.gated = activation is Activation.swiglu
        hidden = int(hidden * 2 / 3) if self.gated else hidden
        self.up = nn.Linear(dim, hidden * (2 if self.gated else 1), bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps each token on its own, `(..., dim)`."""
        hidden = self.up(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.gelu(hidden)
        return self.down(hidden)


class ResidualDropout(nn.Module):
    """Dropout of a residual branch: of single values, and of the whole branch for some examples.

    The latter is stochastic depth (Huang et al. 2016, arXiv 1603.09382).

    Args:
        dropout: Probability of dropping a value.
        drop_path: Probability of dropping the branch.
    """

    def __init__(self, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.drop_path = drop_path

    def forward(self, branch: Tensor) -> Tensor:
        """Applies dropout to `(batch, length, dim)`."""
        if not self.training:
            return branch
        if self.dropout > 0:
            branch = dropout(branch, self.dropout)
        if self.drop_path > 0:
            kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
            branch = branch * (kept / (1 - self.drop_path)).to(branch.dtype)
        return branch


def init_stack(stack: nn.Module, branches: int) -> None:
    """Initialises linear layers by fan-in, those that write into the residual stream also by its number of branches."""
    for name, module in stack.named_modules():
        if isinstance(module, nn.Linear):
            std = module.in_features**-0.5
            if name.endswith((".out", ".down")):
                std /= branches**0.5
            nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)
