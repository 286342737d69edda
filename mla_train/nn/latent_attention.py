"""Multi-head Latent Attention (DeepSeek-V2, arXiv 2405.04434; DeepSeek-V3, arXiv 2412.19437), made general.

Keys and values of all heads are read from one narrow latent a token, so that decoding has to remember only that latent
and one rotary key shared by the heads:

    [c | k_rope] = W_DKV x         c = RMSNorm(c)         [k_nope | v] = W_UKV c   (per head)
    [q_nope | q_rope] = W_Q x      or  W_UQ RMSNorm(W_DQ x)                        (per head)
    score = (q_nope k_nope + rotate(q_rope) rotate(k_rope)) / sqrt(qk_nope_head_dim + qk_rope_head_dim)

Training writes keys and values out and leaves the rest to the flash kernel. Decoding multiplies W_UKV into queries and
outputs instead ("absorbed"): few queries then read many latents without one key or value being made.
"""

import torch
from torch import Tensor, nn

from mla_train.nn.cache import LatentCache
from mla_train.nn.compatibility import Compatibility, check_call
from mla_train.nn.gates import HeadGate, LatentGate
from mla_train.nn.kernel import attend, attention_mask
from mla_train.nn.rotary import Rotation, rotate
from mla_train.nn.scores import QueryScale


class MultiheadLatentAttention(nn.Module):
    """Attention through a shared latent.

    Args:
        dim: Width of the inputs and outputs.
        num_heads: Attention heads.
        kv_lora_rank: Width of the key-value latent.
        qk_nope_head_dim: Part of a query/key head that carries no position.
        qk_rope_head_dim: Part that is rotated by position; its key is shared by all heads. May be 0.
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
        super().__init__()
        self.num_heads = num_heads
        self.kv_lora_rank = kv_lora_rank
        self.qk_nope_head_dim = qk_nope_head_dim
        self.qk_rope_head_dim = qk_rope_head_dim
        self.v_head_dim = v_head_dim
        self.q_lora_rank = q_lora_rank
        self.dropout = dropout
        self.qk_head_dim = qk_nope_head_dim + qk_rope_head_dim
        self.scale = self.qk_head_dim**-0.5 if scale is None else scale

        self.q_down = nn.Identity() if q_lora_rank is None else nn.Linear(dim, q_lora_rank, bias=False)
        self.q_norm = nn.Identity() if q_lora_rank is None else nn.RMSNorm(q_lora_rank, eps=norm_eps)
        self.q_up = nn.Linear(q_lora_rank or dim, num_heads * self.qk_head_dim, bias=False)
        self.kv_down = nn.Linear(dim, kv_lora_rank + qk_rope_head_dim, bias=False)
        self.kv_norm = nn.RMSNorm(kv_lora_rank, eps=norm_eps)
        self.kv_up = nn.Linear(kv_lora_rank, num_heads * (qk_nope_head_dim + v_head_dim), bias=False)
        self.out = nn.Linear(num_heads * v_head_dim, dim, bias=False)
        # What `build_attention` may plug in.
        self.query_scale: QueryScale | None = None
        self.compatibility: Compatibility | None = None
        self.head_gate: HeadGate | None = None
        self.latent_gate: LatentGate | None = None

    @property
    def rope_dim(self) -> int:
        """Width that rotary positions turn."""
        return self.qk_rope_head_dim

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each token."""
        return self.kv_lora_rank + self.qk_rope_head_dim

    def new_cache(self) -> LatentCache:
        """An empty cache for this layer."""
        return LatentCache()

    def latent(self, x: Tensor, rotation: Rotation | None = None) -> Tensor:
        """All that attention needs to know of tokens that are looked at.

        Args:
            x: Tokens, `(batch, keys, dim)`.
            rotation: Their positions.

        Returns:
            Normed latent and rotated shared key, `(batch, keys, kv_lora_rank + qk_rope_head_dim)`.
        """
        latent, rope_key = self.kv_down(x).split([self.kv_lora_rank, self.qk_rope_head_dim], dim=-1)
        if rotation is not None and self.qk_rope_head_dim:
            rope_key = rotate(rope_key.unsqueeze(1), rotation).squeeze(1)
        latent = self.kv_norm(latent)
        if self.latent_gate is not None:
            latent = self.latent_gate(latent, x)
        return torch.cat([latent, rope_key], dim=-1)

    def states(self, memory: Tensor, rotation: Rotation | None = None) -> tuple[Tensor, ...]:
        """What `forward` may be given for a memory, so that several readers share it; see `latent`."""
        return (self.latent(memory, rotation),)

    def forward(
        self,
        x: Tensor,
        rotation: Rotation | None = None,
        *,
        memory: Tensor | tuple[Tensor, ...] | None = None,
        memory_rotation: Rotation | None = None,
        key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
        cache: LatentCache | None = None,
        absorb: bool | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Attends from x to x, or to memory.

        Args:
            x: `(batch, length, dim)`; with a cache only the new tokens.
            rotation: Positions of x.
            memory: Tokens to look at instead of x, `(batch, keys, dim)`, or their `states`. With a cache it is read
                once, at the first call, and its latent kept.
            memory_rotation: Positions of memory.
            key_padding_mask: True at keys that are padding, `(batch, keys)`; with a cache over all keys so far.
            is_causal: Each token sees itself and earlier ones only.
            cache: Remembers the tokens of earlier calls.
            absorb: Multiply the up-projection into queries and outputs; None chooses the cheaper way, and never
                absorbs while gradients are wanted.
            positions: Where tokens stand, for a pattern, `(length,)` or `(length, 2)`; None is a plain row.

        Returns:
            `(batch, length, dim)`.

        Raises:
            ValueError: Attention over a memory is to be causal, or what is plugged in cannot do what is asked for.
        """
        check_call(self.compatibility, memory is not None, is_causal, cache is not None, bool(absorb))
        batch, length, _ = x.shape
        query = self.q_up(self.q_norm(self.q_down(x))).view(batch, length, self.num_heads, -1).transpose(1, 2)
        if self.query_scale is not None:
            query = self.query_scale(query)
        nope_query, rope_query = query.split([self.qk_nope_head_dim, self.qk_rope_head_dim], dim=-1)
        if rotation is not None and self.qk_rope_head_dim:
            rope_query = rotate(rope_query, rotation)
            query = torch.cat([nope_query, rope_query], dim=-1)

        if memory is None:
            latent = self.latent(x, rotation)
            if cache is not None:
                (latent,) = cache.append(latent)
        elif cache is not None and len(cache):
            (latent,) = cache.states
        else:
            (latent,) = memory if isinstance(memory, tuple) else self.states(memory, memory_rotation)
            if cache is not None:
                (latent,) = cache.append(latent)

        keys = latent.size(1)
        mask, kernel_causal = attention_mask(
            batch, self.num_heads, length, keys, x.device, key_padding_mask, is_causal, self.dropout * self.training
        )
        if absorb is None and self.compatibility is None:
            absorb = not torch.is_grad_enabled() and self._absorbing_is_cheaper(length, keys)
        if absorb:
            heads = self._attend_absorbed(nope_query, rope_query, latent, mask, kernel_causal)
        else:
            heads = self._attend_expanded(query, latent, mask, kernel_causal, positions)
        heads = heads.transpose(1, 2)
        if self.head_gate is not None:
            heads = self.head_gate(heads, x)
        return self.out(heads.flatten(2))

    def _absorbing_is_cheaper(self, queries: int, keys: int) -> bool:
        """Compares the multiplications of a head: write out all keys and values, or look at latents themselves."""
        rank, rope = self.kv_lora_rank, self.qk_rope_head_dim
        project = rank * (self.qk_nope_head_dim + self.v_head_dim)
        expanded = keys * project + queries * keys * (self.qk_nope_head_dim + rope + self.v_head_dim)
        absorbed = queries * project + queries * keys * (2 * rank + rope)
        return absorbed < expanded

    def _attend_expanded(
        self, query: Tensor, latent: Tensor, mask: Tensor | None, is_causal: bool, positions: Tensor | None
    ) -> Tensor:
        """Writes keys and values out: `(batch, heads, length, v_head_dim)`."""
        batch, keys, _ = latent.shape
        latent, rope_key = latent.split([self.kv_lora_rank, self.qk_rope_head_dim], dim=-1)
        expanded = self.kv_up(latent).view(batch, keys, self.num_heads, -1).transpose(1, 2)
        nope_key, value = expanded.split([self.qk_nope_head_dim, self.v_head_dim], dim=-1)
        key = torch.cat([nope_key, rope_key.unsqueeze(1).expand(-1, self.num_heads, -1, -1)], dim=-1)
        if self.compatibility is not None:
            return self.compatibility(query, key, value, self.scale, mask, is_causal, positions)
        return attend(query, key, value, self.scale, mask, is_causal)

    def _attend_absorbed(
        self, nope_query: Tensor, rope_query: Tensor, latent: Tensor, mask: Tensor | None, is_causal: bool
    ) -> Tensor:
        """Looks at latents as they are: `(batch, heads, length, v_head_dim)`."""
        up = self.kv_up.weight.view(self.num_heads, -1, self.kv_lora_rank)
        key_up, value_up = up.split([self.qk_nope_head_dim, self.v_head_dim], dim=1)
        query = per_head(nope_query, key_up)
        if self.qk_rope_head_dim:
            query = torch.cat([query, rope_query], dim=-1)
        batch, heads, length, width = query.shape
        key = latent.unsqueeze(1)
        if not is_causal and (mask is None or mask.shape[1:3] == (1, 1)):
            # All heads look at the same keys: one head with more queries does without copies of them.
            seen = attend(query.reshape(batch, 1, heads * length, width), key, key, self.scale, mask)
            seen = seen.view(batch, heads, length, width)
        else:
            key = key.expand(-1, heads, -1, -1)
            seen = attend(query, key, key, self.scale, mask, is_causal)
        return per_head(seen[..., : self.kv_lora_rank], value_up.transpose(1, 2))


def per_head(x: Tensor, matrices: Tensor) -> Tensor:
    """Multiplies what belongs to a head by the head's matrix.

    As one product a head: `@` would first copy the matrices for each row of the batch, and einsum takes twice the time to
    get going, which counts where there is one new token.

    Args:
        x: `(batch, heads, length, width)`.
        matrices: `(heads, width, new_width)`.

    Returns:
        `(batch, heads, length, new_width)`.
    """
    batch, heads, length, width = x.shape
    product = torch.bmm(x.transpose(0, 1).reshape(heads, batch * length, width), matrices)
    return product.view(heads, batch, length, -1).transpose(0, 1)
