"""From a composed config to checked dataclasses. No torch here: a wrong option is answered before torch is loaded."""

from collections.abc import Mapping
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig

from mla_train.config import registry  # noqa: F401 - Hydra has to know the dataclasses before it composes
from mla_train.config.run import TrainConfig
from mla_train.config.typed import describe, from_dict


def to_typed_config(config: DictConfig | Mapping[str, Any]) -> TrainConfig:
    """Turns a config into dataclasses and checks it.

    Args:
        config: Config as Hydra or a run's config.yaml gives it.

    Raises:
        UserError: A value has the wrong type, an option is unknown, or options do not fit each other.
    """
    result = from_dict(TrainConfig, config)
    result.check()
    return result


def explain_error(error: Exception) -> str:
    """Message of Hydra or OmegaConf as one sentence, the innermost cause first."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return describe(error)
