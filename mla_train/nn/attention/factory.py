"""From a config to an attention layer."""

from mla_train.config import AttentionConfig, AttentionKind, HeadFusion, Pattern, Score, Select
from mla_train.nn.attention.base import Attention
from mla_train.nn.attention.gates import HeadGate, LatentGate
from mla_train.nn.attention.mla import MultiheadLatentAttention
from mla_train.nn.attention.multihead import GroupedQueryAttention
from mla_train.nn.attention.patterns import Global, head_patterns
from mla_train.nn.attention.per_head_attention import PerHeadAttention
from mla_train.nn.attention.score_functions import QueryScale

KINDS: dict[AttentionKind, type[Attention]] = {
    AttentionKind.mla: MultiheadLatentAttention,
    AttentionKind.mha: GroupedQueryAttention,
    AttentionKind.gqa: GroupedQueryAttention,
    AttentionKind.mqa: GroupedQueryAttention,
}
"""The class of each kind; a new kind is a file with its class, a name in `AttentionKind` and a line here."""


def build_attention(
    config: AttentionConfig,
    dim: int,
    num_heads: int,
    rotary_axes: int = 1,
    dropout: float = 0.0,
    use_pattern: bool = False,
) -> Attention:
    """Builds a layer; sizes that are None in the config follow dim and num_heads.

    Args:
        config: Kind, sizes, score functions, pattern and gates.
        dim: Width of the residual stream.
        num_heads: Number of heads.
        rotary_axes: 0 without rotary positions, 1 for sequences, 2 for images.
        dropout: Probability of hiding a key from all queries of a head in training.
        use_pattern: Follow `config.pattern`: for self-attention over whole sequences, as in an encoder.

    Raises:
        ValueError: Sizes do not fit each other.
    """
    if dim % num_heads:
        raise ValueError(f"encoder.dim ({dim}) must be a multiple of encoder.num_heads ({num_heads})")
    layer = KINDS[config.kind].from_config(config, dim, num_heads, rotary_axes, dropout)
    scores = config.head_scores(num_heads)
    patterns = head_patterns(config, num_heads) if use_pattern else [Global()] * num_heads
    if any(score in (Score.dot, Score.temperature) for score in scores):
        layer.query_scale = QueryScale(scores, layer.scale)
    if not all(score.is_product for score in scores) or any(pattern != Global() for pattern in patterns):
        layer.per_head = PerHeadAttention(scores, patterns, layer.qk_head_dim, config.topk)
    if config.fusion is HeadFusion.weighted or (use_pattern and config.pattern is Pattern["local_global"]):
        layer.head_gate = HeadGate(dim, num_heads)
    if config.fusion is HeadFusion.elementwise:
        layer.head_gate = HeadGate(dim, num_heads, layer.out.in_features // num_heads)
    if config.select is Select.gate and isinstance(layer, MultiheadLatentAttention):
        layer.latent_gate = LatentGate(dim, layer.kv_lora_rank)
    return layer
