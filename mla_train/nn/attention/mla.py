"""Multi-head Latent Attention (DeepSeek-V2, arXiv 2405.04434; DeepSeek-V3, arXiv 2412.19437), with free sizes.

Keys and values of all heads come from one narrow latent a token, so that decoding caches only that latent and one rotary
key that the heads share:

    [c | k_rope] = W_DKV x         c = RMSNorm(c)         [k_nope | v] = W_UKV c   (per head)
    [q_nope | q_rope] = W_Q x      or  W_UQ RMSNorm(W_DQ x)                        (per head)
    score = (q_nope k_nope + rotate(q_rope) rotate(k_rope)) / sqrt(qk_nope_head_dim + qk_rope_head_dim)

Training expands keys and values and calls the flash kernel. Decoding multiplies W_UKV into queries and outputs instead
("absorbed"): a few queries then attend to many latents without a key or value being computed.
"""

from typing import Self

import torch
from torch import Tensor, nn

from mla_train.config import AttentionConfig
from mla_train.nn.attention.base import Attention
from mla_train.nn.attention.gates import LatentGate
from mla_train.nn.attention.rotary import Rotation, rotate
from mla_train.nn.attention.sdpa import KeyMask
from mla_train.nn.layers import RMSNorm


class MultiheadLatentAttention(Attention):
    """Attention through a shared latent.

    Args:
        dim: Width of the inputs and outputs.
        num_heads: Number of heads.
        kv_lora_rank: Width of the key-value latent.
        qk_nope_head_dim: Width of a query/key head without position.
        qk_rope_head_dim: Width of a query/key head that rotary positions turn; all heads share its key. May be 0.
        v_head_dim: Width of a value head.
        q_lora_rank: Width of the query latent; None projects queries directly.
        dropout: Probability of hiding a key from all queries of a head in training.
        scale: Factor on the scores; None is `(qk_nope_head_dim + qk_rope_head_dim) ** -0.5`. Under YaRN multiply
            that by m², m = 0.1 * mscale_all_dim * ln(factor) + 1.
        norm_eps: Epsilon of the latents' RMSNorm.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        kv_lora_rank: int,
        qk_nope_head_dim: int,
        qk_rope_head_dim: int,
        v_head_dim: int,
        q_lora_rank: int | None = None,
        dropout: float = 0.0,
        scale: float | None = None,
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__(num_heads, qk_nope_head_dim + qk_rope_head_dim, qk_rope_head_dim, dropout, scale)
        self.kv_lora_rank = kv_lora_rank
        self.qk_nope_head_dim = qk_nope_head_dim
        self.qk_rope_head_dim = qk_rope_head_dim
        self.v_head_dim = v_head_dim
        self.q_lora_rank = q_lora_rank
        self.q_down = nn.Identity() if q_lora_rank is None else nn.Linear(dim, q_lora_rank, bias=False)
        self.q_norm = nn.Identity() if q_lora_rank is None else RMSNorm(q_lora_rank, eps=norm_eps)
        self.q_up = nn.Linear(q_lora_rank or dim, num_heads * self.qk_head_dim, bias=False)
        self.kv_down = nn.Linear(dim, kv_lora_rank + qk_rope_head_dim, bias=False)
        self.kv_norm = RMSNorm(kv_lora_rank, eps=norm_eps)
        self.kv_up = nn.Linear(kv_lora_rank, num_heads * (qk_nope_head_dim + v_head_dim), bias=False)
        self.out = nn.Linear(num_heads * v_head_dim, dim, bias=False)
        self.latent_gate: LatentGate | None = None

    @classmethod
    def from_config(cls, config: AttentionConfig, dim: int, num_heads: int, rotary_axes: int, dropout: float) -> Self:
        """See `Attention.from_config`."""
        head_dim = dim // num_heads
        if (config.qk_rope_head_dim or 0) > head_dim and config.qk_nope_head_dim is None:
            raise ValueError(
                f"attention.qk_rope_head_dim ({config.qk_rope_head_dim}) is wider than a head ({head_dim}); make it "
                "narrower or set attention.qk_nope_head_dim too"
            )
        rope = (head_dim // 2 if rotary_axes else 0) if config.qk_rope_head_dim is None else config.qk_rope_head_dim
        return cls(
            dim,
            num_heads,
            kv_lora_rank=config.kv_lora_rank or max(dim // 4, 1),
            qk_nope_head_dim=head_dim - rope if config.qk_nope_head_dim is None else config.qk_nope_head_dim,
            qk_rope_head_dim=rope,
            v_head_dim=config.v_head_dim or head_dim,
            q_lora_rank=config.q_lora_rank,
            dropout=dropout,
        )

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each token: latent and shared rotary key."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    def states(self, memory: Tensor, rotation: Rotation | None = None) -> tuple[Tensor]:
        """Normed latent and rotated shared key side by side, `(batch, keys, kv_lora_rank + qk_rope_head_dim)`."""
        latent, rope_key = self.kv_down(memory).split([self.kv_lora_rank, self.qk_rope_head_dim], dim=-1)
        if rotation is not None and self.qk_rope_head_dim:
            rope_key = rotate(rope_key.unsqueeze(1), rotation).squeeze(1)
        latent = self.kv_norm(latent)
        for observer in self.observers:
            observer.take_latent(latent)
        if self.latent_gate is not None:
            latent = self.latent_gate(latent, memory)
        return (torch.cat([latent, rope_key], dim=-1),)

    def project_query(self, x: Tensor) -> Tensor:
        """See `Attention.project_query`."""
        return self.q_up(self.q_norm(self.q_down(x))).view(*x.shape[:2], self.num_heads, -1).transpose(1, 2)

    def rotate_query(self, query: Tensor, rotation: Rotation) -> Tensor:
        """See `Attention.rotate_query`."""
        nope, rope = query.split([self.qk_nope_head_dim, self.qk_rope_head_dim], dim=-1)
        return torch.cat([nope, rotate(rope, rotation)], dim=-1)

    def attend(
        self, query: Tensor, states: tuple[Tensor, ...], key_mask: KeyMask, absorb: bool | None = None
    ) -> Tensor:
        """See `Attention.attend`."""
        (latent,) = states
        if absorb is None and self.per_head is None:
            absorb = not torch.is_grad_enabled() and self._absorbing_is_cheaper(query.size(2), latent.size(1))
        if absorb:
            return self._attend_absorbed(query, latent, key_mask)
        return self._attend_expanded(query, latent, key_mask)

    def _absorbing_is_cheaper(self, queries: int, keys: int) -> bool:
        """Compares the multiplications of a head: expand all keys and values, or attend to the latents."""
        if torch.compiler.is_exporting():  # for all lengths alike: a decoding step has one query
            return queries == 1
        rank, rope = self.kv_lora_rank, self.qk_rope_head_dim
        project = rank * (self.qk_nope_head_dim + self.v_head_dim)
        expanded = keys * project + queries * keys * (self.qk_nope_head_dim + rope + self.v_head_dim)
        absorbed = queries * project + queries * keys * (2 * rank + rope)
        return absorbed < expanded

    def _attend_expanded(self, query: Tensor, latent: Tensor, key_mask: KeyMask) -> Tensor:
        """Attends to expanded keys and values: `(batch, num_heads, length, v_head_dim)`."""
        batch, keys, _ = latent.shape
        latent, rope_key = latent.split([self.kv_lora_rank, self.qk_rope_head_dim], dim=-1)
        expanded = self.kv_up(latent).view(batch, keys, self.num_heads, -1).transpose(1, 2)
        nope_key, value = expanded.split([self.qk_nope_head_dim, self.v_head_dim], dim=-1)
        key = torch.cat([nope_key, rope_key.unsqueeze(1).expand(-1, self.num_heads, -1, -1)], dim=-1)
        return self.mix(query, key, value, key_mask)

    def _attend_absorbed(self, query: Tensor, latent: Tensor, key_mask: KeyMask) -> Tensor:
        """Attends to the latents: `(batch, num_heads, length, v_head_dim)`."""
        up = self.kv_up.weight.view(self.num_heads, -1, self.kv_lora_rank)
        key_up, value_up = up.split([self.qk_nope_head_dim, self.v_head_dim], dim=1)
        nope_query, rope_query = query.split([self.qk_nope_head_dim, self.qk_rope_head_dim], dim=-1)
        query = torch.cat([multiply_heads(nope_query, key_up), rope_query], dim=-1)
        batch, heads, length, width = query.shape
        key = latent.unsqueeze(1)
        if not key_mask.is_causal and (key_mask.mask is None or key_mask.mask.shape[1:3] == (1, 1)):
            # All heads read the same keys: one head with more queries needs no copies of them.
            mixed = self.mix(query.reshape(batch, 1, heads * length, width), key, key, key_mask)
            mixed = mixed.view(batch, heads, length, width)
        else:
            key = key.expand(-1, heads, -1, -1)
            mixed = self.mix(query, key, key, key_mask)
        return multiply_heads(mixed[..., : self.kv_lora_rank], value_up.transpose(1, 2))


def multiply_heads(x: Tensor, matrices: Tensor) -> Tensor:
    """Multiplies each head of `(batch, heads, length, width)` by its own matrix, `(heads, width, new_width)`.

    As one product a head: `@` would first copy the matrices for each example of the batch, and einsum has twice the
    overhead, which counts for one new token.
    """
    batch, heads, length, width = x.shape
    product = torch.bmm(x.transpose(0, 1).reshape(heads, batch * length, width), matrices)
    return product.view(heads, batch, length, -1).transpose(0, 1)
