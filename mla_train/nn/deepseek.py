"""Weights to and from the layout that DeepSeek-V2/V3 checkpoints and transformers' `DeepseekV3Attention` use.

They differ in names and in the order of rotary rows: DeepSeek pairs neighbours (0, 1), (2, 3), … here the
first half is paired with the second. Attention is the same for either order as long as queries and keys agree.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mla_train.nn.attention import MultiheadLatentAttention

NAMES = {
    "q_down.weight": "q_a_proj.weight",
    "q_norm.weight": "q_a_layernorm.weight",
    "q_up.weight": "q_b_proj.weight",
    "kv_down.weight": "kv_a_proj_with_mqa.weight",
    "kv_norm.weight": "kv_a_layernorm.weight",
    "kv_up.weight": "kv_b_proj.weight",
    "out.weight": "o_proj.weight",
}


def from_deepseek_v3(
    weights: Mapping[str, Tensor],
    num_heads: int,
    qk_nope_head_dim: int,
    qk_rope_head_dim: int,
    v_head_dim: int,
    rope_interleave: bool = True,
    scale: float | None = None,
) -> MultiheadLatentAttention:
    """Builds a layer from the weights of one DeepSeek attention layer.

    Args:
        weights: State dict of the layer, with names such as `kv_a_proj_with_mqa.weight`.
        num_heads: Number of heads.
        qk_nope_head_dim: Size from the config of the checkpoint.
        qk_rope_head_dim: Size from the config of the checkpoint.
        v_head_dim: Size from the config of the checkpoint.
        rope_interleave: Whether rotary rows are paired with their neighbours, as in published checkpoints.
        scale: Factor on the scores where YaRN changes it.

    Raises:
        ValueError: The layer has biases, which are not supported, or its weights have other sizes.
    """
    biases = [name for name in weights if name.endswith(".bias")]
    if biases:
        raise ValueError(f"attention biases are not supported, found {', '.join(biases)}")
    kv_down = weights["kv_a_proj_with_mqa.weight"]
    _check_sizes(weights, num_heads, qk_nope_head_dim, qk_rope_head_dim, v_head_dim)
    layer = MultiheadLatentAttention(
        dim=kv_down.size(1),
        num_heads=num_heads,
        kv_lora_rank=kv_down.size(0) - qk_rope_head_dim,
        qk_nope_head_dim=qk_nope_head_dim,
        qk_rope_head_dim=qk_rope_head_dim,
        v_head_dim=v_head_dim,
        q_lora_rank=weights["q_a_proj.weight"].size(0) if "q_a_proj.weight" in weights else None,
        scale=scale,
    ).to(kv_down)
    order = torch.arange(qk_rope_head_dim)
    if rope_interleave:
        order = torch.cat([order[0::2], order[1::2]])
    names = _names(layer)
    layer.load_state_dict(_reordered(layer, {ours: weights[theirs] for ours, theirs in names.items()}, order))
    return layer


def _check_sizes(weights: Mapping[str, Tensor], heads: int, nope: int, rope: int, value: int) -> None:
    """Raises ValueError where weights are not of these sizes; a layer that is made first might fill the memory."""
    query = "q_b_proj.weight" if "q_a_proj.weight" in weights else "q_proj.weight"
    rows = {"kv_b_proj.weight": heads * (nope + value), query: heads * (nope + rope)}
    for name in ("kv_a_proj_with_mqa.weight", "o_proj.weight", *rows, *({"q_a_proj.weight"} & weights.keys())):
        shape = tuple(weights[name].shape)
        if len(shape) != 2 or shape[0] != rows.get(name, shape[0]):
            raise ValueError(
                f"{name} is {shape}, and has {rows.get(name, 'any')} rows and two dimensions by the config"
            )
    if not rope < len(weights["kv_a_proj_with_mqa.weight"]):
        raise ValueError(
            f"kv_a_proj_with_mqa.weight has {len(weights['kv_a_proj_with_mqa.weight'])} rows, {rope} of them for positions"
        )


def to_deepseek_v3(layer: MultiheadLatentAttention, rope_interleave: bool = True) -> dict[str, Tensor]:
    """The inverse of `from_deepseek_v3`: weights of our layer under DeepSeek's names."""
    order = torch.arange(layer.qk_rope_head_dim)
    if rope_interleave:
        order = torch.stack(order.chunk(2), dim=1).flatten()
    state = _reordered(layer, dict(layer.state_dict()), order)
    return {theirs: state[ours] for ours, theirs in _names(layer).items()}


def _names(layer: MultiheadLatentAttention) -> dict[str, str]:
    """Our names to DeepSeek's, for a layer with or without a query latent."""
    if layer.q_lora_rank is not None:
        return NAMES
    return {k: v for k, v in NAMES.items() if not k.startswith(("q_down", "q_norm"))} | {"q_up.weight": "q_proj.weight"}


def _reordered(layer: MultiheadLatentAttention, state: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    """Reorders the rotary rows of queries and of the shared key."""
    query = state["q_up.weight"].unflatten(0, (layer.num_heads, -1))
    nope, rope = query.split([layer.qk_nope_head_dim, layer.qk_rope_head_dim], dim=1)
    latent, key = state["kv_down.weight"].split([layer.kv_lora_rank, layer.qk_rope_head_dim])
    order = order.to(key.device)
    return state | {
        "q_up.weight": torch.cat([nope, rope[:, order]], dim=1).flatten(0, 1),
        "kv_down.weight": torch.cat([latent, key[order]]),
    }
