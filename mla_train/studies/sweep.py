"""Which settings are best? Trials that Optuna chooses, each a run of train.py in a process and folder of its own.

Nothing that a trial does can end the sweep: one that fails, says NaN or is killed is written down, and the next begins.
What is known stands in Optuna's storage from the first moment, so that the same command goes on after any interruption.
"""

import csv
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from mla_train.config import TrainConfig
from mla_train.errors import UserError, require
from mla_train.studies.launch import Launcher
from mla_train.studies.space import Choice, Pruner, Sampler, SweepOptions, word
from mla_train.training.build import build_data, build_task

PATIENCE = 60
"""Seconds that a run has to stop in when it is asked to."""


@dataclass(frozen=True)
class Goal:
    """What trials are judged by.

    Attributes:
        metric: Of the validation split, such as `val/accuracy`.
        mode: max or min.
    """

    metric: str
    mode: str


def goal_of(config: TrainConfig, objective: str | None) -> Goal:
    """What trials are judged by; reads the data and builds the network once, so that what cannot work is said first.

    Args:
        config: Of a run without the sweep.
        objective: A metric of the validation split; None is the task's own.

    Raises:
        UserError: There is no such metric.
    """
    data = build_data(config)
    data.setup()
    task = build_task(config, data.facts)
    metric = objective or f"val/{task.monitor}"
    modes = {"val/loss": "min", **{f"val/{name}": mode for name, mode in task.directions.items()}}
    require(
        metric in modes,
        f"objective={metric}: trials are judged by the validation split, by {', '.join(sorted(modes))}",
    )
    return Goal(metric, modes[metric])


class Grid(optuna.samplers.GridSampler):
    """Optuna's, which would stop a loop of Optuna's own after the last of its trials."""

    def after_trial(self, *args: Any) -> None:
        """Does nothing; `Sweep` knows how many trials a grid has."""


@dataclass
class Sweep:
    """A sweep under way.

    Attributes:
        options: Its own.
        space: What is searched.
        first: Settings that are tried first.
        words: For every trial, as for train.py.
        goal: What trials are judged by.
        folder: Where all is left.
        seed: Of the sampler.
        epochs: Of a trial, so far as is known.
    """

    options: SweepOptions
    space: dict[str, Choice]
    first: dict[str, Any]
    words: list[str]
    goal: Goal
    folder: Path
    seed: int = 0
    epochs: int = 0

    def open(self) -> optuna.Study:
        """The study in its storage: a new one, or the one that is there with what was cut off retired.

        Raises:
            UserError: The storage cannot be opened, or holds a sweep of other words.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = self.options.storage or f"sqlite:///{(self.folder / 'study.db').resolve()}"
        towards = StudyDirection.MAXIMIZE if self.goal.mode == "max" else StudyDirection.MINIMIZE
        try:
            study = optuna.create_study(
                storage=storage, study_name=self.folder.name, direction=towards, load_if_exists=True
            )
        except Exception as error:  # whatever a database driver raises
            raise UserError(f"storage={storage}: {str(error).splitlines()[0]}") from error
        space = {name: repr(choice) for name, choice in self.space.items()}
        plan = {"words": sorted(self.words), "goal": self.goal.metric, "space": space}
        known = study.user_attrs.get("plan", plan)
        for name, value in plan.items():
            there = known[name]
            if isinstance(value, list):
                there, value = (
                    " ".join(w for w in one if w not in two) for one, two in ((there, value), (value, there))
                )
            require(
                there == value,
                f"{self.folder} holds a sweep of other {name} ({there or 'none'} there, {value or 'none'} here): name "
                "another run_dir, or give the same",
            )
        study.set_user_attr("plan", plan)
        self._retire(study)
        study.sampler = self._sampler(study)
        study.pruner = pruner(self.options.pruner, self.epochs)
        if not study.trials and self.first and self.options.sampler is not Sampler.grid:
            study.enqueue_trial(self.first)
        return study

    def _retire(self, study: optuna.Study) -> None:
        """Trials of this machine whose sweep is gone are over; their settings are tried again."""
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            where = trial.user_attrs.get("where", [socket.gethostname(), 0])
            if where[0] == socket.gethostname() and not alive(where[1]):
                study._storage.set_trial_user_attr(trial._trial_id, "retired", True)
                study.tell(trial.number, state=TrialState.FAIL)
                if trial.params:
                    study.enqueue_trial(trial.params)

    def _sampler(self, study: optuna.Study) -> optuna.samplers.BaseSampler:
        # Who goes on must not begin with the numbers that were drawn already.
        seed = self.seed + len(study.trials)
        match self.options.sampler.value:
            case "random":
                return optuna.samplers.RandomSampler(seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "grid":
                grid = {name: choice.grid(name) for name, choice in self.space.items()}
                return Grid(grid, seed=self.seed)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=self.options.n_jobs > 1)

    def run(self, study: optuna.Study, launcher: Launcher, told: Callable[[FrozenTrial], None]) -> None:
        """Runs trials until the budget is used up.

        Args:
            study: From `open`.
            launcher: Starts processes.
            told: Called with each finished trial, one at a time.

        Raises:
            KeyboardInterrupt: The sweep was asked to stop; trials that ran are retired.
        """
        stop, lock = threading.Event(), threading.Lock()
        deadline = None if self.options.hours is None else time.monotonic() + 3600 * self.options.hours
        troubles: list[BaseException] = []

        def work() -> None:
            try:
                while not stop.is_set():
                    with lock:
                        if not self._more(study) or (deadline and time.monotonic() > deadline):
                            return
                        trial = study.ask()
                        trial.set_user_attr("where", [socket.gethostname(), os.getpid()])
                    self._try(study, trial, launcher, stop)
                    with lock:
                        told(study.trials[trial.number])
            except BaseException as error:  # the sweep's own fault: said by the main thread
                troubles.append(error)
                stop.set()

        threads = [threading.Thread(target=work) for _ in range(self.options.n_jobs)]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(0.2)
        except KeyboardInterrupt:
            stop.set()
            for thread in threads:
                thread.join()
            raise
        if troubles:
            raise troubles[0]

    def _more(self, study: optuna.Study) -> bool:
        """Whether another trial may begin."""
        return self.begun(study) < self.budget

    @property
    def budget(self) -> int:
        """Trials at the most: a grid has so many."""
        if self.options.sampler is not Sampler.grid:
            return self.options.trials
        return min(self.options.trials, prod(len(choice.grid(name)) for name, choice in self.space.items()))

    def begun(self, study: optuna.Study) -> int:
        """Trials that run or are over; those that were retired do not count."""
        trials = study.get_trials(deepcopy=False)
        return sum(t.state is not TrialState.WAITING and not t.user_attrs.get("retired", False) for t in trials)

    def _try(self, study: optuna.Study, trial: Trial, launcher: Launcher, stop: threading.Event) -> None:
        """One trial, from its settings to what it reached."""
        settings = {name: choice.suggest(trial, name) for name, choice in self.space.items()}
        folder = self.folder / "trials" / f"{trial.number:04d}"
        words = [*self.words, *(f"{name}={word(value)}" for name, value in settings.items())]
        began = time.monotonic()
        process = launcher.start([*words, f"run_dir={folder}"], folder.with_suffix(".log"))
        seen, pruned, epochs = 0, False, int(settings.get("epochs", self.epochs))
        while process.running():
            time.sleep(0.1)
            for epoch, value in enumerate(curve(folder / "metrics.csv", self.goal.metric)[seen:], seen):
                trial.report(value, epoch)
                seen += 1
                # Asked at each epoch, however many were done since the last look: rungs compare the same ones.
                pruned = pruned or (seen != epochs and trial.should_prune())
            if stop.is_set() or pruned:
                pruned = pruned and not stop.is_set()
                process.stop(PATIENCE)
                break
        trial.set_user_attr("seconds", round(time.monotonic() - began, 1))
        found = reached(folder, self.goal.metric)
        if found is not None and isfinite(found):
            study.tell(trial, found)
        elif pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            error = process.last_words() if found is None else f"{self.goal.metric} is {found}"
            if stop.is_set():
                error = "cut off; its settings are tried again"
                trial.set_user_attr("retired", True)
                study.enqueue_trial(trial.params)
            trial.set_user_attr("error", error)
            study.tell(trial, state=TrialState.FAIL)


def pruner(kind: Pruner, epochs: int = 0) -> optuna.pruners.BasePruner:
    """Optuna's pruner of a kind; the first trials show what is usual, and every trial gets some epochs.

    Args:
        kind: Which.
        epochs: Of a trial; a slow start is not yet a bad one.
    """
    if kind is Pruner.halving:
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(2, epochs // 9), reduction_factor=3)
    if kind is Pruner.median:
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(2, epochs // 5))
    return optuna.pruners.NopPruner()


def curve(file: Path, metric: str) -> list[float]:
    """Values of a metric, one an epoch, as far as they are written; one from before the first step is none of them."""
    try:
        with file.open(newline="") as stream:
            return [float(row[metric]) for row in csv.DictReader(stream) if row.get(metric) and int(row["step"])]
    except FileNotFoundError:
        return []


def reached(folder: Path, metric: str) -> float | None:
    """What the model that a finished run kept reached on the validation split."""
    file = folder / "results.json"
    if not file.is_file():
        return None
    return float(json.loads(file.read_text())["metrics"]["val"][metric.removeprefix("val/")])


def alive(process: int) -> bool:
    """Whether a process of this machine, other than this one, is there."""
    if process in (0, os.getpid()):
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
