"""Between Hydra and the dataclasses of options. No torch here: a wrong option is answered before torch is loaded.

`TrainConfig` is registered in the ConfigStore as `schema`, which gives every group its types and defaults. The
dataclasses of `task` and `data` are found through the `_target_` of a YAML, inside the project and in the folder of
--config-dir alike: their defaults come first, the YAML's own values after them. So an option is accepted on the command
line wherever its dataclass has it, and no list of tasks has to be kept.
"""

from collections.abc import Mapping
from typing import Any

from hydra._internal.core_plugins import file_config_source
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from mla_train.config.checks import check_options
from mla_train.config.run import TrainConfig
from mla_train.config.typed import TARGETS, default_values, describe, from_dict


class FileConfigSource(file_config_source.FileConfigSource):
    """Reads YAML files as Hydra does and puts the defaults of the dataclass below each `task` or `data` with `_target_`.

    Hydra leaves a source in place that has the name of its own, also in the processes of a launcher: hence the name.
    """

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads one file; a `_target_` must name something that can be imported and has options."""
        result = super().load_config(config_path)
        if not isinstance(result.config, DictConfig):
            return result
        if result.header.get("package") == "_global_":
            for node in TARGETS:
                if isinstance(result.config.get(node), DictConfig):
                    result.config[node] = with_defaults(result.config[node], node)
        elif config_path.split("/")[0] in TARGETS:  # a file without a package stands for its group's node
            result.config = with_defaults(result.config, config_path.split("/")[0])
        return result


def with_defaults(values: DictConfig, node: str) -> DictConfig:
    """Puts the values of a YAML over the defaults of the dataclass that their `_target_` names, if they have one."""
    if values.get("_target_") is None:
        return values
    merged = OmegaConf.merge(default_values(values["_target_"], node), values)
    assert isinstance(merged, DictConfig)
    return merged


def register() -> None:
    """Registers the schema, and the source in place of Hydra's own for files."""
    schema = OmegaConf.structured(TrainConfig)
    OmegaConf.set_struct(schema.trainer, False)  # Lightning has the keys, see mla_train/config/trainer.py
    ConfigStore.instance().store(name="schema", node=schema)
    SourcesRegistry.instance().types[FileConfigSource.scheme()] = FileConfigSource


def to_typed_config(config: DictConfig | Mapping[str, Any]) -> TrainConfig:
    """Turns a config into dataclasses and checks it.

    Raises:
        UserError: A value has the wrong type, an option is unknown, or options do not fit each other.
    """
    result = from_dict(TrainConfig, config)
    check_options(result)
    return result


def explain_error(error: Exception) -> str:
    """Message of Hydra or OmegaConf as one sentence, the innermost cause first."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return describe(error)


register()  # whoever composes a config imports this module
