"""A whole run: all options together, who is told of it, when it is kept."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.network import AttentionConfig, EncoderConfig
from mla_train.config.training import HardwareConfig, OptimizerConfig, RegularizationConfig


class WandbMode(Enum):
    """`auto` is online where the user is logged in, offline elsewhere."""

    auto = "auto"
    online = "online"
    offline = "offline"


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


class Kept(Enum):
    """Which epoch's weights become the model: those that are best on val, or the last."""

    best = "best"
    last = "last"


@dataclass
class CheckpointConfig:
    """When the run is written down, and what of it is kept.

    Attributes:
        keep: `best` guards against learning by heart. `last` does not choose: where val is small and weights are
            averaged, the luckiest epoch on val is often not the best on test.
        minutes: Longest time between two writings of last.ckpt; each epoch's end writes it too.
    """

    keep: Kept = Kept.best
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
