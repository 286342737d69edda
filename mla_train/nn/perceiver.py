"""An array of latents that reads tokens (Perceiver, Jaegle et al. 2021, arXiv 2103.03206; Perceiver IO, arXiv 2107.14795).

    latents = L + attention(L, tokens)                                   read
    latents = blocks(latents)
    x       = x + attention(tokens, latents), x + feed_forward(x)        write

With n tokens and m latents that costs 2 n m scores and m² in each block where an encoder has n² in each block: it is
linear in length, and all depth is spent on latents.
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mla_train.config import AttentionConfig, EncoderConfig, RegularizationConfig
from mla_train.nn.attention import RotaryEmbedding, build_attention
from mla_train.nn.layers import FeedForward, ResidualDropout, build_norm


class FourierPosition(nn.Module):
    """Position embedding: Fourier features of a position times a matrix (Jaegle et al. 2021).

    Latents have no positions, so that rotary positions, which encode distances, do not apply.

    Args:
        dim: Width of tokens.
        axes: 1 for sequences, 2 for images.
        theta: Base of the frequencies.
    """

    def __init__(self, dim: int, axes: int, theta: float) -> None:
        super().__init__()
        width = max(dim // (2 * axes), 1) * 2 * axes
        self.features = RotaryEmbedding(width, axes, theta)
        self.project = nn.Linear(width, dim, bias=False)

    def forward(self, positions: Tensor) -> Tensor:
        """`(length,)` or `(batch, length)`, for images with a last dimension of 2, to `(..., length, dim)`."""
        return self.project(torch.cat(self.features(positions), -1))


class LatentArray(nn.Module):
    """Learned latents that attend to tokens, and to which tokens attend; the arguments are those of `Encoder`."""

    def __init__(
        self,
        encoder: EncoderConfig,
        attention: AttentionConfig,
        regularization: RegularizationConfig,
        rotary_axes: int = 1,
    ) -> None:
        super().__init__()
        dim, heads, dropout = encoder.dim, encoder.num_heads, regularization.attention_dropout
        self.latents = nn.Parameter(torch.randn(encoder.latents, dim))
        self.token_norm = build_norm(encoder.norm, dim)
        self.position = FourierPosition(dim, rotary_axes, attention.rope_theta) if rotary_axes else None
        self.read_attention = build_attention(attention, dim, heads, 0, dropout)
        self.latent_norm = build_norm(encoder.norm, dim)
        self.write_attention = build_attention(attention, dim, heads, 0, dropout)
        self.feed_forward_norm = build_norm(encoder.norm, dim)
        self.feed_forward = FeedForward(dim, int(dim * encoder.mlp_ratio), encoder.activation)
        self.residual = ResidualDropout(regularization.dropout, 0.0)

    def forward(
        self,
        x: Tensor,
        blocks: Iterable[nn.Module],
        positions: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Reads tokens, runs blocks on the latents, and writes into the tokens; see `Encoder.forward`.

        Raises:
            ValueError: is_causal is True.
        """
        if is_causal:
            raise ValueError(
                "an array of latents attends to all tokens at once and cannot be causal: use encoder.latent=plain"
            )
        tokens = self.token_norm(x)
        if self.position is not None:
            positions = torch.arange(x.size(1), device=x.device) if positions is None else positions
            tokens = tokens + self.position(positions)
        latents = self.latents.expand(x.size(0), -1, -1)
        latents = latents + self.residual(
            self.read_attention(latents, memory=tokens, key_padding_mask=key_padding_mask)
        )
        for block in blocks:
            latents = block(latents)
        x = x + self.residual(self.write_attention(tokens, memory=self.latent_norm(latents)))
        return x + self.residual(self.feed_forward(self.feed_forward_norm(x)))
