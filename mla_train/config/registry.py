"""Makes the dataclasses of options known to Hydra, so that a YAML says only what differs from them.

`TrainConfig` is registered in the ConfigStore as `schema`, which gives every group its types and defaults. The
dataclasses of `task` and `data` are found through the `_target_` of a YAML, inside the project and in the folder of
--config-dir alike: their defaults come first, the YAML's own values after them. So an option is accepted on the command
line wherever its dataclass has it, and no list of tasks has to be kept.

Whoever composes a config imports this module.
"""

from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult
from omegaconf import DictConfig, OmegaConf

from mla_train.config.run import TrainConfig
from mla_train.config.typed import TARGETS, default_values


class OptionsSource(FileConfigSource):
    """Reads YAML files as Hydra does and puts the defaults of the dataclass below each `task` or `data` with `_target_`."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Reads one file.

        Raises:
            UserError: A `_target_` names nothing that can be imported, or a class without options.
        """
        result = super().load_config(config_path)
        if not isinstance(result.config, DictConfig):
            return result
        for node in TARGETS:
            # Most files are written for the root of the config, others (the default) for their group's node.
            at_root = result.header.get("package") == "_global_"
            values = result.config.get(node) if at_root else result.config
            if (not at_root and config_path.split("/")[0] != node) or not isinstance(values, DictConfig):
                continue
            if values.get("_target_") is not None:
                whole = OmegaConf.merge(default_values(values["_target_"], node), values)
                if at_root:
                    result.config[node] = whole
                else:
                    result.config = whole
        return result


def register() -> None:
    """Registers the schema, and the source in place of Hydra's own for files."""
    schema = OmegaConf.structured(TrainConfig)
    OmegaConf.set_struct(schema.trainer, False)  # Lightning has the keys, see mla_train/config/trainer.py
    ConfigStore.instance().store(name="schema", node=schema)
    Plugins.instance()  # registers Hydra's own sources
    SourcesRegistry.instance().types[OptionsSource.scheme()] = OptionsSource


register()
