"""What a sweep is told: its own words, and the space that it searches. No torch here."""

from dataclasses import dataclass, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from mla_train.config.compose import explain_error
from mla_train.config.typed import flatten
from mla_train.errors import UserError, did_you_mean, require

if TYPE_CHECKING:
    from optuna.trial import Trial


class Sampler(Enum):
    """Who chooses settings: tpe (Bergstra et al. 2011), chance, all of a grid, or a Gaussian process."""

    tpe = "tpe"
    random = "random"
    grid = "grid"
    gp = "gp"


class Pruner(Enum):
    """Who ends trials early: successive halving (Jamieson and Talwalkar 2016), the median of trials before, nobody."""

    halving = "halving"
    median = "median"
    none = "none"


@dataclass(frozen=True)
class Choices:
    """One of some values.

    Attributes:
        values: As they stand on train.py's command line.
    """

    values: tuple[str, ...]

    def suggest(self, trial: "Trial", name: str) -> Any:
        """Lets a trial choose."""
        return trial.suggest_categorical(name, self.values)

    def grid(self, name: str) -> list[Any]:
        """All values."""
        return list(self.values)

    def holds(self, value: Any) -> Any:
        """The value as one of these, None where it is none."""
        return next((known for known in self.values if known == word(value)), None)


@dataclass(frozen=True)
class Range:
    """A number from a range, ends included.

    Attributes:
        low: The least.
        high: The most.
        log: Even in the logarithm.
        step: From `low` in steps of this.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether it is of whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def suggest(self, trial: "Trial", name: str) -> Any:
        """Lets a trial choose."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), step=int(self.step or 1), log=self.log)
        return trial.suggest_float(name, self.low, self.high, step=self.step, log=self.log)

    def grid(self, name: str) -> list[Any]:
        """All values, where there are steps.

        Raises:
            UserError: There are none.
        """
        require(
            (self.whole or self.step is not None) and not self.log,
            f"sampler=grid needs values or steps: give space.{name} as a list, or choose sampler=tpe",
        )
        step = self.step or 1
        count = int((self.high - self.low) / step + 1e-9) + 1
        return [round(self.low + i * step, 12) for i in range(count)]

    def holds(self, value: Any) -> Any:
        """The value if it lies within, else None."""
        if isinstance(value, bool) or not isinstance(value, int | float) or not self.low <= value <= self.high:
            return None
        return value


Choice = Choices | Range


@dataclass
class SweepOptions:
    """A sweep's own words; all others are train.py's.

    Attributes:
        sampler: Who chooses settings.
        pruner: Who ends trials early.
        trials: How many, those that were pruned or failed included.
        hours: No trial begins after so many; null is no limit.
        n_jobs: Trials at a time; the CPU's threads are divided among them.
        storage: Where Optuna keeps what is known, a database URL; null is a SQLite file in the sweep's folder.
        objective: A metric of val/; null is the task's own.
        retrain: Best trials that are trained again with three seeds when all is done.
    """

    sampler: Sampler = Sampler.tpe
    pruner: Pruner = Pruner.median
    trials: int = 30
    hours: float | None = None
    n_jobs: int = 1
    storage: str | None = None
    objective: str | None = None
    retrain: int = 0

    def check(self) -> None:
        """Looks for values that cannot be meant."""
        require(self.trials >= 1, f"trials={self.trials}: must be 1 or more")
        require(self.hours is None or self.hours > 0, f"hours={self.hours}: must be positive")
        require(self.n_jobs >= 1, f"n_jobs={self.n_jobs}: must be 1 or more")
        require(self.retrain >= 0, f"retrain={self.retrain}: must be 0 (none) or more")


OWN = [option.name for option in fields(SweepOptions)]
"""Words of the command line that are the sweep's."""


def read_options(file: Path, task: str, words: list[str]) -> tuple[SweepOptions, dict[str, Choice]]:
    """A sweep's options, those of its file with the command line's over them, and what it searches.

    Args:
        file: Of conf/sweep.
        task: Whose additions to the space are taken.
        words: Of the command line, each of `OWN`.

    Raises:
        UserError: A value cannot be meant.
    """
    try:
        written: Any = OmegaConf.to_container(OmegaConf.load(file))
        require(isinstance(written, dict), f"{file}: write keys such as trials and space")
        parts = [written.pop("space", None) or {}, written.pop("tasks", None) or {}]
        for part in parts:
            require(
                isinstance(part, dict),
                f"{file}: space names what is searched, tasks what a task adds; {part!r} does not",
            )
        added = parts[1].get(task) or {}
        require(isinstance(added, dict), f"{file}: tasks.{task} names what is searched; {added!r} does not")
        for name in written:
            require(name in OWN, f"{file}: unknown key {name}. {did_you_mean(name, [*OWN, 'space', 'tasks'])}")
        merged = OmegaConf.merge(OmegaConf.structured(SweepOptions), written, OmegaConf.from_dotlist(words))
        options = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(explain_error(error)) from error
    except YAMLError as error:
        raise UserError(f"{file} cannot be read: {' '.join(str(error).split())}") from error
    assert isinstance(options, SweepOptions)
    options.check()
    space = {name: read_choice(name, value) for name, value in {**parts[0], **added}.items()}
    require(bool(space), f"{file} names nothing to search: write it under `space`")
    fixed = next((name for name in space if name in ("run_dir", "resume", "test")), None)
    require(fixed is None, f"space.{fixed}: the sweep itself sets {fixed}")
    return options, space


def read_choice(name: str, written: Any) -> Choice:
    """A list of values, or {low, high} with log or step.

    Raises:
        UserError: It is neither.
    """
    if isinstance(written, list) and written:
        return Choices(tuple(map(word, written)))
    keys = {"low", "high", "log", "step"}
    fine = isinstance(written, dict) and {"low", "high"} <= written.keys() <= keys
    numbers = [written[key] for key in ("low", "high", "step") if written.get(key) is not None] if fine else []
    fine = fine and all(isinstance(x, int | float) and not isinstance(x, bool) for x in numbers)
    fine = fine and written["low"] < written["high"] and not (written.get("log") and written.get("step"))
    require(fine, f"space.{name}: give a list of values, or {{low: .., high: ..}} with log: true or step: ..")
    low, high, log, step = (written.get(key) for key in ("low", "high", "log", "step"))
    require(not log or low > 0, f"space.{name}: a logarithm needs low above 0")
    require(step is None or step > 0, f"space.{name}: step must be above 0")
    if not (isinstance(low, int) and isinstance(high, int)):
        low, high = float(low), float(high)
    return Range(low, high, bool(log), step)


def word(value: Any) -> str:
    """A value as it stands on the command line; four digits tell settings apart well enough."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, list):
        return f"[{','.join(map(word, value))}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def first_settings(space: dict[str, Choice], config: dict[str, Any]) -> dict[str, Any]:
    """What the config has for each place of the space, as far as it lies within.

    Args:
        space: What is searched.
        config: Of a run without the sweep, nested.
    """
    known = flatten(config)
    found = {name: choice.holds(known[name]) for name, choice in space.items() if name in known}
    return {name: value for name, value in found.items() if value is not None}
