"""How a network is trained: against learning by heart, by which steps, on which machine."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Augmentation(Enum):
    """How hard the training examples are varied; what each level means is the task's to say."""

    none = "none"
    light = "light"
    strong = "strong"


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
            encoder.masked_modeling=true.
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


class Optimizer(Enum):
    adamw = "adamw"
    sgd = "sgd"


class Schedule(Enum):
    """The learning rate after warm-up."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"


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
