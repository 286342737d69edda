"""From a config to an attention layer."""

from mla_train.config import AttentionConfig, HeadFusion, Kind, Pattern, Score, Select
from mla_train.nn.compatibility import Compatibility
from mla_train.nn.gates import HeadGate, LatentGate
from mla_train.nn.latent_attention import MultiheadLatentAttention
from mla_train.nn.multihead_attention import GroupedQueryAttention
from mla_train.nn.patterns import Global, head_patterns
from mla_train.nn.scores import QueryScale

Attention = MultiheadLatentAttention | GroupedQueryAttention


def build_attention(
    config: AttentionConfig,
    dim: int,
    num_heads: int,
    rotary_axes: int = 1,
    dropout: float = 0.0,
    patterned: bool = False,
) -> Attention:
    """Builds a layer; sizes that the config leaves open follow dim and num_heads.

    Args:
        config: Kind and sizes.
        dim: Width of the residual stream.
        num_heads: Attention heads.
        rotary_axes: 0 without rotary positions, 1 for sequences, 2 for pictures.
        dropout: Share of keys hidden in training.
        patterned: Follow `config.pattern`, which is for tokens that look at each other without a cache: those of an
            encoder.

    Raises:
        ValueError: Sizes do not fit each other.
    """
    layer = _bare(config, dim, num_heads, rotary_axes, dropout)
    scores = config.head_scores(num_heads)
    patterns = head_patterns(config, num_heads) if patterned else [Global()] * num_heads
    if any(score in (Score.dot, Score.temperature) for score in scores):
        layer.query_scale = QueryScale(scores, layer.scale)
    if not all(score.is_product for score in scores) or any(pattern != Global() for pattern in patterns):
        layer.compatibility = Compatibility(scores, patterns, layer.qk_head_dim, config.topk)
    if config.fusion is HeadFusion.weighted or (patterned and config.pattern is Pattern["local_global"]):
        layer.head_gate = HeadGate(dim, num_heads)
    if config.select is Select.gate and isinstance(layer, MultiheadLatentAttention):
        layer.latent_gate = LatentGate(dim, layer.kv_lora_rank)
    return layer


def _bare(config: AttentionConfig, dim: int, num_heads: int, rotary_axes: int, dropout: float) -> Attention:
    """The layer before anything is plugged in."""
    if dim % num_heads:
        raise ValueError(f"encoder.dim ({dim}) must be a multiple of encoder.num_heads ({num_heads})")
    head_dim = dim // num_heads
    if config.kind is Kind.mla:
        if (config.qk_rope_head_dim or 0) > head_dim and config.qk_nope_head_dim is None:
            raise ValueError(
                f"attention.qk_rope_head_dim ({config.qk_rope_head_dim}) is wider than a head ({head_dim}); make it "
                "narrower or give attention.qk_nope_head_dim too"
            )
        rope = (head_dim // 2 if rotary_axes else 0) if config.qk_rope_head_dim is None else config.qk_rope_head_dim
        return MultiheadLatentAttention(
            dim,
            num_heads,
            kv_lora_rank=config.kv_lora_rank or max(dim // 4, 1),
            qk_nope_head_dim=head_dim - rope if config.qk_nope_head_dim is None else config.qk_nope_head_dim,
            qk_rope_head_dim=rope,
            v_head_dim=config.v_head_dim or head_dim,
            q_lora_rank=config.q_lora_rank,
            dropout=dropout,
        )
    kv_heads = {
        Kind.mha: num_heads,
        Kind.gqa: config.num_kv_heads or max(num_heads // 4, 1),
        Kind.mqa: 1,
    }[config.kind]
    return GroupedQueryAttention(dim, num_heads, kv_heads, head_dim, dropout)
