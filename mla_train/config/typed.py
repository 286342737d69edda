"""From plain values to the dataclasses of options. Needs omegaconf and no Hydra, so that inference can use it.

Options of `task` and `data` belong to the class or function that their `_target_` names: those of `package.name` are the
dataclass in `package.config`, or in `package` itself, whose `_target_` is `package.name`.
"""

import importlib
import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from mla_train.errors import UserError, did_you_mean

Options = TypeVar("Options")
TARGETS = ("task", "data")
"""Nodes of a run whose dataclass their `_target_` chooses."""


def from_dict(cls: type[Options], values: Mapping[str, Any] | DictConfig) -> Options:
    """Fills a dataclass of options; what is not given keeps its default. Values are not checked against each other.

    Args:
        cls: Dataclass to fill, such as `TrainConfig` or `EncoderConfig`.
        values: Options by name, nested ones as mappings.

    Raises:
        UserError: An option is unknown or its value has the wrong type.
    """
    node, options = "", cls
    try:
        merged: Any = OmegaConf.merge(OmegaConf.structured(cls), values)
        for node in TARGETS if {field.name for field in fields(cls)}.issuperset(TARGETS) else ():  # type: ignore[arg-type]
            if merged[node] is None:
                raise UserError(f"no {node} is chosen: add {node}=NAME")
            options = options_class(merged[node].get("_target_"), node)
            merged[node] = OmegaConf.merge(OmegaConf.structured(options), merged[node])
        node = ""
        result = OmegaConf.to_object(merged)
    except MissingMandatoryValue as error:
        raise UserError(f"{error.full_key} has no value: add {error.full_key}=VALUE") from None
    except OmegaConfBaseException as error:
        message = describe(error)
        unknown = re.search(r"Key '(\w+)' not in '(\w+)'", message)
        if unknown and unknown[2] == options.__name__:
            key = f"{node}.{unknown[1]}" if node else unknown[1]
            names = {field.name for field in fields(options) if not field.name.startswith("_")}  # type: ignore[arg-type]
            raise UserError(f"unknown key {key}. {did_you_mean(unknown[1], names)}") from None
        raise UserError(f"{node}.{message}" if node else message) from None
    assert isinstance(result, cls)
    return result


def options_class(target: str | None, node: str) -> Any:
    """Finds the dataclass of options that belongs to a class or function.

    Args:
        target: Import path of the class, `package.Name`.
        node: Node of the config that names it, for messages.

    Raises:
        UserError: The path cannot be imported, or there is no such dataclass.
    """
    if not isinstance(target, str) or "." not in target:
        raise UserError(f"{node}._target_ is {target}; it must name a class by its import path, as in tasks.name.Class")
    module, is_importable = target.rpartition(".")[0], False
    for candidate in (f"{module}.config", module):
        try:
            members = vars(importlib.import_module(candidate)).values()
        except ModuleNotFoundError as error:
            if error.name is None or not candidate.startswith(error.name):
                raise
            continue
        is_importable = True
        for member in members:
            if is_dataclass(member) and getattr(member, "_target_", None) == target:
                return member
    if is_importable:
        raise UserError(
            f"the options of {target} must be a dataclass with _target_: str = '{target}', in {module}.config or {module}"
        )
    raise UserError(
        f"{node}._target_ names {target}, but there is no {module} to import; it is looked for beside train.py and in the "
        "folder given with --config-dir"
    )


def default_values(target: str | None, node: str) -> dict[str, Any]:
    """Plain values of all options of a class, as the dataclass from `options_class` has them."""
    defaults = OmegaConf.to_container(OmegaConf.structured(options_class(target, node)), enum_to_str=True)
    assert isinstance(defaults, dict)
    return {str(name): value for name, value in defaults.items()}


def describe(error: Exception) -> str:
    """OmegaConf's message of several lines as one sentence that begins with the key."""
    lines = [line.strip() for line in str(error).splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type", "reference")))
    named = re.search(r"full_key: (\S+)", str(error))
    key = getattr(error, "full_key", None) or (named[1] if named else None)
    return f"{key}: {message}" if key else message


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one with dotted keys; inner nodes are kept beside their leaves."""
    flat = {}
    for key, value in config.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
    return flat
