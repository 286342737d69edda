"""Plain multi-head, grouped-query and multi-query attention behind MLA's signature, for side-by-side claims.

Multi-head: Vaswani et al. 2017 (arXiv 1706.03762). Multi-query: Shazeer 2019 (arXiv 1911.02150). Grouped-query:
Ainslie et al. 2023 (arXiv 2305.13245). They differ in one number: how many heads of keys and values there are.
"""

from torch import Tensor, nn

from mla_train.nn.cache import KeyValueCache
from mla_train.nn.compatibility import Compatibility, check_call
from mla_train.nn.gates import HeadGate
from mla_train.nn.kernel import attend, attention_mask
from mla_train.nn.rotary import Rotation, rotate
from mla_train.nn.scores import QueryScale


class GroupedQueryAttention(nn.Module):
    """Attention with keys and values for each group of query heads.

    Args:
        dim: Width of the inputs and outputs.
        num_heads: Query heads.
        num_kv_heads: Heads of keys and values: num_heads is multi-head, 1 is multi-query attention.
        head_dim: Width of a head.
        dropout: Probability of hiding a key from all queries of a head in training.

    Raises:
        ValueError: The query heads do not divide into num_kv_heads groups.
    """

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, head_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        if num_heads % num_kv_heads:
            raise ValueError(f"num_heads ({num_heads}) must be a multiple of num_kv_heads ({num_kv_heads})")
        self.num_heads = num_heads
        self.num_kv_heads = num_kv_heads
        self.head_dim = head_dim
        self.dropout = dropout
        self.q = nn.Linear(dim, num_heads * head_dim, bias=False)
        self.kv = nn.Linear(dim, 2 * num_kv_heads * head_dim, bias=False)
        self.out = nn.Linear(num_heads * head_dim, dim, bias=False)
        self.scale = head_dim**-0.5
        # What `build_attention` may plug in.
        self.query_scale: QueryScale | None = None
        self.compatibility: Compatibility | None = None
        self.head_gate: HeadGate | None = None

    @property
    def qk_head_dim(self) -> int:
        """Width of a head's queries and keys."""
        return self.head_dim

    @property
    def rope_dim(self) -> int:
        """Width that rotary positions turn."""
        return self.head_dim

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each token."""
        return 2 * self.num_kv_heads * self.head_dim

    def new_cache(self) -> KeyValueCache:
        """An empty cache for this layer."""
        return KeyValueCache()

    def states(self, memory: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, ...]:
        """Keys and values of tokens `(batch, keys, dim)`, each `(batch, num_kv_heads, keys, head_dim)`."""
        batch, keys, _ = memory.shape
        key, value = self.kv(memory).view(batch, keys, 2, self.num_kv_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        return (key if rotation is None else rotate(key, rotation)), value

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        *,
        memory: Tensor | tuple[Tensor, ...] | None = None,
        memory_rotation: Rotation | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        cache: KeyValueCache | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Attends from x to x, or to memory; the arguments are those of `MultiheadLatentAttention.forward`.

        Args:
            x: `(batch, length, dim)`; with a cache only the new tokens.
            rotation: Positions of x.
            memory: Tokens to look at instead of x, `(batch, keys, dim)`, or their `states`; with a cache read once, at
                the first call.
            memory_rotation: Positions of memory.
            key_padding_mask: True at keys that are padding, `(batch, keys)`; with a cache over all keys so far.
            is_causal: Each token sees itself and earlier ones only.
            cache: Remembers the tokens of earlier calls.
            positions: Where tokens stand, for a pattern, `(length,)` or `(length, 2)`; None is a plain row.

        Returns:
            `(batch, length, dim)`.

        Raises:
            ValueError: Attention over a memory is to be causal, or what is plugged in cannot do what is asked for.
        """
        check_call(self.compatibility, memory is not None, is_causal, cache is not None, False)
        batch, length, _ = x.shape
        query = self.q(x).view(batch, length, self.num_heads, self.head_dim).transpose(1, 2)
        if self.query_scale is not None:
            query = self.query_scale(query)
        if rotation is not None:
            query = rotate(query, rotation)
        if memory is not None and cache is not None and len(cache):
            key, value = cache.states
        else:
            if memory is None:
                memory = self.states(x, rotation)
            key, value = memory if isinstance(memory, tuple) else self.states(memory, memory_rotation)
            if cache is not None:
                key, value = cache.append(key, value)

        mask, kernel_causal = attention_mask(
            batch,
            self.num_heads,
            length,
            key.size(2),
            x.device,
            key_padding_mask,
            is_causal,
            self.dropout * self.training,
        )
        groups = self.num_heads // self.num_kv_heads
        if groups > 1 and mask is None and not kernel_causal and self.compatibility is None:
            # A group's heads look at the same keys: one head with more queries does without copies of them.
            folded = query.reshape(batch, self.num_kv_heads, groups * length, self.head_dim)
            heads = attend(folded, key, value, self.scale).view(batch, self.num_heads, length, self.head_dim)
        else:
            if groups > 1:
                key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
            if self.compatibility is None:
                heads = attend(query, key, value, self.scale, mask, kernel_causal)
            else:
                heads = self.compatibility(query, key, value, self.scale, mask, kernel_causal, positions)
        heads = heads.transpose(1, 2)
        if self.head_gate is not None:
            heads = self.head_gate(heads, x)
        return self.out(heads.flatten(2))
