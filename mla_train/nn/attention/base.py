"""What every kind of attention offers, and what all kinds have in common."""

from abc import ABC, abstractmethod
from functools import partial
from typing import Self

from torch import Tensor, nn

from mla_train.config import AttentionConfig
from mla_train.nn.attention.cache import Cache
from mla_train.nn.attention.gates import HeadGate
from mla_train.nn.attention.observation import Record
from mla_train.nn.attention.per_head_attention import PerHeadAttention
from mla_train.nn.attention.rotary import Rotation
from mla_train.nn.attention.score_functions import QueryScale
from mla_train.nn.attention.sdpa import ALL_KEYS, KeyMask, attend, attention_mask, attention_weights
from mla_train.nn.regularizers import drop_heads


class Attention(nn.Module, ABC):
    """Base class of attention layers.

    A kind writes `from_config`, `project_query`, `rotate_query`, `states`, `attend` and `cache_width`, and creates `out`
    last; masks, caches, gates, observation points and the output projection are the same for all.

    Args:
        num_heads: Number of query heads.
        qk_head_dim: Width of a query/key head.
        rope_dim: Width of a query/key head that rotary positions turn; may be 0.
        dropout: Probability of hiding a key from all queries of a head in training.
        scale: Factor on the scores; None is `qk_head_dim ** -0.5`.

    Attributes:
        out: Output projection from `(batch, length, num_heads * v_head_dim)`.
        query_scale: Factors on the queries, for scores that are dot products.
        per_head: Attention with a score function and a pattern for each head; None is the fast kernel for all.
        head_gate: Gate over the outputs of heads.
        head_dropout: Probability of leaving out a head in training.
        observers: Records of `observe`; empty when nobody observes.
    """

    out: nn.Linear

    def __init__(
        self, num_heads: int, qk_head_dim: int, rope_dim: int, dropout: float = 0.0, scale: float | None = None
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qk_head_dim = qk_head_dim
        self.rope_dim = rope_dim
        self.dropout = dropout
        self.scale = qk_head_dim**-0.5 if scale is None else scale
        self.query_scale: QueryScale | None = None
        self.per_head: PerHeadAttention | None = None
        self.head_gate: HeadGate | None = None
        self.head_dropout = 0.0
        self.observers: list[Record] = []

    @classmethod
    @abstractmethod
    def from_config(cls, config: AttentionConfig, dim: int, num_heads: int, rotary_axes: int, dropout: float) -> Self:
        """Builds a layer; see `build_attention`."""

    @property
    @abstractmethod
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each token."""

    @abstractmethod
    def project_query(self, x: Tensor) -> Tensor:
        """Queries before their rotation: `(batch, length, dim)` to `(batch, num_heads, length, qk_head_dim)`."""

    @abstractmethod
    def rotate_query(self, query: Tensor, rotation: Rotation) -> Tensor:
        """Rotates `(batch, num_heads, length, qk_head_dim)`, or the part of each head that carries positions."""

    @abstractmethod
    def states(self, memory: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, ...]:
        """All that queries read of tokens; `forward` takes it as memory, so that several readers can share it.

        Args:
            memory: Tokens, `(batch, keys, dim)`.
            rotation: Rotations of their positions.

        Returns:
            What the cache holds, each `(batch, ..., keys, width)`.
        """

    @abstractmethod
    def attend(
        self, query: Tensor, states: tuple[Tensor, ...], key_mask: KeyMask, absorb: bool | None = None
    ) -> Tensor:
        """The outputs of heads, `(batch, num_heads, length, v_head_dim)`.

        Args:
            query: Rotated queries, `(batch, num_heads, length, qk_head_dim)`.
            states: The `states` of all keys.
            key_mask: Which keys a query may attend to.
            absorb: See `forward`.
        """

    def new_cache(self) -> Cache:
        """An empty cache for this layer."""
        return Cache()

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        *,
        memory: Tensor | tuple[Tensor, ...] | None = None,
        memory_rotation: Rotation | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        cache: Cache | None = None,
        absorb: bool | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Attends from x to x, or to memory.

        Args:
            x: Tokens, `(batch, length, dim)`; with a cache only the new ones.
            rotation: Rotations of the positions of x.
            memory: Tokens to attend to instead of x, `(batch, keys, dim)`, or their `states`. With a cache they are read
                once, at the first call.
            memory_rotation: Rotations of the positions of memory.
            key_padding_mask: True at keys that are padding, `(batch, keys)`; with a cache over all keys so far.
            is_causal: Each token sees itself and earlier ones only.
            cache: Cache of the tokens of earlier calls.
            absorb: Attend over the states without expanding them, where a kind can (mla); None chooses the cheaper way,
                and never absorbs while gradients are computed.
            positions: Positions of tokens for a pattern, `(length,)` or `(length, 2)`; None counts from 0.

        Returns:
            `(batch, length, dim)`.

        Raises:
            ValueError: The arguments do not fit each other or the layer.
        """
        self._check_call(memory is not None, is_causal, cache is not None, bool(absorb))
        for observer in self.observers:
            observer.start(key_padding_mask)
        query = self.project_query(x)
        if self.query_scale is not None:
            query = self.query_scale(query)
        if rotation is not None and self.rope_dim:
            query = self.rotate_query(query, rotation)
        states = self._read(x, rotation, memory, memory_rotation, cache)
        dropkey = self.dropout * self.training
        mask, kernel_causal = attention_mask(query, states[0].size(-2), key_padding_mask, is_causal, dropkey)
        heads = self.attend(query, states, KeyMask(mask, kernel_causal, positions), absorb).transpose(1, 2)
        if self.head_gate is not None:
            heads = self.head_gate(heads, x)
        if self.head_dropout and self.training:
            heads = drop_heads(heads, self.head_dropout)
        for observer in self.observers:
            observer.finish(heads)
        return self.out(heads.flatten(2))

    def mix(self, query: Tensor, key: Tensor, value: Tensor, key_mask: KeyMask = ALL_KEYS) -> Tensor:
        """Values weighted by softmax(score(query, key)) on the fast kernel, or by `per_head`; see `sdpa.attend`."""
        for observer in self.observers:
            observer.take_weights(partial(self._weights, query, key, key_mask), self.num_heads)
        if self.per_head is None:
            return attend(query, key, value, self.scale, key_mask.mask, key_mask.is_causal)
        return self.per_head(query, key, value, self.scale, key_mask)

    def _weights(self, query: Tensor, key: Tensor, key_mask: KeyMask) -> Tensor:
        if self.per_head is None:
            return attention_weights(query, key, self.scale, key_mask.mask, key_mask.is_causal)
        return self.per_head.weights(query, key, self.scale, key_mask)

    def _read(
        self,
        x: Tensor,
        rotation: Rotation | None,
        memory: Tensor | tuple[Tensor, ...] | None,
        memory_rotation: Rotation | None,
        cache: Cache | None,
    ) -> tuple[Tensor, ...]:
        """The states of all keys, cached ones included."""
        if memory is not None and cache is not None and len(cache):
            return cache.states
        if memory is None:
            states = self.states(x, rotation)
        else:
            states = memory if isinstance(memory, tuple) else self.states(memory, memory_rotation)
        return states if cache is None else cache.append(*states)

    def _check_call(self, has_memory: bool, is_causal: bool, has_cache: bool, absorb: bool) -> None:
        """Refuses calls that have no meaning."""
        if has_memory and is_causal:
            raise ValueError("is_causal needs queries and keys of one sequence; over a memory use is_causal=False")
        if self.per_head is None:
            return
        if absorb:
            raise ValueError(
                "only dot products over all keys can be absorbed: choose attention.score=temperature, dot or scaled_dot "
                "with attention.pattern=global, or absorb=False"
            )
        if self.per_head.has_patterns and (has_memory or has_cache):
            raise ValueError(
                "attention patterns work in self-attention over whole sequences only; over a memory or with a cache "
                "choose attention.pattern=global"
            )
