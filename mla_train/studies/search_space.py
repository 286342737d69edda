"""Options of a sweep and its search space. No torch here."""

from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from yaml import YAMLError

from mla_train.config.checks import check_options, number
from mla_train.config.compose import explain_error
from mla_train.config.typed import flatten
from mla_train.errors import UserError, did_you_mean, require


class Sampler(Enum):
    """How settings are chosen: tpe (Bergstra et al. 2011), at random, all of a grid, or by a Gaussian process."""

    tpe = "tpe"
    random = "random"
    grid = "grid"
    gp = "gp"


class Pruner(Enum):
    """How trials are stopped early: successive halving (Jamieson and Talwalkar 2016), the median of earlier trials, or not."""

    halving = "halving"
    median = "median"
    none = "none"


Choice = CategoricalDistribution | IntDistribution | FloatDistribution
"""What is searched for a key: values as on the command line, or a range with its ends."""


@dataclass
class SweepOptions:
    """Options of a sweep; all other options are those of train.py.

    Attributes:
        sampler: How settings are chosen.
        pruner: How trials are stopped early.
        trials: Number of trials, including pruned and failed ones.
        hours: Number of hours after which no trial starts; null is no limit.
        n_jobs: Number of trials at a time; the CPU threads are divided among them.
        storage: Database URL of Optuna's storage; null is a SQLite file in the sweep's folder.
        objective: Metric of val/ to optimize; null is the one that chooses the checkpoint.
        retrain: Number of best trials that are trained again with three seeds at the end.
    """

    sampler: Sampler = Sampler.tpe
    pruner: Pruner = Pruner.median
    trials: int = number(30, least=1)
    hours: float | None = number(None, above=0)
    n_jobs: int = number(1, least=1)
    storage: str | None = None
    objective: str | None = None
    retrain: int = number(0, least=0)


OWN_KEYS = [option.name for option in fields(SweepOptions)]
"""Keys of the command line that are options of the sweep."""


def read_options(file: Path, task: str, overrides: list[str]) -> tuple[SweepOptions, dict[str, Choice]]:
    """Options of a sweep, from its file and the command line, and its search space.

    Args:
        file: File of conf/sweep.
        task: Name of the task, for additions to the space under `tasks`.
        overrides: Overrides of the command line with keys of `OWN_KEYS`.

    Raises:
        UserError: The file or a value is wrong.
    """
    try:
        stored: Any = OmegaConf.to_container(OmegaConf.load(file))
        require(isinstance(stored, dict), f"{file}: write keys such as trials and space")
        parts = [stored.pop("space", None) or {}, stored.pop("tasks", None) or {}]
        for part in parts:
            require(
                isinstance(part, dict),
                f"{file}: space and tasks must be mappings from keys to values to search, not {part!r}",
            )
        added = parts[1].get(task) or {}
        require(
            isinstance(added, dict),
            f"{file}: tasks.{task} must be a mapping from keys to values to search, not {added!r}",
        )
        for name in stored:
            known = [*OWN_KEYS, "space", "tasks"]
            require(name in OWN_KEYS, f"{file}: unknown key {name}. {did_you_mean(name, known)}")
        merged = OmegaConf.merge(OmegaConf.structured(SweepOptions), stored, OmegaConf.from_dotlist(overrides))
        options = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain_error(error)) from error
    except YAMLError as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    assert isinstance(options, SweepOptions)
    check_options(options)
    space = {name: read_choice(name, value) for name, value in {**parts[0], **added}.items()}
    require(bool(space), f"{file} has no search space: write it under `space`")
    reserved = next((name for name in space if name in ("run_dir", "resume", "test")), None)
    require(reserved is None, f"space.{reserved}: the sweep sets {reserved} itself; remove it")
    return options, space


def read_choice(name: str, value: Any) -> Choice:
    """Reads a list of values, or {low, high} with log or step."""
    if isinstance(value, list) and value:
        return CategoricalDistribution([as_override(each) for each in value])
    keys = {"low", "high", "log", "step"}
    valid = isinstance(value, dict) and {"low", "high"} <= value.keys() <= keys
    numbers = [value[key] for key in ("low", "high", "step") if value.get(key) is not None] if valid else []
    valid = valid and all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers)
    valid = valid and value["low"] < value["high"] and not (value.get("log") and value.get("step"))
    require(valid, f"space.{name}: give a list of values, or {{low: .., high: ..}} with log: true or step: ..")
    low, high, log, step = (value.get(key) for key in ("low", "high", "log", "step"))
    require(not log or low > 0, f"space.{name}: log: true needs low above 0")
    require(step is None or step > 0, f"space.{name}: step must be above 0")
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(low, high, bool(log), step or 1)
    return FloatDistribution(low, high, bool(log), step)


def grid_values(name: str, choice: Choice) -> list[Any]:
    """All values of a choice.

    Raises:
        UserError: It is a range without steps.
    """
    if isinstance(choice, CategoricalDistribution):
        return list(choice.choices)
    require(
        choice.step is not None and not choice.log,
        f"sampler=grid needs values or steps: give space.{name} as a list, or choose sampler=tpe",
    )
    step = choice.step or 1
    count = int((choice.high - choice.low) / step + 1e-9) + 1
    return [round(choice.low + i * step, 12) for i in range(count)]


def as_override(value: Any) -> str:
    """A value as on the command line, numbers with four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(as_override, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def allows(choice: Choice, value: Any) -> bool:
    """Whether a parameter of a search space can have a value."""
    try:
        return bool(choice._contains(choice.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def first_settings(space: dict[str, Choice], config: dict[str, Any]) -> dict[str, Any]:
    """Values of the config of a run without the sweep for the keys of the search space, where they are in it."""
    configured, settings = flatten(config), {}
    for name in space.keys() & configured.keys():
        choice, value = space[name], configured[name]
        if isinstance(choice, CategoricalDistribution):
            value = as_override(value)
            is_known = value in choice.choices
        else:
            is_known = type(value) in (int, float) and allows(choice, value)
        if is_known:
            settings[name] = value
    return settings
