"""The encoder that all tasks share: pre-norm blocks of attention and a feed-forward part."""

from typing import Any

import torch
from torch import Tensor, nn

from mla_train.config import AttentionConfig, Block, EncoderConfig, Latent, RegularizationConfig
from mla_train.nn.attention import build_attention
from mla_train.nn.convolution import LocalConvolution, lay_out
from mla_train.nn.latent_array import LatentArray
from mla_train.nn.parts import FeedForward, ResidualDropout, build_norm, init_stack
from mla_train.nn.reconstruction import Hiding
from mla_train.nn.rotary import RotaryEmbedding, Rotation
from mla_train.nn.variational import VariationalLatent


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

    Around it stands what `encoder.block`, `encoder.latent` and `encoder.reconstruct` ask for: convolutions in front of
    blocks, an array of latents that the blocks run among, a random latent behind the norm, hidden tokens in training.

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
        over_array = encoder.latent is Latent.array
        axes = 0 if over_array else rotary_axes  # latents stand at no place
        blocks = [EncoderBlock(encoder, attention, regularization, axes, drop_path) for drop_path in drop_paths]
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(encoder.norm, encoder.dim)
        self.rotary = None
        if axes:
            rope_dim = blocks[0].attention.rope_dim
            if rope_dim:
                self.rotary = RotaryEmbedding(rope_dim, axes, attention.rope_theta)
        self.axes = rotary_axes
        self.convolutions = None
        if encoder.block is Block.conv_attention:
            self.convolutions = nn.ModuleList(
                LocalConvolution(encoder, regularization, rotary_axes, drop_path) for drop_path in drop_paths
            )
        self.array = LatentArray(encoder, attention, regularization, rotary_axes) if over_array else None
        init_stack(self, branches=(2 if self.convolutions is None else 3) * len(blocks))
        self.variational = None
        if encoder.latent is Latent.variational:
            self.variational = VariationalLatent(encoder.dim, encoder.latent_dim or encoder.dim)
        self.hiding = Hiding(encoder.dim) if encoder.reconstruct else None
        # Numbers that decoding with these layers would keep for each token.
        layers = [block.attention for block in blocks] if self.array is None else [self.array.reading]
        self.cache_width = sum(layer.cache_width for layer in layers)

    @property
    def attention_layers(self) -> list[nn.Module]:
        """The layers in which tokens look at tokens, from the first to the last; none with an array of latents."""
        blocks: Any = self.blocks
        return [block.attention for block in blocks] if self.array is None else []

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

        Raises:
            ValueError: An array of latents, or a convolution over a picture, is to be causal.
        """
        if self.hiding is not None:
            x = self.hiding(x)
        if self.array is not None:
            return self.norm(self.array(x, self.blocks, positions, key_padding_mask, is_causal))
        grid = None if self.convolutions is None else lay_out(positions, x.size(1), self.axes)
        rotation = None
        if self.rotary is not None:
            rotation = self.rotary(torch.arange(x.size(1), device=x.device) if positions is None else positions)
        for number, block in enumerate(self.blocks):
            if self.convolutions is not None:
                x = self.convolutions[number](x, grid, key_padding_mask, is_causal)
            x = block(x, rotation, key_padding_mask, is_causal, positions)
        x = self.norm(x)
        return x if self.variational is None else self.variational(x, key_padding_mask)
