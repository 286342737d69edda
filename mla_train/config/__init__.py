"""All that a user may choose, as dataclasses: the one place where names, types and defaults of options stand.

Nothing heavy is imported here, so that a wrong option is answered before torch is loaded. `conf/*.yaml` fills these
classes; a task's own options stand in the task's `config.py` and use the same manner.
"""

from mla_train.config.data import OnError, TextOptions, TokenizerKind, check_shares
from mla_train.config.network import (
    Activation,
    AttentionConfig,
    AttentionKind,
    Block,
    EncoderConfig,
    HeadFusion,
    Latent,
    Norm,
    Pattern,
    Score,
    Select,
)
from mla_train.config.run import CheckpointConfig, DebugConfig, Kept, LoggerConfig, TrainConfig, WandbConfig, WandbMode
from mla_train.config.training import (
    Augmentation,
    HardwareConfig,
    Optimizer,
    OptimizerConfig,
    RegularizationConfig,
    Schedule,
)

__all__ = [
    "Activation",
    "AttentionConfig",
    "AttentionKind",
    "Augmentation",
    "Block",
    "CheckpointConfig",
    "DebugConfig",
    "EncoderConfig",
    "HardwareConfig",
    "HeadFusion",
    "Kept",
    "Latent",
    "LoggerConfig",
    "Norm",
    "OnError",
    "Optimizer",
    "OptimizerConfig",
    "Pattern",
    "RegularizationConfig",
    "Schedule",
    "Score",
    "Select",
    "TextOptions",
    "TokenizerKind",
    "TrainConfig",
    "WandbConfig",
    "WandbMode",
    "check_shares",
]
