"""Multi-head, grouped-query and multi-query attention.

Multi-head: Vaswani et al. 2017 (arXiv 1706.03762). Multi-query: Shazeer 2019 (arXiv 1911.02150). Grouped-query:
Ainslie et al. 2023 (arXiv 2305.13245). They differ in one number: how many heads of keys and values there are.
"""

from typing import Self

from torch import Tensor, nn

from mla_train.config import AttentionConfig, AttentionKind
from mla_train.nn.attention.base import Attention
from mla_train.nn.attention.rotary import Rotation, rotate
from mla_train.nn.attention.sdpa import KeyMask
from mla_train.nn.layers import RMSNorm


class GroupedQueryAttention(Attention):
    """Attention with one head of keys and values for each group of query heads.

    Args:
        dim: Width of the inputs and outputs.
        num_heads: Number of query heads.
        num_kv_heads: Number of key-value heads: num_heads is multi-head, 1 is multi-query attention.
        head_dim: Width of a head.
        dropout: Probability of hiding a key from all queries of a head in training.
        qk_norm: Whether queries and keys are normed in each head.

    Raises:
        ValueError: num_heads is not a multiple of num_kv_heads.
    """

    def __init__(
        self, dim: int, num_heads: int, num_kv_heads: int, head_dim: int, dropout: float = 0.0, qk_norm: bool = False
    ) -> None:
        super().__init__(num_heads, head_dim, head_dim, dropout)
        if num_heads % num_kv_heads:
            raise ValueError(f"num_heads ({num_heads}) must be a multiple of num_kv_heads ({num_kv_heads})")
        self.num_kv_heads = num_kv_heads
        self.q = nn.Linear(dim, num_heads * head_dim, bias=False)
        self.kv = nn.Linear(dim, 2 * num_kv_heads * head_dim, bias=False)
        self.out = nn.Linear(num_heads * head_dim, dim, bias=False)
        self.query_norm: nn.Module = RMSNorm(head_dim) if qk_norm else nn.Identity()
        self.key_norm: nn.Module = RMSNorm(head_dim) if qk_norm else nn.Identity()

    @classmethod
    def from_config(cls, config: AttentionConfig, dim: int, num_heads: int, rotary_axes: int, dropout: float) -> Self:
        """See `Attention.from_config`."""
        kv_heads = {
            AttentionKind.mha: num_heads,
            AttentionKind.gqa: config.num_kv_heads or max(num_heads // 4, 1),
            AttentionKind.mqa: 1,
        }[config.kind]
        return cls(dim, num_heads, kv_heads, dim // num_heads, dropout, config.qk_norm)

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each token: keys and values."""
        return 2 * self.num_kv_heads * self.qk_head_dim

    def states(self, memory: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, Tensor]:
        """Rotated keys and values, each `(batch, num_kv_heads, keys, head_dim)`."""
        batch, keys, _ = memory.shape
        key, value = self.kv(memory).view(batch, keys, 2, self.num_kv_heads, -1).permute(2, 0, 3, 1, 4)
        key = self.key_norm(key)
        return (key if rotation is None else rotate(key, rotation)), value

    def project_query(self, x: Tensor) -> Tensor:
        """See `Attention.project_query`."""
        return self.query_norm(self.q(x).view(*x.shape[:2], self.num_heads, -1).transpose(1, 2))

    def rotate_query(self, query: Tensor, rotation: Rotation) -> Tensor:
        """See `Attention.rotate_query`."""
        return rotate(query, rotation)

    def attend(
        self, query: Tensor, states: tuple[Tensor, ...], key_mask: KeyMask, absorb: bool | None = None
    ) -> Tensor:
        """See `Attention.attend`; there is nothing to absorb."""
        key, value = states
        groups = self.num_heads // self.num_kv_heads
        if groups == 1:
            return self.mix(query, key, value, key_mask)
        if key_mask.mask is None and not key_mask.is_causal and self.per_head is None:
            # The heads of a group read the same keys: one head with more queries needs no copies of them.
            folded = query.reshape(query.size(0), self.num_kv_heads, -1, self.qk_head_dim)
            # Some kernels give their result another order in memory, which no view can unfold.
            return self.mix(folded, key, value).reshape(query.shape)
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
        return self.mix(query, key, value, key_mask)
