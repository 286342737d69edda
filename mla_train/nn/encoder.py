"""The encoder that all tasks share: pre-norm blocks of attention and a feed-forward layer."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import AttentionConfig, Block, EncoderConfig, Latent, RegularizationConfig
from mla_train.nn.attention import Attention, Cache, RotaryEmbedding, Rotation, build_attention
from mla_train.nn.convolution import LocalConvolution, build_grid
from mla_train.nn.layers import FeedForward, ResidualDropout, build_norm, init_stack
from mla_train.nn.masked_modeling import TokenMasking
from mla_train.nn.perceiver import LatentArray
from mla_train.nn.variational import VariationalLatent


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feed_forward(norm(x)); the arguments are those of `Encoder`."""

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
            attention, dim, encoder.num_heads, rotary_axes, regularization.attention_dropout, use_pattern=True
        )
        self.attention.head_dropout = regularization.drop_heads
        self.feed_forward_norm = build_norm(encoder.norm, dim)
        self.feed_forward = FeedForward(dim, int(dim * encoder.mlp_ratio), encoder.activation)
        self.residual = ResidualDropout(regularization.dropout, drop_path)
        self.scalars = nn.Parameter(torch.ones(2)) if encoder.residual_scalars else None

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        positions: Tensor | None = None,
        cache: Cache | None = None,
    ) -> Tensor:
        """One block; see `Encoder.forward`."""
        masks = {"key_padding_mask": key_padding_mask, "is_causal": is_causal, "positions": positions}
        attended = self.residual(self.attention(self.attention_norm(x), rotation, cache=cache, **masks))
        x = x + (attended if self.scalars is None else attended * self.scalars[0])
        fed = self.residual(self.feed_forward(self.feed_forward_norm(x)))
        return x + (fed if self.scalars is None else fed * self.scalars[1])


class Encoder(nn.Module):
    """A stack of blocks with a norm at its end.

    `encoder.block`, `encoder.latent` and `encoder.masked_modeling` add to it: convolutions in front of blocks, an array of
    latents on which the blocks run, a variational latent behind the norm, masked tokens in training.

    Args:
        encoder: Sizes, norm and activation.
        attention: Config of the attention layers.
        regularization: Dropout rates; stochastic depth grows linearly from the first block to the last.
        rotary_axes: 0 without rotary positions, 1 for sequences, 2 for images.

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
        drop_paths = torch.linspace(0, regularization.stochastic_depth, encoder.depth, device="cpu").tolist()
        over_array = encoder.latent is Latent.array
        axes = 0 if over_array else rotary_axes  # latents have no positions
        blocks = [EncoderBlock(encoder, attention, regularization, axes, drop_path) for drop_path in drop_paths]
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(encoder.norm, encoder.dim)
        rope_dim = blocks[0].attention.rope_dim if axes else 0
        self.rotary = RotaryEmbedding(rope_dim, axes, attention.rope_theta) if rope_dim else None
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
        self.registers = nn.Parameter(torch.randn(encoder.registers, encoder.dim) * 0.02) if encoder.registers else None
        self.token_masking = TokenMasking(encoder.dim) if encoder.masked_modeling else None
        # Numbers that decoding with these layers would keep for each token.
        layers = [block.attention for block in blocks] if self.array is None else [self.array.read_attention]
        self.cache_width = sum(layer.cache_width for layer in layers)

    @property
    def attention_layers(self) -> list[Attention]:
        """The layers of self-attention between tokens, from the first to the last; none with an array of latents."""
        blocks: Any = self.blocks
        return [block.attention for block in blocks] if self.array is None else []

    @property
    def num_registers(self) -> int:
        """Number of tokens that blocks read in front of those of the input."""
        return 0 if self.registers is None else len(self.registers)

    @property
    def can_cache(self) -> bool:
        """Whether tokens can be read a few at a time: each layer sees earlier ones through its cache alone."""
        if self.array is not None or self.convolutions is not None or self.registers is not None:
            return False
        return all(layer.per_head is None or not layer.per_head.has_patterns for layer in self.attention_layers)

    def new_cache(self) -> list[Cache]:
        """An empty cache for each block.

        Raises:
            ValueError: The blocks read more of earlier tokens than attention keeps of them.
        """
        if not self.can_cache:
            raise ValueError(
                "tokens are read one by one through attention over all of them alone: use encoder.latent=plain, "
                "encoder.block=attention, encoder.registers=0 and attention.pattern=global"
            )
        return [layer.new_cache() for layer in self.attention_layers]

    def forward(
        self,
        x: Tensor,
        positions: Tensor | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        cache: Sequence[Cache] | None = None,
    ) -> Tensor:
        """Encodes tokens.

        Args:
            x: Tokens, `(batch, length, dim)`; with a cache only the new ones.
            positions: Positions of tokens, `(length,)` or `(batch, length)`, with a last dimension of 2 for images; None
                counts from 0, with a cache from the number of its tokens.
            key_padding_mask: True at padding, `(batch, length)`; of all tokens so far with a cache.
            is_causal: Each token attends to itself and earlier ones only.
            cache: Caches of the tokens of earlier calls, see `new_cache`.

        Returns:
            `(batch, length, dim)`.

        Raises:
            ValueError: An array of latents or a convolution over an image cannot be causal; with a cache see `new_cache`.
        """
        if cache is not None and not self.can_cache:
            self.new_cache()  # says why not
        if self.token_masking is not None:
            x = self.token_masking(x)
        if self.array is not None:
            return self.norm(self.array(x, self.blocks, positions, key_padding_mask, is_causal))
        if self.registers is not None:
            x, positions, key_padding_mask = _in_front(self.registers, x, positions, key_padding_mask, self.axes)
        grid = None if self.convolutions is None else build_grid(positions, x.size(1), self.axes)
        rotation = None
        if self.rotary is not None:
            start = len(cache[0]) if cache else 0
            steps = torch.arange(start, start + x.size(1), device=x.device)
            rotation = self.rotary(steps if positions is None else positions)
        for number, block in enumerate(self.blocks):
            if self.convolutions is not None:
                x = self.convolutions[number](x, grid, key_padding_mask, is_causal)
            x = block(x, rotation, key_padding_mask, is_causal, positions, cache[number] if cache else None)
        x = self.norm(x[:, self.num_registers :])
        key_padding_mask = None if key_padding_mask is None else key_padding_mask[:, self.num_registers :]
        return x if self.variational is None else self.variational(x, key_padding_mask)


def _in_front(
    registers: Tensor, x: Tensor, positions: Tensor | None, padding: Tensor | None, axes: int
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Tokens with registers `(count, dim)` in front of them, at the positions -1, -2, ..., and their padding mask.

    The other arguments are those of `Encoder.forward`, and the number of axes of positions, of which 0 follows their shape.
    """
    count, length = len(registers), x.size(1)
    if padding is not None:
        padding = F.pad(padding, (count, 0))
    if positions is not None:
        is_grid = axes == 2 or (axes == 0 and positions.shape[-2:] == (length, 2))
        axis = positions.dim() - 1 - is_grid
        places = -1 - torch.arange(count, device=x.device, dtype=positions.dtype)
        if is_grid:  # the same on each axis
            places = places.unsqueeze(-1).expand(-1, positions.size(-1))
        positions = torch.cat([places.expand(*positions.shape[:axis], *places.shape), positions], axis)
    return torch.cat([registers.to(x.dtype).expand(x.size(0), -1, -1), x], 1), positions, padding
