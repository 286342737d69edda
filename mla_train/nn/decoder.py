"""The decoder: causal self-attention, cross-attention over the encoder's output, and a feed-forward layer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mla_train.config import AttentionConfig, EncoderConfig, RegularizationConfig
from mla_train.nn.attention import Cache, RotaryEmbedding, Rotation, build_attention
from mla_train.nn.layers import FeedForward, ResidualDropout, build_norm, init_stack


class DecoderCache:
    """The caches of all blocks for one decoding: `own` of decoded tokens, `cross` of the memory.

    The memory is cached once a source, however many beams read it.
    """

    def __init__(self, own: Sequence[Cache], cross: Sequence[Cache]) -> None:
        self.own = own
        self.cross = cross

    def __len__(self) -> int:
        """Number of tokens decoded so far."""
        return len(self.own[0])

    @property
    def nbytes(self) -> int:
        """Bytes of the cached tokens."""
        return sum(cache.nbytes for cache in (*self.own, *self.cross))

    def reorder(self, rows: Tensor) -> None:
        """Keeps the given rows `(new_batch,)` in the given order, for beams that continue."""
        for cache in self.own:
            cache.reorder(rows)

    def keep(self, sources: Tensor) -> None:
        """Keeps the sources `(new_sources,)` that are not finished; their beams are kept by `reorder`."""
        for cache in self.cross:
            cache.reorder(sources)


class DecoderBlock(nn.Module):
    """x + attention(norm(x)), x + cross_attention(norm(x), memory), x + feed_forward(norm(x)); built as `Decoder`."""

    def __init__(
        self,
        decoder: EncoderConfig,
        attention: AttentionConfig,
        cross: AttentionConfig,
        regularization: RegularizationConfig,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        dim, heads, dropout = decoder.dim, decoder.num_heads, regularization.attention_dropout
        self.attention_norm = build_norm(decoder.norm, dim)
        self.attention = build_attention(attention, dim, heads, 1, dropout)
        self.cross_norm = build_norm(decoder.norm, dim)
        self.cross_attention = build_attention(cross, dim, heads, 0, dropout)
        self.feed_forward_norm = build_norm(decoder.norm, dim)
        self.feed_forward = FeedForward(dim, int(dim * decoder.mlp_ratio), decoder.activation)
        self.residual = ResidualDropout(regularization.dropout, drop_path)

    def forward(
        self,
        x: Tensor,
        memory: Tensor,
        rotation: Rotation | None = None,
        memory_padding_mask: Tensor | None = None,
        own: Cache | None = None,
        cross: Cache | None = None,
    ) -> Tensor:
        """One block; see `Decoder.forward`."""
        attended = self.attention(self.attention_norm(x), rotation, is_causal=True, cache=own)
        x = x + self.residual(attended)
        # The beams of a source are further queries to the same memory.
        query = self.cross_norm(x).reshape(memory.size(0), -1, x.size(-1))
        attended = self.cross_attention(query, memory=memory, key_padding_mask=memory_padding_mask, cache=cross)
        x = x + self.residual(attended.view_as(x))
        return x + self.residual(self.feed_forward(self.feed_forward_norm(x)))


class Decoder(nn.Module):
    """A stack of blocks with a norm at its end.

    Args:
        decoder: Sizes, norm and activation.
        attention: Config of the self-attention.
        cross: Config of the cross-attention over the memory.
        regularization: Dropout rates; stochastic depth grows linearly from the first block to the last.
    """

    def __init__(
        self,
        decoder: EncoderConfig,
        attention: AttentionConfig,
        cross: AttentionConfig,
        regularization: RegularizationConfig,
    ) -> None:
        super().__init__()
        drop_paths = torch.linspace(0, regularization.stochastic_depth, decoder.depth, device="cpu").tolist()
        blocks = [DecoderBlock(decoder, attention, cross, regularization, drop_path) for drop_path in drop_paths]
        self.blocks = nn.ModuleList(blocks)
        self.norm = build_norm(decoder.norm, decoder.dim)
        rope_dim = blocks[0].attention.rope_dim
        self.rotary = RotaryEmbedding(rope_dim, 1, attention.rope_theta) if rope_dim else None
        init_stack(self, branches=3 * len(blocks))
        self.memory_dim = decoder.dim
        # Numbers that decoding keeps for each target token, and once for each source token.
        self.cache_width = sum(block.attention.cache_width for block in blocks)
        self.memory_width = sum(block.cross_attention.cache_width for block in blocks)

    def new_cache(self) -> DecoderCache:
        """An empty cache for all blocks."""
        blocks: Any = self.blocks
        return DecoderCache(
            [block.attention.new_cache() for block in blocks], [block.cross_attention.new_cache() for block in blocks]
        )

    def forward(
        self, x: Tensor, memory: Tensor, memory_padding_mask: Tensor | None = None, cache: DecoderCache | None = None
    ) -> Tensor:
        """Decodes tokens; each attends to itself, earlier ones and the memory.

        Padding at the end of x needs no mask: no token attends to later ones.

        Args:
            x: Tokens, `(batch, length, dim)`; with a cache only the new tokens. The batch holds the beams of the first source,
                then those of the second and so on; without beams, one row a source.
            memory: Output of the encoder, `(sources, keys, dim)`.
            memory_padding_mask: True at padding, `(sources, keys)`.
            cache: Caches of the tokens of earlier calls and of the memory.

        Returns:
            `(batch, length, dim)`.
        """
        start = 0 if cache is None else len(cache)
        rotation = None
        if self.rotary is not None:
            rotation = self.rotary(torch.arange(start, start + x.size(1), device=x.device))
        for number, block in enumerate(self.blocks):
            own, cross = (None, None) if cache is None else (cache.own[number], cache.cross[number])
            x = block(x, memory, rotation, memory_padding_mask, own, cross)
        return self.norm(x)
