"""Options of training: regularization, optimizer and hardware."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.errors import did_you_mean, require

HEAD_LOSSES = ("diverse_heads", "orthogonal_heads", "contrastive_heads")
"""Options of regularization that compare heads."""
HOOKED = (*HEAD_LOSSES, "contrastive_classes", "sparse_features", "drop_heads")
"""Options of regularization that use forward hooks."""


class Augmentation(Enum):
    """Strength of augmentation; each kind of input defines what a level means."""

    none = "none"
    light = "light"
    strong = "strong"


@dataclass
class RegularizationConfig:
    """Dropout, decay, augmentation, auxiliary losses and averaged weights.

    Attributes:
        dropout: Probability of residual dropout.
        attention_dropout: Probability of masking a key for all queries of a head (not dropout on single attention weights).
        stochastic_depth: Probability that the last block skips a residual branch; earlier blocks skip fewer.
        weight_decay: Decay of weight matrices; biases, norms and position embeddings are exempt.
        label_smoothing: Probability mass that is spread over all classes.
        augmentation: Strength of augmentation of training examples.
        r_drop: Weight of the divergence between two passes with different dropout (Liang et al. 2021), at twice the cost;
            0 is off.
        kl: Weight of the divergence of a variational latent from the standard normal distribution, in nats a token; null
            is 1e-3 with encoder.latent=variational.
        free_bits: Nats of that divergence that cost nothing, for each token and dimension.
        reconstruction: Weight of the loss of predicting hidden input; null is 1 with encoder.masked_modeling=true.
        diverse_heads: Weight of the squared cosine similarity of head outputs (Li et al. 2018); 0 is off.
        orthogonal_heads: Weight of the penalty on overlapping output subspaces of heads; 0 is off.
        contrastive_heads: Weight of a contrastive loss that tells heads apart by their outputs; 0 is off.
        contrastive_classes: Weight of the supervised contrastive loss of pooled features (Khosla et al. 2020), for
            classification; 0 is off.
        sparse_features: Weight of the mean gate activation (with attention.select=gate); 0 is off.
        drop_heads: Probability that training leaves out a head of the encoder (Zhou et al. 2020).
        warmup: Share of all steps in which the weights of the auxiliary losses rise from 0; r_drop has its full weight.
        ema_decay: Decay of the exponential moving average of weights; 0 is off.
        average_epochs: Number of last epochs whose weights are averaged, instead of ema_decay; 0 is off.
        early_stopping: Epochs without a better validation metric before training stops; 0 is off.
    """

    dropout: float = number(0.0, least=0, below=1)
    attention_dropout: float = number(0.0, least=0, below=1)
    stochastic_depth: float = number(0.0, least=0, below=1)
    weight_decay: float = number(0.0, least=0)
    label_smoothing: float = number(0.0, least=0, below=1)
    augmentation: Augmentation = Augmentation.none
    r_drop: float = number(0.0, least=0)
    kl: float | None = number(None, least=0)
    free_bits: float = number(0.0, least=0)
    reconstruction: float | None = number(None, least=0)
    diverse_heads: float = number(0.0, least=0)
    orthogonal_heads: float = number(0.0, least=0)
    contrastive_heads: float = number(0.0, least=0)
    contrastive_classes: float = number(0.0, least=0)
    sparse_features: float = number(0.0, least=0)
    drop_heads: float = number(0.0, least=0, below=1)
    warmup: float = number(0.2, least=0, below=1)
    ema_decay: float = number(0.0, least=0, below=1)
    average_epochs: int = number(0, least=0)
    early_stopping: int = number(0, least=0)

    def check(self) -> None:
        """Refuses options that exclude each other."""
        require(
            not (self.ema_decay and self.average_epochs),
            f"regularization.average_epochs={self.average_epochs} and regularization.ema_decay={self.ema_decay:g} both "
            "average weights: set one of them to 0",
        )
        require(
            not (self.average_epochs and self.early_stopping),
            "regularization.average_epochs needs the last epochs, which early stopping leaves out: set "
            "regularization.early_stopping=0",
        )


class Optimizer(Enum):
    """Update rule; muon is for matrices inside blocks, and adamw for all else (Jordan et al. 2024)."""

    adamw = "adamw"
    sgd = "sgd"
    muon = "muon"


class Schedule(Enum):
    """Decay of the learning rate after warm-up; wsd is constant, then linear (Hu et al. 2024, arXiv 2404.06395)."""

    cosine = "cosine"
    linear = "linear"
    constant = "constant"
    wsd = "wsd"


@dataclass
class OptimizerConfig:
    """Optimizer and learning-rate schedule.

    Attributes:
        name: Update rule.
        beta1: First-moment decay of adamw; momentum of sgd. That of muon is 0.95.
        beta2: Second-moment decay of adamw.
        schedule: Decay of the learning rate after warm-up, to `final_lr` times its peak.
        warmup: Share of all steps in which the learning rate rises from 0.
        decay: Share of all steps in which schedule=wsd falls.
        final_lr: Learning rate at the end divided by its peak.
        gradient_clip: Largest global gradient norm; 0 is off.
        cautious_decay: Whether a weight decays in those steps alone that make it smaller anyway (Chen et al. 2025, arXiv
            2510.12402).
        skip_nonfinite: Number of steps that may be left out because their loss or gradients are not finite numbers;
            the next one ends the run.
    """

    name: Optimizer = Optimizer.adamw
    beta1: float = number(0.9, least=0, below=1)
    beta2: float = number(0.98, least=0, below=1)
    schedule: Schedule = Schedule.cosine
    warmup: float = number(0.05, least=0, below=1)
    decay: float = number(0.2, above=0, below=1)
    final_lr: float = number(0.01, least=0, below=1)
    gradient_clip: float = number(1.0, least=0)
    cautious_decay: bool = False
    skip_nonfinite: int = number(0, least=0)


@dataclass
class HardwareConfig:
    """Devices, precision, processes and threads.

    Attributes:
        accelerator: cpu, gpu, mps or auto.
        devices: Number of devices, or auto.
        strategy: auto, ddp or fsdp.
        precision: 32-true, bf16-mixed or 16-mixed; auto is bf16-mixed on a GPU that has it, 32-true elsewhere.
        compile: Whether to use torch.compile; worthwhile for long runs on a GPU.
        activation_checkpointing: Whether the backward pass computes each block anew instead of keeping its activations: less
            memory for one more forward pass.
        accumulate_grad_batches: Number of micro-batches that make up one step of `batch_size` examples.
        workers: Number of processes that load data; 0 loads in the main process, null is 4 with a GPU and 0 without.
        threads: Number of CPU threads of torch; null leaves torch's choice.
        max_minutes: Minutes after which a run stops as if it were asked to, with all kept for resuming; null is no limit.
        deterministic: Whether to use deterministic algorithms only; an operation without one raises an error.
    """

    accelerator: str = "cpu"
    devices: Any = 1
    strategy: str = "auto"
    precision: str = "auto"
    compile: bool = False
    activation_checkpointing: bool = False
    accumulate_grad_batches: int = number(1, least=1)
    workers: int | None = number(None, least=0)
    threads: int | None = number(None, least=1)
    max_minutes: float | None = number(None, above=0)
    deterministic: bool = False

    def check(self) -> None:
        """Refuses values without a meaning."""
        require(
            str(self.devices) == "auto" or (str(self.devices).isdecimal() and int(self.devices) >= 1),
            f"hardware.devices={self.devices}: must be a number from 1, or auto",
        )
        for name, choices in {
            "strategy": ("auto", "ddp", "fsdp"),
            "accelerator": ("auto", "cpu", "gpu", "cuda", "mps"),
            "precision": ("auto", "32-true", "bf16-mixed", "16-mixed"),
        }.items():
            value = getattr(self, name)
            require(value in choices, f"hardware.{name}={value}: {did_you_mean(value, choices)}")
