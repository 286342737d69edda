"""From a command line to a typed config. No torch here: a wrong option is answered before torch is loaded.

Options of `task` and `data` are checked against the dataclass that stands beside their class: the options of
`package.Name` are `package.config.NameConfig` (or `NameConfig` in the module itself, if it has no `config` beside it).
"""

import importlib
import importlib.util
import re
from dataclasses import dataclass, field, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mla_train.config import Block, Latent, Select, TrainConfig
from mla_train.errors import UserError, did_you_mean, require

ConfigStore.instance().store(name="schema", node=TrainConfig)
OF_HEADS = ("diverse_heads", "orthogonal_heads", "contrastive_heads")
"""Terms of regularization that compare heads."""
LAUNCHERS = {"slurm": "hydra_plugins.hydra_submitit_launcher", "ray": "hydra_plugins.hydra_ray_launcher"}
"""Choices of hydra/launcher and what they need, each an extra of the same name."""


@dataclass
class Choices:
    """The folders of choices: conf/ and what --config-dir adds.

    Attributes:
        folders: Where choices are looked for.
        groups: Name of a group to the names of its choices.
    """

    folders: list[Path]
    groups: dict[str, set[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.groups = {}
        for folder in self.folders:
            for group in (path for path in folder.iterdir() if path.is_dir() and path.name != "hydra"):
                names = {file.relative_to(group).with_suffix("").as_posix() for file in group.rglob("*.yaml")}
                if names:
                    self.groups.setdefault(group.name, set()).update(names)


def check_overrides(overrides: list[str], choices: Choices, keys: set[str]) -> None:
    """Looks for misspelled keys and choices.

    Args:
        overrides: Words of the command line such as `encoder=tiny`.
        choices: What there is to choose from.
        keys: All keys of the composed config, nested ones with dots.

    Raises:
        UserError: Names the word and the nearest right one.
    """
    for override in parse_overrides(overrides):
        key = override.key_or_group
        if key == "hydra/launcher":
            plugin = LAUNCHERS.get(str(override.value()))
            require(
                plugin is None or importlib.util.find_spec(plugin) is not None,
                f"{override.input_line} needs a package that is not here: pip install 'mla-train[{override.value()}]'",
            )
        if override.is_delete() or override.is_add() or key.startswith(("hydra.", "hydra/")):
            continue
        require(key != "sweep", "sweep= belongs to another command: python scripts/sweep.py sweep=default")
        if key in choices.groups:
            for name in _chosen_names(override):
                if name not in choices.groups[key]:
                    raise UserError(
                        f"{key}={name}: there is no such {key}. {did_you_mean(name, choices.groups[key])}"
                        + (f" All: {', '.join(sorted(choices.groups[key]))}." if len(choices.groups[key]) > 1 else "")
                    )
        elif key not in keys:
            raise UserError(f"unknown key {key}. {_nearest_key(key, keys | choices.groups.keys())}")


def parse_overrides(overrides: list[str]) -> list[Override]:
    """Reads `key=value` words by Hydra's grammar.

    Raises:
        UserError: A word does not follow it.
    """
    parser = OverridesParser.create()
    parsed = []
    for word in overrides:
        try:
            parsed.append(parser.parse_override(word))
        except HydraException:
            hint = "options are written key=value, such as epochs=10; quote values with spaces: 'key=\"a b\"'"
            raise UserError(f"cannot read '{word}': {hint}") from None
    return parsed


def _chosen_names(override: Override) -> list[str]:
    """Choices of a group that a word names: one, a list, or a sweep over either."""
    values = override.value()
    if isinstance(values, ChoiceSweep):
        values = values.list
    values = values if isinstance(values, list) else [values]
    flat = [item for value in values for item in (value if isinstance(value, list) else [value])]
    return [str(item) for item in flat if item is not None]


def _nearest_key(key: str, keys: set[str]) -> str:
    """The hint for a key that is not there: the same name elsewhere, a similar one beside it, a similar one anywhere."""
    parents = {known.rpartition(".")[0] for known in keys}
    leaves = keys - parents  # single values, not groups of them
    parent, _, leaf = key.rpartition(".")
    elsewhere = sorted(known for known in leaves if known.rpartition(".")[2] == leaf)
    if elsewhere:
        return f"Did you mean {' or '.join(elsewhere[:3])}?"
    beside = {known.rpartition(".")[2] for known in leaves if known.rpartition(".")[0] == parent}
    if parent in parents and parent:
        return did_you_mean(leaf, {name for name in beside if not name.startswith("_")})
    close_groups = get_close_matches(key, parents - {""}, n=1, cutoff=0.75)
    if close_groups:
        return f"Did you mean {close_groups[0]}?"
    return did_you_mean(key, leaves if get_close_matches(key, leaves) else beside | parents - {""})


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings to one of dotted keys; inner nodes are kept beside their leaves."""
    flat = {}
    for key, value in config.items():
        flat[f"{prefix}{key}"] = value
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
    return flat


def explain(error: Exception) -> str:
    """Hydra's and OmegaConf's messages as one sentence, the innermost cause first."""
    while isinstance(error, HydraException) and isinstance(error.__cause__, Exception):
        error = error.__cause__
    key = getattr(error, "full_key", None)
    lines = [line.strip() for line in str(error).splitlines()]
    message = " ".join(line for line in lines if line and not line.startswith(("full_key", "object_type", "reference")))
    named = re.search(r"full_key: (\S+)", str(error))
    key = key or (named.group(1) if named else None)
    return f"{key}: {message}" if key else message


def typed(config: DictConfig) -> TrainConfig:
    """Checks a composed config and turns it into dataclasses.

    Args:
        config: As Hydra or a run's config.yaml gives it.

    Raises:
        UserError: A value has the wrong type, an option is unknown, or choices do not fit each other.
    """
    part = ""
    try:
        whole: Any = OmegaConf.merge(OmegaConf.structured(TrainConfig), config)
        for part in ("task", "data"):
            if whole[part] is None:
                raise UserError(f"no {part} is chosen: say {part}=NAME")
            schema = options_class(whole[part].get("_target_"), part)
            whole[part] = OmegaConf.merge(OmegaConf.structured(schema), whole[part])
        part = ""
        result = OmegaConf.to_object(whole)
    except OmegaConfBaseException as error:
        message = explain(error)
        match = re.search(r"Key '(\w+)' not in '(\w+)'", message)
        if match and part:
            names = {key for key in schema.__dataclass_fields__ if not key.startswith("_")}
            raise UserError(f"unknown key {part}.{match.group(1)}. {did_you_mean(match.group(1), names)}") from None
        raise UserError(f"{part}.{message}" if part else message) from None
    assert isinstance(result, TrainConfig)
    check(result)
    return result


def options_class(target: str | None, part: str) -> Any:
    """The dataclass of options that belongs to a class.

    Args:
        target: Import path of the class, `package.Name`.
        part: Whose it is, for messages.

    Raises:
        UserError: The path names nothing that can be imported, or there is no such dataclass.
    """
    if not target or "." not in target:
        raise UserError(f"{part}._target_ is {target}; it must name a class by its import path, as in tasks.name.Class")
    module, _, name = target.rpartition(".")
    for candidate in (f"{module}.config", module):
        try:
            found = getattr(importlib.import_module(candidate), f"{name}Config", None)
        except ModuleNotFoundError as error:
            if error.name is None or not candidate.startswith(error.name):
                raise
            continue
        if is_dataclass(found):
            return found
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    if there:
        raise UserError(
            f"the options of {target} must stand in a dataclass {name}Config, in {module}.config or {module}"
        )
    raise UserError(
        f"{part}._target_ names {target}, but there is no {module} to import; it is looked for beside train.py and in the "
        "folder given with --config-dir"
    )


def check(config: TrainConfig) -> None:
    """Looks for values that have the right type and still cannot be meant; task and data may have a `check()` too.

    Raises:
        UserError: Says which, and what would do.
    """

    def at_least(least: float, *keys: str) -> None:
        for key in keys:
            value = OmegaConf.select(everything, key)
            require(value is None or value >= least, f"{key}={value}: must be {least:g} or more")

    def between(low: float, high: float, *keys: str) -> None:
        for key in keys:
            value = OmegaConf.select(everything, key)
            require(low <= value < high, f"{key}={value}: must lie in {low:g} to below {high:g}")

    everything = OmegaConf.structured(config)
    r, h, e = config.regularization, config.hardware, config.encoder
    at_least(1, "epochs", "batch_size", "encoder.dim", "encoder.depth", "encoder.num_heads", "hardware.accumulate")
    at_least(1, "hardware.threads", "logger.every", "attention.kv_lora_rank", "attention.q_lora_rank")
    at_least(1, "attention.v_head_dim", "attention.num_kv_heads", "encoder.latents", "encoder.latent_dim")
    at_least(
        0, "seed", "data.split_seed", "hardware.workers", "regularization.weight_decay", "regularization.early_stopping"
    )
    at_least(
        0,
        "regularization.r_drop",
        "regularization.average_epochs",
        "optimizer.gradient_clip",
        "checkpoint.minutes",
        "debug.overfit",
    )
    at_least(0, "attention.qk_nope_head_dim", "attention.qk_rope_head_dim")
    between(0, 1, "regularization.dropout", "regularization.attention_dropout", "regularization.stochastic_depth")
    between(0, 1, "regularization.label_smoothing", "regularization.ema_decay", "optimizer.warmup")
    between(0, 1, "regularization.warmup", "regularization.drop_heads")
    at_least(0, "regularization.kl", "regularization.free_bits", "regularization.reconstruction")
    at_least(0, *(f"regularization.{name}" for name in (*OF_HEADS, "contrastive_classes", "sparse_features")))
    between(0, 1, "optimizer.beta1", "optimizer.beta2", "optimizer.final_lr")
    require(config.lr > 0, f"lr={config.lr}: must be positive, 1e-3 is usual")
    require(e.mlp_ratio * e.dim >= 1, f"encoder.mlp_ratio={e.mlp_ratio}: must be positive, 2 to 4 is usual")
    require(config.attention.rope_theta > 0, f"attention.rope_theta={config.attention.rope_theta}: must be positive")
    require(
        str(h.devices) == "auto" or (str(h.devices).isdecimal() and int(h.devices) >= 1),
        f"hardware.devices={h.devices}: must be a number from 1, or auto",
    )
    require(e.dim % e.num_heads == 0, f"encoder.dim={e.dim} must be a multiple of encoder.num_heads={e.num_heads}")
    for name in (*OF_HEADS, "drop_heads"):
        require(
            e.num_heads >= 2 or not getattr(r, name),
            f"regularization.{name}={getattr(r, name)} is about heads beside each other, and there is one: raise "
            f"encoder.num_heads, or set regularization.{name}=0",
        )
    require(
        not r.sparse_features or config.attention.select is Select.gate,
        f"regularization.sparse_features={r.sparse_features} closes gates, and there are none: add attention.select=gate",
    )
    watching = [
        name for name in (*OF_HEADS, "contrastive_classes", "sparse_features", "drop_heads") if getattr(r, name)
    ]
    watching += ["kl"] * (e.latent is Latent.variational) + ["reconstruction"] * e.masked_modeling
    require(
        not (h.compile and watching),
        f"hardware.compile=true builds a network that cannot be watched, as {(watching or [''])[0]} does: choose "
        "hardware.compile=false",
    )
    require(
        e.latent is not Latent.array or config.attention.pattern.name == "global",
        f"encoder.latent=array: latents have no neighbours, which attention.pattern={config.attention.pattern.name} asks "
        "for; choose attention.pattern=global",
    )
    variational = e.latent is Latent.variational
    require(
        variational or not r.kl,
        f"regularization.kl={r.kl}: encoder.latent={e.latent.value} is no distribution; add encoder.latent=variational",
    )
    require(
        variational or e.latent_dim is None,
        f"encoder.latent_dim={e.latent_dim} is the width of a variational latent: add encoder.latent=variational",
    )
    require(
        e.masked_modeling or not r.reconstruction,
        f"regularization.reconstruction={r.reconstruction}: nothing is reconstructed; add encoder.masked_modeling=true",
    )
    require(
        not (e.block is Block.conv_attention and e.latent is Latent.array),
        "encoder.latent=array: the latents have no neighbours to convolve with; choose encoder.block=attention",
    )
    require(
        not (h.strategy == "fsdp" and (r.ema_decay or r.average_epochs)),
        "hardware=fsdp divides the weights among processes, so they cannot be averaged: add regularization.ema_decay=0"
        + (" regularization.average_epochs=0" if r.average_epochs else ""),
    )
    require(
        not (r.ema_decay and r.average_epochs),
        f"regularization.average_epochs={r.average_epochs} and ema_decay={r.ema_decay:g} are two ways to average "
        "weights: set one of them to 0",
    )
    require(
        r.average_epochs <= config.epochs,
        f"regularization.average_epochs={r.average_epochs}: there are only epochs={config.epochs}",
    )
    require(
        not (r.average_epochs and r.early_stopping),
        "regularization.average_epochs averages the last epochs, so that stopping early would leave none: "
        "add regularization.early_stopping=0",
    )
    require(
        h.strategy in ("auto", "ddp", "fsdp"),
        f"hardware.strategy={h.strategy}: {did_you_mean(h.strategy, ['auto', 'ddp', 'fsdp'])}",
    )
    accelerators = ["auto", "cpu", "gpu", "cuda", "mps"]
    require(
        h.accelerator in accelerators,
        f"hardware.accelerator={h.accelerator}: {did_you_mean(h.accelerator, accelerators)}",
    )
    precisions = ["auto", "32-true", "bf16-mixed", "16-mixed"]
    require(h.precision in precisions, f"hardware.precision={h.precision}: {did_you_mean(h.precision, precisions)}")
    config.attention.check(e.num_heads)
    for part in (config.task, config.data):
        if hasattr(part, "check"):
            part.check()
    if hasattr(config.task, "check_run"):
        config.task.check_run(config)
    task, data = (part._target_.split(".")[:2] for part in (config.task, config.data))
    require(
        task == data or not task[0] == data[0] == "tasks",
        f"data={config.data.name} does not belong to task={config.task.name}: leave data= away to get the task's own set, "
        f"or say task={data[1]}",
    )
