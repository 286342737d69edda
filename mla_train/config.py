"""All that a user may choose, as dataclasses: the one place where names, types and defaults of options stand.

Nothing heavy is imported here, so that a wrong option is answered before torch is loaded. `conf/*.yaml` fills these
classes; a task's own options stand in the task's `config.py` and use the same manner.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.errors import did_you_mean, require


class Kind(Enum):
    """The attention of a block."""

    mla = "mla"
    mha = "mha"
    gqa = "gqa"
    mqa = "mqa"


class Score(Enum):
    """How well a query and a key go together; see mla_train/nn/scores.py."""

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


# Which tokens look at which; see mla_train/nn/patterns.py. (`global` is a word of Python's own.)
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


class Augmentation(Enum):
    """How hard the training examples are varied; what each level means is the task's to say."""

    none = "none"
    light = "light"
    strong = "strong"


class OnError(Enum):
    """What to do with an example that cannot be read."""

    stop = "stop"
    skip = "skip"


class TokenizerKind(Enum):
    """What a token is: pieces of words down to bytes (bpe), whole words, or single characters."""

    bpe = "bpe"
    word = "word"
    char = "char"


def check_shares(val_share: float, test_share: float) -> None:
    """Looks for shares of train that cannot be cut off for val and test."""
    require(0 < val_share < 1, f"data.val_share={val_share}: must lie between 0 and 1")
    require(0 < test_share < 1, f"data.test_share={test_share}: must lie between 0 and 1")


@dataclass
class TextOptions:
    """How texts are read.

    Attributes:
        tokens: What a token is.
        vocab_size: Most tokens; learnt on the training split.
        min_frequency: How often a token must occur.
        lowercase: Fold upper case.
        terms: Most terms of each kind (words and pairs of words; pieces of words); 0 is none.
        max_length: Longest text in tokens; the rest is cut off, and counted.
    """

    tokens: TokenizerKind = TokenizerKind.word
    vocab_size: int = 30000
    min_frequency: int = 2
    lowercase: bool = True
    terms: int = 100000
    max_length: int = 512

    def check(self) -> None:
        """Looks for values that cannot be meant."""
        require(self.vocab_size >= 2, f"data.vocab_size={self.vocab_size}: must be 2 or more, 10000 is usual")
        require(self.min_frequency >= 1, f"data.min_frequency={self.min_frequency}: must be 1 or more")
        require(self.terms >= 0, f"data.terms={self.terms}: must be 0 (none) or more")
        require(self.max_length >= 1, f"data.max_length={self.max_length}: must be 1 or more")


class Optimizer(Enum):
    adamw = "adamw"
    sgd = "sgd"


class Schedule(Enum):
    """The learning rate after warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


class WandbMode(Enum):
    """`auto` is online where the user is logged in, offline elsewhere."""

    auto = "auto"
    online = "online"
    offline = "offline"


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

    kind: Kind = Kind.mla
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
            self.select is Select.none or self.kind is Kind.mla,
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
        reconstruct: Train the encoder to tell its own input, some of which is hidden (regularization.reconstruction).
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
    reconstruct: bool = False


@dataclass
class RegularizationConfig:
    """What keeps the model from learning the training set by heart.

    Attributes:
        dropout: Residual dropout.
        attention_dropout: Share of keys hidden from all queries of a head.
        stochastic_depth: Share of residual branches skipped in the last block; earlier blocks skip less.
        weight_decay: Decay of matrices; biases, norms and embeddings of position are spared.
        label_smoothing: Probability mass spread over all classes.
        augmentation: Variation of training examples.
        r_drop: Weight of the divergence between two passes with other dropout (Liang et al. 2021); twice the
            cost. 0 is off.
        kl: Weight of the distance between a variational latent and the standard normal distribution, in nats a token;
            null is 1e-3 with encoder.latent=variational.
        free_bits: Nats of that distance that are free, for each token and dimension.
        reconstruction: Weight of the error with which the encoder tells its input; null is 1 with
            encoder.reconstruct=true.
        diverse_heads: Weight of the squared cosine between outputs of heads (Li et al. 2018); 0 is off, as for all below.
        orthogonal_heads: Weight of the overlap of the spaces that heads write into.
        contrastive_heads: Weight of telling heads apart by what they say.
        contrastive_classes: Weight of the supervised contrast of pooled features (Khosla et al. 2020), in tasks with
            classes.
        sparse_features: Weight of how far open the gates of attention.select=gate are.
        drop_heads: Probability of leaving out a head of the encoder in training (Zhou et al. 2020).
        warmup: Share of all steps in which the weights of all these terms rise from 0; that of r_drop does not.
        ema_decay: Decay of the exponential moving average of weights; 0 is off.
        average_epochs: Instead of ema_decay, equal average of the weights at the end of this many last epochs; 0 is off.
        early_stopping: Epochs without a better validation score before stopping; 0 is off.
    """

    dropout: float = 0.0
    attention_dropout: float = 0.0
    stochastic_depth: float = 0.0
    weight_decay: float = 0.0
    label_smoothing: float = 0.0
    augmentation: Augmentation = Augmentation.none
    r_drop: float = 0.0
    kl: float | None = None
    free_bits: float = 0.0
    reconstruction: float | None = None
    diverse_heads: float = 0.0
    orthogonal_heads: float = 0.0
    contrastive_heads: float = 0.0
    contrastive_classes: float = 0.0
    sparse_features: float = 0.0
    drop_heads: float = 0.0
    warmup: float = 0.2
    ema_decay: float = 0.0
    average_epochs: int = 0
    early_stopping: int = 0


@dataclass
class OptimizerConfig:
    """How weights follow gradients.

    Attributes:
        name: Update rule.
        beta1: First-moment decay of adamw; momentum of sgd.
        beta2: Second-moment decay of adamw.
        schedule: Learning rate after warm-up, down to `final_lr` times its peak.
        warmup: Share of all steps in which the rate rises from zero.
        final_lr: Rate at the end over the peak rate.
        gradient_clip: Largest global gradient norm; 0 is off.
    """

    name: Optimizer = Optimizer.adamw
    beta1: float = 0.9
    beta2: float = 0.98
    schedule: Schedule = Schedule.cosine
    warmup: float = 0.05
    final_lr: float = 0.01
    gradient_clip: float = 1.0


@dataclass
class HardwareConfig:
    """Where and how the arithmetic is done: how fast, and with which rounding and which dropped numbers.

    Attributes:
        accelerator: cpu, gpu, mps or auto.
        devices: Number of devices, or auto.
        strategy: auto, ddp or fsdp.
        precision: 32-true, bf16-mixed or 16-mixed; auto is bf16-mixed on a GPU that has it, 32-true elsewhere.
        compile: Compile the network; pays on a GPU in long runs.
        accumulate: Micro-batches that make up one step of `batch_size` examples.
        workers: Processes that load data, 0 loads in the main process; null is 4 beside a GPU, else 0.
        threads: CPU threads of torch; null leaves torch's choice.
        deterministic: Refuse operations whose result varies from run to run.
    """

    accelerator: str = "cpu"
    devices: Any = 1
    strategy: str = "auto"
    precision: str = "auto"
    compile: bool = False
    accumulate: int = 1
    workers: int | None = None
    threads: int | None = None
    deterministic: bool = False


@dataclass
class WandbConfig:
    """The run on W&B.

    Attributes:
        project: Where it stands.
        mode: Whether it is sent.
        entity: User or team; null is the user.
        name: null is that of the run folder.
        group: Runs that are shown together; sweeps and comparisons name their folder.
        job_type: What it is for: train, sweep, compare, or a word of yours.
        tags: Beside task, data and kind of attention, which every run has.
    """

    project: str = "mla-train"
    mode: WandbMode = WandbMode.auto
    entity: str | None = None
    name: str | None = None
    group: str | None = None
    job_type: str = "train"
    tags: list[str] = field(default_factory=list)


@dataclass
class LoggerConfig:
    """Who else is told the metrics; metrics.csv is always written.

    Attributes:
        csv: Here so that `logger=csv` has a name; it cannot be switched off.
        wandb: Weights & Biases, null is off.
        tensorboard: TensorBoard event files in the run folder.
        every: Steps between two rows of training metrics.
    """

    csv: bool = True
    wandb: WandbConfig | None = None
    tensorboard: bool = False
    every: int = 20


@dataclass
class CheckpointConfig:
    """When the run is written down.

    Attributes:
        minutes: Longest time between two writings of last.ckpt; each epoch's end writes it too.
    """

    minutes: float = 10.0


@dataclass
class DebugConfig:
    """Ways to look for faults.

    Attributes:
        overfit: Train and evaluate on this many training examples; a sound model learns them by heart. 0 is off.
        fast: Stop each part after two batches, one epoch: does everything run?
        profile: Write a profile of the first steps into the run folder.
    """

    overfit: int = 0
    fast: bool = False
    profile: bool = False


@dataclass
class TrainConfig:
    """A whole run. The keys are in the order in which `train.py --help` shows them.

    Attributes:
        test: Look at the test split when all is trained; without it val is all that is known of a model, which is how
            settings are chosen.
    """

    task: Any = None
    data: Any = None
    attention: AttentionConfig = field(default_factory=AttentionConfig)
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    hardware: HardwareConfig = field(default_factory=HardwareConfig)
    regularization: RegularizationConfig = field(default_factory=RegularizationConfig)
    logger: LoggerConfig = field(default_factory=LoggerConfig)
    debug: DebugConfig = field(default_factory=DebugConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    epochs: int = 30
    batch_size: int = 64
    lr: float = 1e-3
    seed: int = 0
    test: bool = True
    run_dir: str | None = None
    resume: str | None = None
