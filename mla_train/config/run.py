"""Options of a whole run: all others together, loggers, checkpoints and debugging."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.config.init import Freeze, InitConfig, InitPart
from mla_train.config.network import AttentionConfig, EncoderConfig, Latent, Select
from mla_train.config.trainer import check_trainer
from mla_train.config.training import (
    HEAD_LOSSES,
    HOOKED,
    HardwareConfig,
    Optimizer,
    OptimizerConfig,
    RegularizationConfig,
)
from mla_train.errors import require


class WandbMode(Enum):
    """`auto` is online where the user is logged in, offline elsewhere."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class WandbConfig:
    """The run on W&B.

    Attributes:
        project: Name of the project.
        mode: Whether the run is uploaded.
        entity: User or team; null is the user.
        name: Name of the run; null is that of the run folder.
        group: Runs that are shown together; sweeps and comparisons name their folder.
        job_type: Purpose of the run: train, sweep, compare, or a word of yours.
        tags: Tags beside task, data and kind of attention, which every run has.
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
    """Where metrics are logged; metrics.csv is always written.

    Attributes:
        csv: Always on; metrics.csv is always written.
        wandb: Weights & Biases; null is off.
        tensorboard: Whether TensorBoard event files are written into the run folder.
        every: Steps between two rows of training metrics.
    """

    csv: bool = True
    wandb: WandbConfig | None = None
    tensorboard: bool = False
    every: int = number(20, least=1)


class CheckpointChoice(Enum):
    """Epoch whose weights become the model: the best on val, the last, or the last where val is small."""

    auto = "auto"
    best = "best"
    last = "last"


@dataclass
class CheckpointConfig:
    """When checkpoints are written, and which becomes the model.

    Attributes:
        keep: Checkpoint to export as the model: `best` on val, `last`, or `auto`: last below 300 examples of val, of which the
            best is a matter of luck.
        every_minutes: Maximum minutes between saves of last.ckpt (also saved after each epoch).
    """

    keep: CheckpointChoice = CheckpointChoice.auto
    every_minutes: float = number(10.0, least=0)


class BaselineChoice(Enum):
    """Which simple models are computed beside the network: all, those that take little time, or none."""

    standard = "standard"
    quick = "quick"
    none = "none"


@dataclass
class DebugConfig:
    """Debugging modes.

    Attributes:
        overfit: Train and evaluate on this many training examples; a correct model reaches near-perfect metrics; 0 is off.
        fast: One epoch with two batches per split.
        profile: Whether a profile of the first steps is written into the run folder.
    """

    overfit: int = number(0, least=0)
    fast: bool = False
    profile: bool = False


class ResumeData(Enum):
    """Whether a run is resumed on data that has changed since it began: it is refused, or accepted."""

    refuse = "refuse"
    accept = "accept"


@dataclass
class TrainConfig:
    """A whole run. The keys are in the order in which `train.py --help` shows them.

    Attributes:
        task: Options of the task, a dataclass in the task's own config.py.
        data: Options of the data set, a dataclass in the task's own config.py.
        attention: The attention layer.
        encoder: The stack of blocks.
        hardware: Devices, precision, processes and threads.
        regularization: Regularization.
        logger: Where metrics are logged.
        debug: Debugging modes.
        optimizer: Optimizer and learning-rate schedule.
        checkpoint: When checkpoints are written, and which becomes the model.
        init: Start from the weights of another run.
        trainer: Further arguments of lightning.Trainer, such as limit_train_batches; `callbacks` takes a list of
            `{_target_: module.Class}`.
        epochs: Number of epochs.
        budget_minutes: Minutes of training, with validation, at whose end the learning-rate schedule ends, in place of epochs;
            null trains for `epochs`.
        batch_size: Number of examples of a step, over all processes.
        lr: Peak learning rate.
        seed: Seed of weights, order of the data, dropout and augmentation.
        test: Whether to evaluate the test split after training; set false while tuning.
        baselines: Simple models to compare with: `standard`, chosen on val and together never dearer than the training; `quick`,
            with usual settings; or `none`.
        run_dir: Run folder; null makes runs/TASK/DATE_TIME.
        resume: A run folder to resume, or `auto`: resume run_dir if it has a checkpoint, else start it.
        resume_data: What happens where the data has changed since the run began: `refuse`, or `accept` to go on with it.
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
    init: InitConfig = field(default_factory=InitConfig)
    trainer: dict[str, Any] = field(default_factory=dict)
    epochs: int = number(30, least=1)
    budget_minutes: float | None = number(None, above=0)
    batch_size: int = number(64, least=1)
    lr: float = number(1e-3, above=0, usual="1e-3")
    seed: int = number(0, least=0)
    test: bool = True
    baselines: BaselineChoice = BaselineChoice.standard
    run_dir: str | None = None
    resume: str | None = None
    resume_data: ResumeData = ResumeData.refuse

    def check(self) -> None:
        """Checks options that depend on those of other dataclasses; those of `task` may have a `check_run(config)` for it.

        Raises:
            UserError: Names the option and what to write instead.
        """
        check_trainer(self.trainer)
        split_seed = getattr(self.data, "split_seed", 0)
        require(split_seed >= 0, f"data.split_seed={split_seed}: must be 0 or more")
        self.attention.check_heads(self.encoder.num_heads)
        self._check_heads()
        self._check_latent()
        self._check_processes()
        self._check_init()
        require(
            self.budget_minutes is None or not self.regularization.average_epochs,
            "regularization.average_epochs counts epochs, whose number is not known with budget_minutes: remove one of them",
        )
        early = next((name for name in ("max_steps", "max_time") if self.trainer.get(name) not in (None, -1)), None)
        require(
            early is None or not self.regularization.average_epochs,
            f"regularization.average_epochs needs the last epochs, before which trainer.{early} may stop: remove one of them",
        )
        if hasattr(self.task, "check_run"):
            self.task.check_run(self)
        self._check_data_of_task()

    def _check_heads(self) -> None:
        """Refuses regularization of heads or gates that the network does not have."""
        for name in (*HEAD_LOSSES, "drop_heads"):
            value = getattr(self.regularization, name)
            require(
                self.encoder.num_heads >= 2 or not value,
                f"regularization.{name}={value} needs several heads, but encoder.num_heads=1: use 2 or more heads, or "
                f"set regularization.{name}=0",
            )
        weight = self.regularization.sparse_features
        require(
            not weight or self.attention.select is Select.gate,
            f"regularization.sparse_features={weight} needs gates; add attention.select=gate",
        )

    def _check_latent(self) -> None:
        """Refuses options of a latent that the encoder does not have."""
        e, r = self.encoder, self.regularization
        require(
            e.latent is not Latent.array or self.attention.pattern.name == "global",
            f"attention.pattern={self.attention.pattern.name} selects neighbours, which encoder.latent=array does not have; "
            "use attention.pattern=global",
        )
        require(
            e.latent is Latent.variational or not r.kl,
            f"regularization.kl={r.kl} needs a variational latent; add encoder.latent=variational",
        )
        require(
            e.masked_modeling or not r.reconstruction,
            f"regularization.reconstruction={r.reconstruction} needs hidden input to predict; add encoder.masked_modeling=true",
        )

    def _check_processes(self) -> None:
        """Refuses regularization that compiled networks, divided weights or so few epochs do not allow."""
        r = self.regularization
        hooked = [f"regularization.{name}" for name in HOOKED if getattr(r, name)]
        hooked += ["encoder.latent=variational"] * (self.encoder.latent is Latent.variational)
        hooked += ["encoder.masked_modeling"] * self.encoder.masked_modeling
        for option in ("compile", "activation_checkpointing"):
            require(
                not (getattr(self.hardware, option) and hooked),
                f"{(hooked or [''])[0]} uses forward hooks, which hardware.{option}=true does not support; set "
                f"hardware.{option}=false",
            )
        require(
            not (self.hardware.strategy == "fsdp" and (r.ema_decay or r.average_epochs)),
            "hardware.strategy=fsdp divides the weights among processes, so they cannot be averaged: set "
            "regularization.ema_decay=0" + (" regularization.average_epochs=0" if r.average_epochs else ""),
        )
        require(
            not (self.hardware.strategy == "fsdp" and self.optimizer.name is Optimizer.muon),
            "optimizer.name=muon turns whole matrices, and hardware.strategy=fsdp divides them among processes: set "
            "hardware.strategy=ddp or optimizer.name=adamw",
        )
        require(
            not (self.hardware.strategy == "fsdp" and r.orthogonal_heads),
            "regularization.orthogonal_heads compares whole weights, and hardware.strategy=fsdp divides them among processes: "
            "set hardware.strategy=ddp or regularization.orthogonal_heads=0",
        )
        require(
            not (self.hardware.strategy == "fsdp" and self.hardware.precision == "16-mixed"),
            "hardware.precision=16-mixed scales losses, which hardware.strategy=fsdp does not support: set "
            "hardware.precision=bf16-mixed",
        )
        require(
            r.average_epochs <= self.epochs,
            f"regularization.average_epochs={r.average_epochs}: must be no more than epochs={self.epochs}",
        )

    def _check_init(self) -> None:
        """Refuses a second vocabulary, and frozen weights that epochs or processes do not allow."""
        i, h = self.init, self.hardware
        require(
            getattr(self.data, "tokenizer", None) is None or not i.takes(InitPart.embedding),
            "data.tokenizer and init.from both give a vocabulary: remove data.tokenizer, or leave the embedding out with "
            "init.parts=[encoder]",
        )
        require(
            i.unfreeze_epochs < self.epochs,
            f"init.unfreeze_epochs={i.unfreeze_epochs}: must be less than epochs={self.epochs}",
        )
        require(
            not (h.strategy == "fsdp" and i.freeze is not Freeze.none),
            f"init.freeze={i.freeze.value}: hardware.strategy=fsdp trains all weights; set hardware.strategy=ddp or "
            "init.freeze=none",
        )
        require(
            not i.unfreeze_epochs or (h.strategy == "auto" and str(h.devices) == "1"),
            f"init.unfreeze_epochs={i.unfreeze_epochs} changes what is trained, and several processes agree on that once, at "
            "the start: set init.unfreeze_epochs=0, or hardware.devices=1",
        )

    def _check_data_of_task(self) -> None:
        """Refuses a data set of another task of the project."""
        task, data = (options._target_.split(".")[:2] for options in (self.task, self.data))
        require(
            task == data or not task[0] == data[0] == "tasks" or data[1] in getattr(self.task, "reads", ()),
            f"data={self.data.name} does not belong to task={self.task.name}: remove data= to get the task's own data set, "
            f"or use task={data[1]}",
        )
