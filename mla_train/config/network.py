"""The network: what attends to what, and what an encoder is made of."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mla_train.errors import did_you_mean, require


class AttentionKind(Enum):
    """The attention of a block."""

    mla = "mla"
    mha = "mha"
    gqa = "gqa"
    mqa = "mqa"


class Score(Enum):
    """How well a query and a key go together; see mla_train/nn/attention/score_functions.py."""

    dot = "dot"
    scaled_dot = "scaled_dot"
    temperature = "temperature"
    additive = "additive"
    hybrid = "hybrid"
    staged = "staged"

    @property
    def is_product(self) -> bool:
        """Whether it is a dot product, but for a factor."""
        return self in (Score.dot, Score.scaled_dot, Score.temperature)


# Which tokens look at which; see mla_train/nn/attention/patterns.py. (`global` is a word of Python's own.)
Pattern = Enum("Pattern", ["global", "window", "local_global", "strided", "topk"])


class HeadFusion(Enum):
    """How heads come together: side by side, or each with a gate that the input opens."""

    concat = "concat"
    weighted = "weighted"


class Select(Enum):
    """Whether the input chooses channels of the latent."""

    none = "none"
    gate = "gate"


class Norm(Enum):
    rmsnorm = "rmsnorm"
    layernorm = "layernorm"


class Activation(Enum):
    gelu = "gelu"
    swiglu = "swiglu"


class Latent(Enum):
    """What the encoder hands on: what its blocks found (plain), a sample around it, or what an array of latents says."""

    plain = "plain"
    variational = "variational"
    array = "array"


class Block(Enum):
    """What stands in a block of the encoder, in front of its feed-forward part."""

    attention = "attention"
    conv_attention = "conv_attention"


@dataclass
class AttentionConfig:
    """The attention layer. Sizes left at null follow `encoder.dim` and `encoder.num_heads`.

    Attributes:
        kind: Which attention.
        kv_lora_rank: Width of the key-value latent (mla); null is dim / 4.
        q_lora_rank: Width of the query latent (mla); null projects queries directly.
        qk_nope_head_dim: Part of a query/key head that carries no position (mla); null is head_dim / 2.
        qk_rope_head_dim: Part that is rotated by position and shared by all heads (mla); null is head_dim / 2.
        v_head_dim: Width of a value head (mla); null is head_dim.
        num_kv_heads: Key-value heads of gqa; null is num_heads / 4, at least 1.
        rope_theta: Base of the rotary frequencies.
        score: How well a query and a key go together; a list gives each head its own.
        pattern: Which tokens of the encoder look at which.
        window: Steps to each side that window and local_global reach.
        stride: Length of a row of strided; null is a picture's own, of sequences the root of the length.
        topk: Keys that topk keeps and staged selects.
        fusion: How heads come together; local_global always weighs them.
        select: Whether the input chooses channels of the latent (mla).
    """

    kind: AttentionKind = AttentionKind.mla
    kv_lora_rank: int | None = None
    q_lora_rank: int | None = None
    qk_nope_head_dim: int | None = None
    qk_rope_head_dim: int | None = None
    v_head_dim: int | None = None
    num_kv_heads: int | None = None
    rope_theta: float = 10000.0
    score: Any = "scaled_dot"
    pattern: Pattern = Pattern["global"]
    window: int = 8
    stride: int | None = None
    topk: int = 8
    fusion: HeadFusion = HeadFusion.concat
    select: Select = Select.none

    def head_scores(self, num_heads: int) -> list[Score]:
        """The score of each head.

        Raises:
            UserError: A name is not known, or there are not as many as heads.
        """
        names = self.score if isinstance(self.score, list) else [self.score] * num_heads
        for name in names:
            require(
                str(name) in Score.__members__, f"attention.score={name}: {did_you_mean(str(name), Score.__members__)}"
            )
        require(
            len(names) == num_heads,
            f"attention.score names {len(names)} heads, encoder.num_heads is {num_heads}: name one score for all heads, "
            "or one for each",
        )
        return [Score[str(name)] for name in names]

    def check(self, num_heads: int) -> None:
        """Looks for choices that do not fit each other.

        Args:
            num_heads: Of the encoder.

        Raises:
            UserError: Says which, and what would do.
        """
        scores = self.head_scores(num_heads)
        for name, least in (("window", 1), ("stride", 2), ("topk", 1)):
            value = getattr(self, name)
            require(value is None or value >= least, f"attention.{name}={value}: must be {least} or more")
        require(
            num_heads >= 2 or self.pattern.name not in ("local_global", "strided"),
            f"attention.pattern={self.pattern.name} gives half of the heads something else, and there is one: raise "
            "encoder.num_heads, or choose attention.pattern=window",
        )
        require(
            not (self.pattern.name == "topk" and Score.staged in scores),
            "attention.pattern=topk and attention.score=staged both select keys: keep one of them",
        )
        require(
            self.select is Select.none or self.kind is AttentionKind.mla,
            f"attention.select=gate opens channels of the latent, and attention={self.kind.value} has none: choose "
            "attention=mla, or attention.fusion=weighted, which opens heads",
        )


@dataclass
class EncoderConfig:
    """The stack of blocks.

    Attributes:
        dim: Width of the residual stream.
        depth: Number of blocks.
        num_heads: Attention heads a block.
        mlp_ratio: Hidden width of the feed-forward part over `dim`.
        norm: Normalisation in front of each part (pre-norm).
        activation: Feed-forward non-linearity; swiglu keeps the parameter count of gelu.
        block: attention, or conv_attention: a convolution over neighbours in front of it.
        latent: plain; variational: each token becomes a sample of its own normal distribution, whose distance from the
            standard one is a loss (regularization.kl); array: blocks run among a few learned latents that read the
            tokens, at a cost that grows with the length and not with its square.
        latents: How many, with latent=array.
        latent_dim: Width of the variational latent; null is dim.
        masked_modeling: Train the encoder to predict its own input, part of which is masked (regularization.reconstruction).
    """

    dim: int = 128
    depth: int = 4
    num_heads: int = 4
    mlp_ratio: float = 2.0
    norm: Norm = Norm.rmsnorm
    activation: Activation = Activation.gelu
    block: Block = Block.attention
    latent: Latent = Latent.plain
    latents: int = 32
    latent_dim: int | None = None
    masked_modeling: bool = False
