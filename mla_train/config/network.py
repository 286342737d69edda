"""Options of the network: attention and encoder."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.errors import did_you_mean, require


class AttentionKind(Enum):
    """Kind of attention."""

    mla = "mla"
    mha = "mha"
    gqa = "gqa"
    mqa = "mqa"


class Score(Enum):
    """Score function of a query and a key; see mla_train/nn/attention/score_functions.py."""

    dot = "dot"
    scaled_dot = "scaled_dot"
    temperature = "temperature"
    additive = "additive"
    hybrid = "hybrid"
    staged = "staged"

    @property
    def is_product(self) -> bool:
        """Whether the score is a dot product up to a factor."""
        return self in (Score.dot, Score.scaled_dot, Score.temperature)


# Which tokens attend to which; see mla_train/nn/attention/patterns.py. (`global` is a keyword of Python.)
Pattern = Enum("Pattern", ["global", "window", "local_global", "strided", "topk"])


class HeadFusion(Enum):
    """How heads are combined: concatenated, or each, or each of its numbers, first multiplied by a gate that depends on the input."""

    concat = "concat"
    weighted = "weighted"
    elementwise = "elementwise"


class Select(Enum):
    """Whether a gate that depends on the input selects channels of the latent."""

    none = "none"
    gate = "gate"


class Norm(Enum):
    rmsnorm = "rmsnorm"
    layernorm = "layernorm"


class Activation(Enum):
    gelu = "gelu"
    swiglu = "swiglu"


class Latent(Enum):
    """Output of the encoder: its hidden states (plain), a sample around them, or an array of learned latents."""

    plain = "plain"
    variational = "variational"
    array = "array"


class Block(Enum):
    """What precedes the feed-forward layer in a block of the encoder."""

    attention = "attention"
    conv_attention = "conv_attention"


@dataclass
class AttentionConfig:
    """The attention layer. Sizes left at null follow `encoder.dim` and `encoder.num_heads`.

    Attributes:
        kind: Kind of attention.
        kv_lora_rank: Width of the key-value latent (mla); null is dim / 4.
        q_lora_rank: Width of the query latent (mla); null projects queries directly.
        qk_nope_head_dim: Width of a query/key head without positions (mla); null is head_dim / 2.
        qk_rope_head_dim: Width of the rotary part, which all heads share (mla); null is head_dim / 2.
        v_head_dim: Width of a value head (mla); null is head_dim.
        num_kv_heads: Number of key-value heads (gqa); null is num_heads / 4, at least 1.
        rope_theta: Base of the rotary frequencies.
        score: Score function of queries and keys; a list names one for each head.
        pattern: Which tokens attend to each other in the encoder.
        window: Steps to each side reached by pattern=window and local_global.
        stride: Stride of pattern=strided; null is the width of an image, or the square root of a sequence's length.
        topk: Number of keys kept by pattern=topk and selected by score=staged.
        fusion: How heads are combined; local_global uses weighted instead of concat.
        qk_norm: Whether queries and keys are normed in each head (mha, gqa, mqa), after Dehghani et al. 2023 (arXiv 2302.05442).
        select: Whether a gate selects channels of the latent (mla).
    """

    kind: AttentionKind = AttentionKind.mla
    kv_lora_rank: int | None = number(None, least=1)
    q_lora_rank: int | None = number(None, least=1)
    qk_nope_head_dim: int | None = number(None, least=0)
    qk_rope_head_dim: int | None = number(None, least=0)
    v_head_dim: int | None = number(None, least=1)
    num_kv_heads: int | None = number(None, least=1)
    rope_theta: float = number(10000.0, above=0, usual="10000")
    score: Any = "scaled_dot"
    pattern: Pattern = Pattern["global"]
    window: int = number(8, least=1)
    stride: int | None = number(None, least=2)
    topk: int = number(8, least=1)
    fusion: HeadFusion = HeadFusion.concat
    qk_norm: bool = False
    select: Select = Select.none

    def head_scores(self, num_heads: int) -> list[Score]:
        """Score function of each head.

        Args:
            num_heads: Number of heads.

        Raises:
            UserError: A name is unknown, or the number of names is not the number of heads.
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

    def check(self) -> None:
        """Refuses options that exclude each other."""
        scores = self.score if isinstance(self.score, list) else [self.score]
        require(
            not (self.pattern.name == "topk" and "staged" in map(str, scores)),
            "attention.pattern=topk and attention.score=staged both select keys: use only one of them",
        )
        require(
            self.select is Select.none or self.kind is AttentionKind.mla,
            "attention.select=gate needs a latent; use attention=mla, or attention.fusion=weighted, which gates heads",
        )

        require(
            not (self.qk_norm and self.kind is AttentionKind.mla),
            "attention.qk_norm=true is for attention=mha, gqa or mqa: mla norms the latent that keys are made of",
        )

    def check_heads(self, num_heads: int) -> None:
        """Refuses options that do not fit the number of heads of the encoder."""
        self.head_scores(num_heads)
        require(
            num_heads >= 2 or self.pattern.name not in ("local_global", "strided"),
            f"attention.pattern={self.pattern.name} divides the heads into two groups, but encoder.num_heads=1: use 2 or "
            "more heads, or attention.pattern=window",
        )


@dataclass
class EncoderConfig:
    """The stack of blocks.

    Attributes:
        dim: Width of the residual stream.
        depth: Number of blocks.
        num_heads: Number of attention heads of a block.
        mlp_ratio: Hidden width of the feed-forward layer divided by `dim`.
        norm: Normalisation in front of each layer (pre-norm).
        activation: Feed-forward non-linearity; swiglu keeps the parameter count of gelu.
        block: attention, or conv_attention: a convolution over neighbouring tokens in front of it.
        latent: plain; variational: each token is a sample of its own normal distribution, whose divergence from the
            standard normal distribution is a loss (regularization.kl); array: the blocks run on a few learned latents that
            attend to the tokens, at a cost linear in the length.
        latents: Number of learned latents, with latent=array.
        latent_dim: Width of the variational latent; null is dim.
        registers: Number of learned tokens that the blocks read in front of those of the input, and that nothing reads behind
            them (Darcet et al. 2023, arXiv 2309.16588).
        residual_scalars: Whether each branch of a block is multiplied by a learned number, which begins at 1, before it is
            added (a ReZero that starts as it would without, Bachlechner et al. 2020, arXiv 2003.04887).
        masked_modeling: Whether the encoder also learns to predict hidden parts of its input (regularization.reconstruction).
    """

    dim: int = number(128, least=1)
    depth: int = number(4, least=1, below=10_000)
    num_heads: int = number(4, least=1)
    mlp_ratio: float = 2.0
    norm: Norm = Norm.rmsnorm
    activation: Activation = Activation.gelu
    block: Block = Block.attention
    latent: Latent = Latent.plain
    latents: int = number(32, least=1)
    latent_dim: int | None = number(None, least=1)
    registers: int = number(0, least=0)
    residual_scalars: bool = False
    masked_modeling: bool = False

    def check(self) -> None:
        """Refuses options that exclude each other."""
        require(
            self.mlp_ratio * self.dim >= 1, f"encoder.mlp_ratio={self.mlp_ratio}: must be positive, 2 to 4 is usual"
        )
        require(
            self.dim % self.num_heads == 0,
            f"encoder.dim={self.dim} must be a multiple of encoder.num_heads={self.num_heads}",
        )
        require(
            self.latent is Latent.variational or self.latent_dim is None,
            f"encoder.latent_dim={self.latent_dim} is the width of a variational latent: add encoder.latent=variational",
        )
        require(
            not (self.block is Block.conv_attention and self.latent is Latent.array),
            "encoder.block=conv_attention convolves over neighbours, which encoder.latent=array does not have; use "
            "encoder.block=attention",
        )
        require(
            not (self.registers and self.latent is Latent.array),
            f"encoder.registers={self.registers}: the learned latents of encoder.latent=array are read by nothing else "
            "already; use encoder.registers=0",
        )
