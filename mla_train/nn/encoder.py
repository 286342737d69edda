"""The encoder that all tasks share: pre-norm blocks of attention and a feed-forward part."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import Activation, AttentionConfig, EncoderConfig, Norm, RegularizationConfig
from mla_train.nn.attention import build_attention
from mla_train.nn.rotary import RotaryEmbedding, Rotation


def build_norm(kind: Norm, dim: int) -> nn.Module:
    """RMSNorm (Zhang and Sennrich 2019) or LayerNorm over the last dimension."""
    return nn.RMSNorm(dim, eps=1e-6) if kind is Norm.rmsnorm else nn.LayerNorm(dim)


class FeedForward(nn.Module):
    """Two matrices around a GELU, or three around a SwiGLU (Shazeer 2020, arXiv 2002.05202) of as many parameters.

    Args:
        dim: Width of inputs and outputs, `(..., dim)`.
        hidden: Hidden width of the GELU form; SwiGLU takes two thirds of it.
        activation: Which form.
    """

    def __init__(self, dim: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.gated = activation is Activation.swiglu
        hidden = int(hidden * 2 / 3) if self.gated else hidden
        self.up = nn.Linear(dim, hidden * (2 if self.gated else 1), bias=False)
        self.down = nn.Linear(hidden, dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps each token by itself, `(..., dim)`."""
        hidden = self.up(x)
        if self.gated:
            gate, hidden = hidden.chunk(2, dim=-1)
            hidden = F.silu(gate) * hidden
        else:
            hidden = F.gelu(hidden)
        return self.down(hidden)


class ResidualDropout(nn.Module):
    """Dropout of a residual branch: of single numbers, and of the whole branch for some examples.

    The latter is stochastic depth (Huang et al. 2016, arXiv 1603.09382).

    Args:
        dropout: Probability of dropping a number.
        drop_path: Probability of dropping the branch.
    """

    def __init__(self, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.drop_path = drop_path

    def forward(self, branch: Tensor) -> Tensor:
        """Drops from `(batch, length, dim)`."""
        if not self.training:
            return branch
        if self.dropout > 0:
            branch = F.dropout(branch, self.dropout)
        if self.drop_path > 0:
            kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.drop_path
            branch = branch * (kept / (1 - self.drop_path)).to(branch.dtype)
        return branch


def init_stack(stack: nn.Module, branches: int) -> None:
    """Matrices keep the scale of what they read; those that write into the stream shrink with its number of branches.

    Args:
        stack: Encoder or decoder.
        branches: Residual branches that write into one stream.
    """
    for name, module in stack.named_modules():
        if isinstance(module, nn.Linear):
            std = module.in_features**-0.5
            if name.endswith((".out", ".down")):
                std /= branches**0.5
            nn.init.trunc_normal_(module.weight, std=std, a=-3 * std, b=3 * std)


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)).

    Args:
        encoder: Sizes, norm and activation.
        attention: Kind and sizes of attention.
        regularization: Dropout rates.
        rotary_axes: 0 without rotary positions, 1 for sequences, 2 for pictures.
        drop_path: Probability of skipping a branch.
    """

    def __init__(
        self,
        encoder: EncoderConfig,
        attention: AttentionConfig,
        regularization: RegularizationConfig,
        rotary_axes: int = 1,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        dim = encoder.dim
        self.attention_norm = build_norm(encoder.norm, dim)
        self.attention = build_attention(
            attention, dim, encoder.num_heads, rotary_axes, regularization.attention_dropout, patterned=True
        )
        self.feed_forward_norm = build_norm(encoder.norm, dim)
        self.feed_forward = FeedForward(dim, int(dim * encoder.mlp_ratio), encoder.activation)
        self.residual = ResidualDropout(regularization.dropout, drop_path)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        positions: Tensor | None = None,
    ) -> Tensor:
        """One block.

        Args:
            x: `(batch, length, dim)`.
            rotation: Positions of x.
            key_padding_mask: True at padding, `(batch, length)`.
            is_causal: Each token sees itself and earlier ones only.
            positions: Where tokens stand, for patterns of attention.
        """
        attended = self.attention(
            self.attention_norm(x),
            rotation,
            key_padding_mask=key_padding_mask,
            is_causal=is_causal,
            positions=positions,
        )
        x = x + self.residual(attended)
        return x + self.residual(self.feed_forward(self.feed_forward_norm(x)))


class Encoder(nn.Module):
    """A stack of blocks with a norm at its end.

    Args:
        encoder: Sizes, norm and activation.
        attention: Kind and sizes of attention.
        regularization: Dropout rates; stochastic depth grows linearly from the first block to the last.
        rotary_axes: 0 without rotary positions, 1 for sequences, 2 for pictures.

    Raises:
        ValueError: Sizes do not fit each other.
    """

    def __init__(
        self,
        encoder: EncoderConfig,
        attention: AttentionConfig,
        regularization: RegularizationConfig,
        rotary_axes: int = 1,
    ) -> None:
        super().__init__()
        drop_paths = torch.linspace(0, regularization.stochastic_depth, encoder.depth).tolist()
        blocks = [EncoderBlock(encoder, attention, regularization, rotary_axes, drop_path) for drop_path in drop_paths]
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(encoder.norm, encoder.dim)
        self.rotary = None
        if rotary_axes:
            rope_dim = blocks[0].attention.rope_dim
            if rope_dim:
                self.rotary = RotaryEmbedding(rope_dim, rotary_axes, attention.rope_theta)
        init_stack(self, branches=2 * len(blocks))
        # Numbers that decoding with these layers would keep for each token.
        self.cache_width = sum(block.attention.cache_width for block in blocks)

    def forward(
        self,
        x: Tensor,
        positions: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Encodes tokens.

        Args:
            x: `(batch, length, dim)`.
            positions: `(length,)` or `(batch, length)`, with a last dimension of 2 for pictures; None counts from 0.
            key_padding_mask: True at padding, `(batch, length)`.
            is_causal: Each token sees itself and earlier ones only.

        Returns:
            `(batch, length, dim)`.
        """
        rotation = None
        if self.rotary is not None:
            rotation = self.rotary(torch.arange(x.size(1), device=x.device) if positions is None else positions)
        for block in self.blocks:
            x = block(x, rotation, key_padding_mask, is_causal, positions)
        return self.norm(x)
