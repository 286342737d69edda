"""A trained model as files that are read without running code from them: weights, spec, config."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from mla_train.config import TrainConfig
from mla_train.config.checks import check_options
from mla_train.config.stored import check_targets, read_json, read_stored, trust
from mla_train.config.typed import from_dict
from mla_train.errors import UserError, require
from mla_train.masking import mask_values
from mla_train.model import Model, ModelSpec
from mla_train.model_files import CONFIG, SPEC, WEIGHTS, find_model, independent
from mla_train.safe_files import write_atomically
from mla_train.task import Task, build_task

MOST_KEPT = 4 << 20
"""Bytes of positions and the like, which are not stored and so grow with a number of the spec alone: 250,000 patches."""


@dataclass
class Artifact:
    """A trained model: the config that it was trained with, its task, and its network in evaluation mode."""

    config: TrainConfig
    task: Task
    model: Model


def save_model(weights: Mapping[str, Tensor], spec: ModelSpec, config: TrainConfig, folder: Path) -> None:
    """Writes model.safetensors, spec.json and config.json into a folder, which is created if it does not exist."""
    save_description(spec, config, folder)
    # Written by Python, so that the file has ordinary modes: safetensors makes one that others cannot read.
    write_atomically(folder / WEIGHTS, save({name: each.contiguous() for name, each in weights.items()}), checked=True)


def save_description(spec: ModelSpec, config: TrainConfig, folder: Path) -> None:
    """Writes spec.json and config.json into a folder, which is created if it does not exist."""
    folder.mkdir(parents=True, exist_ok=True)
    described = {**spec.to_dict(), "mla_train": package_version()}
    write_atomically(folder / SPEC, json.dumps(described, indent=2, ensure_ascii=False) + "\n", checked=True)
    values = OmegaConf.to_container(OmegaConf.structured(config), enum_to_str=True)
    content = json.dumps(mask_values(values), indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / CONFIG, content, checked=True)


def package_version() -> str:
    """Version of this package."""
    try:
        return version("mla-train")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "of a checkout"


def load_model(path: str | Path, trusted: str | Path | None = None, config: TrainConfig | None = None) -> Artifact:
    """Reads the model of a run folder, a model folder, an exported folder or a repository of the Hugging Face Hub.

    Args:
        path: Run folder, the folder `model` in it, an exported folder; or `user/model` where there is no such folder.
        trusted: Folder of a task of your own, whose code may run; else the config may name tasks of the project only.
        config: Config that the model was just trained with; None reads the stored one.

    Raises:
        UserError: There is no finished model in it, it cannot be read, or it is of another version.
    """
    if trusted is not None:
        trust(trusted)
    folder = find_model(path)
    values = {} if config is not None else read_stored(folder / CONFIG)
    check_targets(values, folder / CONFIG)
    stored: Any = None
    try:
        stored = read_json(folder / SPEC)
        weights = load_file(folder / WEIGHTS)
        if config is None:
            config = from_dict(TrainConfig, values)
            check_options(config)
        task = build_task(config)
        spec = task.load_spec(stored, folder / SPEC)
        _require_fit(task, spec, weights)
        model = task.build_model(spec)
        model.load_state_dict(weights)
    except Exception as error:  # a stranger's files raise errors of many kinds
        message = str(error) if isinstance(error, UserError | SafetensorError) else f"{type(error).__name__}, {error}"
        written = stored.get("mla_train", "of an earlier version") if isinstance(stored, dict) else package_version()
        if written != package_version():
            raise UserError(
                f"{folder} was written by mla_train {written}, this is {package_version()}: {message}"
            ) from error
        raise UserError(f"{folder} cannot be read: {message}") from error
    return Artifact(config, build_task(independent(config, folder)), model.eval())


def _require_fit(task: Task, spec: ModelSpec, weights: Mapping[str, Tensor]) -> None:
    """Raises a UserError where the network that config and spec describe has other weights; it takes no memory."""
    too_many = 2 * len(weights) + 100  # a config that says a million blocks is stopped while they are made
    count = 0

    def watch(*_: Any) -> None:
        nonlocal count
        count += 1
        require(count <= too_many, "the config describes a larger network than the weights are of")

    hook = register_module_parameter_registration_hook(watch)
    try:
        with torch.device("meta"), WithoutValues():
            network = task.build_model(spec)
    finally:
        hook.remove()
    described = network.state_dict()
    for name in sorted({*described, *weights}):
        sizes = [tuple(each[name].shape) if name in each else None for each in (described, weights)]
        require(sizes[0] == sizes[1], f"{name} is {sizes[0]} by config and spec, and {sizes[1]} in {WEIGHTS}")
    kept = sum(each.nbytes for name, each in network.named_buffers() if name not in described)
    most = max(MOST_KEPT, sum(each.nbytes for each in weights.values()))
    require(kept <= most, f"the spec describes an input so large that {kept / 1e6:,.0f} MB are kept for its positions")
    for name, weight in weights.items():  # which are read only now
        require(
            not weight.is_floating_point() or not bool(weight.isnan().any()),
            f"{name} in {WEIGHTS} has weights that are no numbers",
        )


class WithoutValues(TorchFunctionMode):
    """Makes networks whose weights are not initialized."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Leaves the functions of torch.nn.init out."""
        options = kwargs or {}
        if getattr(function, "__module__", None) == "torch.nn.init":
            return options["tensor"] if "tensor" in options else args[0]
        return function(*args, **options)
