"""What a comparison compares: from the words of its command line to arms, each a run of train.py for each seed."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.types import Override, ValueType

from mla_train.config import TrainConfig
from mla_train.config.overrides import compose_overrides, parse_overrides
from mla_train.errors import UserError, did_you_mean, require
from mla_train.studies.jobs import Job

OWN = ("seeds", "match", "run_dir", "n_jobs")
"""Keys that are a comparison's and not train.py's."""
RATIO = "encoder.mlp_ratio"
"""What is changed to match parameters."""


class Match(Enum):
    """What is made equal among arms: nothing beyond what is configured (so also the width), or the parameters."""

    width = "width"
    parameters = "parameters"


@dataclass(frozen=True)
class Arm:
    """One of the things that are compared.

    Attributes:
        name: What sets it apart.
        words: The command line of its runs, but for the seed.
    """

    name: str
    words: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Its name as that of a folder."""
        return re.sub(r"[^\w.+-]+", "_", self.name).strip("_")

    def job(self, root: Path, seed: int) -> Job:
        """Its run with a seed.

        Args:
            root: The folder of the comparison.
            seed: Which.
        """
        return Job([*self.words, f"seed={seed}"], root / self.folder / str(seed))

    def compose(self, config_dir: Path) -> TrainConfig:
        """The config of its runs, but for the seed.

        Args:
            config_dir: The folder conf/.

        Raises:
            UserError: A word is wrong, or words do not fit each other.
        """
        return compose_overrides(config_dir, self.words, OWN)


@dataclass(frozen=True)
class Plan:
    """A comparison as the command line asks for it.

    Attributes:
        compared: Keys in which arms differ.
        arms: At least two; the others are compared to the first.
        seeds: How many, from 0.
        match: What is made equal.
        run_dir: The folder of the comparison.
        n_jobs: Runs at a time.
    """

    compared: str
    arms: tuple[Arm, ...]
    seeds: int
    match: Match
    run_dir: Path
    n_jobs: int


def read_plan(words: Sequence[str]) -> Plan:
    """Reads the words of a command line.

    Args:
        words: What `key=a,b` names is compared, in all combinations; `OWN` keys are read, all else is for train.py.

    Raises:
        UserError: A word cannot be read, or nothing is compared.
    """
    arguments = get_args_parser().parse_args(words)
    require(not arguments.multirun, "-m belongs to train.py: several values of a key are what is compared")
    own: dict[str, str] = {}
    fixed = [] if arguments.config_dir is None else ["--config-dir", arguments.config_dir]
    swept: list[Override] = []
    for word, override in zip(arguments.overrides, parse_overrides(arguments.overrides), strict=True):
        key = override.key_or_group
        if key in OWN:
            own[key] = word.partition("=")[2] if override.is_sweep_override() else str(override.value())
        elif key == "seed":
            raise UserError(f"{word}: all arms are run with the same seeds; say how many, as in seeds=3")
        elif key == "resume":
            raise UserError(f"{word}: the same command with the same run_dir= goes on where it stopped")
        elif override.is_sweep_override():
            swept.append(override)
        else:
            fixed.append(word)
    if not swept:
        raise UserError("nothing is compared: give a key several values, as in attention=mla,mha")
    combinations = list(itertools.product(*map(_values, swept)))
    keys = [override.get_key_element() for override in swept]
    arms = tuple(
        Arm(
            ", ".join(values),
            (*fixed, *(f"{key}={value}" for key, value in zip(keys, values, strict=True))),
        )
        for values in combinations
    )
    require(len(arms) > 1, f"{swept[0].input_line}: there is one value, and nothing to compare it to")
    folders = [arm.folder for arm in arms]
    twice = next((arm.name for arm in arms if folders.count(arm.folder) > 1), None)
    require(twice is None, f"{twice} is named twice: each value can be compared once")
    match = own.get("match", "width")
    require(match in Match.__members__, f"match={match}: {did_you_mean(match, Match.__members__)}")
    run_dir = own.get("run_dir") or f"runs/compare/{datetime.now():%Y-%m-%d_%H-%M-%S}"
    return Plan(", ".join(keys), arms, _count("seeds", own, 3), Match[match], Path(run_dir), _count("n_jobs", own, 1))


def _values(override: Override) -> list[str]:
    """The values of a sweep, each written as in a word of its own."""
    if not override.is_discrete_sweep() or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise UserError(f"{override.input_line}: name the values, as in {override.key_or_group}=a,b")
    return list(override.sweep_string_iterator())


def _count(key: str, own: dict[str, str], default: int) -> int:
    """A whole number from 1."""
    value = own.get(key, str(default))
    require(value.isdecimal() and int(value) >= 1, f"{key}={value}: must be a whole number from 1")
    return int(value)


def compose_arms(plan: Plan, config_dir: Path) -> list[TrainConfig]:
    """The configs of all arms: what is wrong in their words is found here, without torch.

    Args:
        plan: What is compared.
        config_dir: The folder conf/.

    Raises:
        UserError: A word is wrong, words do not fit each other, or arms would differ in what the comparison sets.
    """
    configs = [arm.compose(config_dir) for arm in plan.arms]
    keys = plan.compared.split(", ")
    if plan.match is Match.parameters and RATIO in keys:
        raise UserError(f"match=parameters sets {RATIO}, which is compared here: leave one of them away")
    require(all(config.test for config in configs), "test=false: arms are compared on the test split; leave it away")
    require("hardware.threads" not in keys, "hardware.threads cannot be compared: all arms share the same")
    return configs
