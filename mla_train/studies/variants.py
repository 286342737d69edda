"""From the command line of a comparison to its variants, each trained by train.py with every seed. No torch here."""

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

OWN_KEYS = ("seeds", "folds", "repeats", "match", "run_dir", "n_jobs", "preset")
"""Keys of the comparison; all others are for train.py."""
PRESETS = {
    "parts": {
        "all parts": (),
        "encoder alone": ("task.side_paths=false", "task.start=none"),
        "no encoder": ("task.use_encoder=false",),
    }
}
"""Options of variants that are often compared, by the name of the comparison and of the variant."""
MLP_RATIO = "encoder.mlp_ratio"
"""Key that is changed to match parameters."""


class Match(Enum):
    """What is equal among variants: only what is configured (so also the width), or the number of parameters."""

    width = "width"
    parameters = "parameters"


@dataclass(frozen=True)
class Variant:
    """One of the things that are compared.

    Attributes:
        name: Values that distinguish it, such as "mla, tiny".
        overrides: Command line of its runs, without the seed.
    """

    name: str
    overrides: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Name of its folder."""
        return re.sub(r"^\.+|[^\w.+-]+", "_", self.name).strip("_")

    def job(self, root: Path, number: int, words: Sequence[str] | None = None) -> Job:
        """Its run of a number, in the folder of the comparison: with that seed, or with other words."""
        return Job([*self.overrides, *(words or [f"seed={number}"])], root / self.folder / str(number))

    def compose(self, config_dir: Path) -> TrainConfig:
        """Config of its runs, without the seed."""
        return compose_overrides(config_dir, self.overrides, OWN_KEYS)


@dataclass(frozen=True)
class Plan:
    """A comparison as the command line describes it.

    Attributes:
        compared: Keys in which variants differ.
        variants: Two variants or more, the others are compared to the first; one where folds are trained.
        seeds: Number of runs of each variant, with seeds, or folds and repeats, counted from 0.
        match: What is made equal.
        run_dir: Folder of the comparison.
        n_jobs: Number of runs at a time.
        folds: Number of folds in which runs differ, each repeat with others; 0 where they differ in their seed.
    """

    compared: str
    variants: tuple[Variant, ...]
    seeds: int
    match: Match
    run_dir: Path
    n_jobs: int
    folds: int = 0

    def words(self, number: int) -> list[str]:
        """What tells a run of a variant from the others."""
        if not self.folds:
            return [f"seed={number}"]
        repeat, fold = divmod(number, self.folds)
        return [f"data.fold={fold}", *([f"data.split_seed={repeat}"] if self.seeds > self.folds else [])]


def read_plan(arguments: Sequence[str]) -> Plan:
    """Reads a command line.

    Args:
        arguments: Arguments, of which `key=a,b` is compared, in all combinations; `OWN_KEYS` are read, all others are
            for train.py.

    Raises:
        UserError: An argument cannot be read, or nothing is compared.
    """
    parsed = get_args_parser().parse_args(arguments)
    require(not parsed.multirun, "-m is an option of train.py; here, keys with several values are compared: remove -m")
    own: dict[str, str] = {}
    fixed = [] if parsed.config_dir is None else ["--config-dir", parsed.config_dir]
    swept: list[Override] = []
    for text, override in zip(parsed.overrides, parse_overrides(parsed.overrides), strict=True):
        key = override.key_or_group
        if key in OWN_KEYS:
            own[key] = text.partition("=")[2] if override.is_sweep_override() else str(override.value())
        elif key == "seed":
            raise UserError(f"{text}: all variants are trained with the same seeds; give their number, as in seeds=3")
        elif key == "resume":
            raise UserError(f"{text}: to resume a comparison, repeat its command with the same run_dir=")
        elif override.is_sweep_override():
            swept.append(override)
        else:
            fixed.append(text)
    folds = _positive("folds", own, 5) if "folds" in own else 0
    repeats = _positive("repeats", own, 1)
    require(
        bool(folds) or repeats == 1,
        f"repeats={repeats} cuts folds anew: add folds=5, or give the number of seeds with seeds=",
    )
    require(not (folds and "seeds" in own), "seeds= and folds=: each fold is trained once; remove one of them")
    given = {override.key_or_group for override in parse_overrides(parsed.overrides)}
    chosen_here = {
        "data.fold": bool(folds),
        "data.split_seed": repeats > 1,
    }  # given as well, runs would be others than they seem
    for key in sorted(given & {key for key, is_chosen in chosen_here.items() if is_chosen}):
        raise UserError(f"{key}= is chosen for each run of folds= and repeats=: remove it")
    if folds:
        fixed.append(f"data.folds={folds}")
    preset = own.get("preset")
    require(preset is None or preset in PRESETS, f"preset={preset}: {did_you_mean(str(preset), PRESETS)}")
    if not (swept or folds or preset):
        raise UserError(
            "nothing is compared: give a key several values, as in attention=mla,mha, or preset=parts, or folds=5"
        )
    # Of each compared key the values, and what each of them adds to the command line.
    keys = [override.get_key_element() for override in swept]
    choices: list[list[tuple[str, tuple[str, ...]]]] = [
        [(value, (f"{key}={value}",)) for value in _values(override)] for key, override in zip(keys, swept, strict=True)
    ]
    if preset is not None:
        keys.append(preset)
        choices.append(list(PRESETS[preset].items()))
    variants = tuple(
        Variant(
            ", ".join(name for name, _ in chosen) or "model", (*fixed, *(word for _, words in chosen for word in words))
        )
        for chosen in itertools.product(*choices)
    )
    require(
        len(variants) > 1 or not swept,
        f"{swept[0].input_line if swept else ''} has one value: give two or more to compare",
    )
    folders = [variant.folder for variant in variants]
    repeated = next((variant.name for variant in variants if folders.count(variant.folder) > 1), None)
    require(repeated is None, f"{repeated} is given twice: give each value once")
    match = own.get("match", "width")
    require(match in Match.__members__, f"match={match}: {did_you_mean(match, Match.__members__)}")
    run_dir = own.get("run_dir") or f"runs/compare/{datetime.now():%Y-%m-%d_%H-%M-%S}"
    seeds, n_jobs = folds * repeats or _positive("seeds", own, 3), _positive("n_jobs", own, 1)
    return Plan(", ".join(keys) or "variant", variants, seeds, Match[match], Path(run_dir), n_jobs, folds)


def _values(override: Override) -> list[str]:
    """Values of a sweep as texts."""
    if not override.is_discrete_sweep() or override.value_type is ValueType.GLOB_CHOICE_SWEEP:
        raise UserError(f"{override.input_line}: list the values, as in {override.key_or_group}=a,b")
    return list(override.sweep_string_iterator())


def _positive(key: str, own: dict[str, str], default: int) -> int:
    """The whole number that a key gives, 1 or more."""
    value = own.get(key, str(default))
    require(value.isdecimal() and int(value) >= 1, f"{key}={value}: must be a whole number from 1")
    return int(value)


def compose_variants(plan: Plan, config_dir: Path) -> list[TrainConfig]:
    """Configs of all variants; mistakes in overrides are found here, without torch.

    Raises:
        UserError: An override is wrong, overrides do not fit each other, or variants would differ in what the
            comparison sets.
    """
    configs = [variant.compose(config_dir) for variant in plan.variants]
    keys = plan.compared.split(", ")
    if plan.match is Match.parameters and MLP_RATIO in keys:
        raise UserError(f"match=parameters sets {MLP_RATIO}, which is compared here: remove one of them")
    require(all(config.test for config in configs), "test=false: variants are compared on the test split; remove it")
    require("hardware.threads" not in keys, "hardware.threads cannot be compared: all variants use the same; give one")
    return configs
