"""Hyperparameter search: trials with settings from Optuna, each a run of train.py in its own process and folder.

No trial can end the sweep: one that fails, reaches NaN or is killed is recorded, and the next one starts. All results are in
Optuna's storage, so that the same command continues after any interruption.
"""

import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from math import isfinite, prod
from pathlib import Path
from secrets import token_hex
from threading import Event, Lock
from typing import Any

import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from mla_train.config import TrainConfig
from mla_train.config.stored import read_json
from mla_train.errors import UserError, few, require
from mla_train.fingerprint import differences, fingerprint
from mla_train.locks import is_locked, lock
from mla_train.masking import mask_word
from mla_train.safe_files import UNFINISHED
from mla_train.studies.jobs import STOP_TIMEOUT
from mla_train.studies.launch import Launcher
from mla_train.studies.search_space import Choice, Pruner, Sampler, SweepOptions, allows, as_override, grid_values
from mla_train.studies.sweep_database import address_of, check_database
from mla_train.task import build_task
from mla_train.training.loggers import read_curve
from mla_train.training.run_folder import quoted, refuse_links
from mla_train.training.scores import read_kept_start
from mla_train.training.start_weights import start_fingerprint


@dataclass(frozen=True)
class Goal:
    """What a sweep optimizes.

    Attributes:
        metric: Metric such as `val/accuracy`.
        mode: "max" or "min".
        data: Fingerprint of the data on which it is measured.
    """

    metric: str
    mode: str
    data: dict[str, Any] = field(default_factory=dict)


def goal_of(config: TrainConfig, objective: str | None) -> Goal:
    """The goal of a sweep; reads the data and builds the network, so that mistakes are found before the first trial."""
    task = build_task(config)
    data = task.load_data()
    head = task.build_model(data.spec).head
    metric = objective or f"val/{head.monitor}"
    modes = {"val/loss": "min", **{f"val/{name}": mode for name, mode in head.directions.items()}}
    require(
        metric in modes, f"objective={metric}: must be a metric of the validation split: {', '.join(sorted(modes))}"
    )
    return Goal(metric, modes[metric], fingerprint(data) | start_fingerprint(config))


class Grid(optuna.samplers.GridSampler):
    """Optuna's grid, without the end of the study after the last trial, which needs a loop of Optuna's own."""

    def after_trial(self, *args: Any) -> None:
        """Does nothing: `Sweep` counts the trials."""


@dataclass
class Sweep:
    """A sweep.

    Attributes:
        options: Options of the sweep.
        space: Search space.
        first: Settings of the first trial.
        overrides: Overrides of all trials.
        goal: What is optimized.
        folder: Folder of the sweep.
        seed: Seed of the sampler.
        epochs: Number of epochs of a trial; 0 if not known.
    """

    options: SweepOptions
    space: dict[str, Choice]
    first: dict[str, Any]
    overrides: list[str]
    goal: Goal
    folder: Path
    seed: int = 0
    epochs: int = 0

    def open(self) -> optuna.Study:
        """The study in its storage: a new one, or the existing one, whose interrupted trials are marked as retired."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = self.options.storage or address_of(self.folder / "study.db")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            return self._open(storage)
        except UserError:
            raise
        except Exception as error:  # whatever a database driver raises
            kind = storage.partition(":")[0]  # what follows may hold a password
            where = f"storage={kind}:..." if self.options.storage else f"{self.folder / 'study.db'} cannot be used"
            remedy = "" if self.options.storage else "; restore it, or name another run_dir"
            raise UserError(f"{where}: {str(error).splitlines()[0]}{remedy}") from error

    def _open(self, storage: Any) -> optuna.Study:
        direction = StudyDirection.MAXIMIZE if self.goal.mode == "max" else StudyDirection.MINIMIZE
        refuse_links(self.folder)
        if not self.options.storage:
            check_database(self.folder / "study.db")
        # A file of the sweep's own holds one study: the folder may have had another name when it was made.
        names = [] if self.options.storage else optuna.get_all_study_names(storage)
        study_name = names[0] if len(names) == 1 else self.folder.name
        study = optuna.create_study(storage=storage, study_name=study_name, direction=direction, load_if_exists=True)
        self._check_folder(study)
        space = {name: repr(choice) for name, choice in self.space.items()}
        plan = {"overrides": sorted(map(mask_word, self.overrides)), "goal": self.goal.metric, "space": space}
        stored_plan = study.user_attrs.get("plan", plan)
        for name, value in plan.items():
            stored = stored_plan.get(name)
            if isinstance(value, list) and isinstance(stored, list):  # shows what differs
                stored, value = (
                    " ".join(each for each in these if each not in others)
                    for these, others in ((stored, value), (value, stored))
                )
            require(
                stored == value,
                f"{self.folder} holds a sweep with other {name} (stored: {stored or 'none'}; given: {value or 'none'}): name "
                "another run_dir, or give the same",
            )
        self._check_trials(study)
        study.set_user_attr("plan", plan)
        self._check_data(study)
        self._retire(study)
        study.sampler = self._sampler(study)
        study.pruner = pruner(self.options.pruner, self.epochs)
        if not study.trials and self.first and self.options.sampler is not Sampler.grid:
            study.enqueue_trial(self.first)
        return study

    def _check_folder(self, study: optuna.Study) -> None:
        """Refuses a folder of something else, and one whose runs are not of this study: they would count as its trials."""
        known = len(study.get_trials(deepcopy=False))
        folders = [path.name for path in self.folder.glob("trials/[0-9]*") if path.is_dir()]
        strange = sorted(name for name in folders if not name.isdecimal() or int(name) >= known)
        require(
            not strange,
            f"{self.folder} has runs of trials that its storage does not know ({few(strange)}): the storage was removed, or is "
            "older than they are. Restore it, or name another run_dir",
        )
        if "plan" not in study.user_attrs:
            own = ("study.db", ".lock_", UNFINISHED)
            others = sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(own))
            require(
                not others,
                f"run_dir={self.folder} is not empty and holds no sweep ({few(others)}): name an empty or a new folder",
            )

    def _check_trials(self, study: optuna.Study) -> None:
        """Refuses a stored trial that chose something else than the search space has: its settings would be run as options."""
        for trial in study.get_trials(deepcopy=False):
            queued = trial.system_attrs.get("fixed_params", {})
            strange = [
                name
                for name, value in [*trial.params.items(), *queued.items()]
                if name not in self.space or not allows(self.space[name], value)
            ]
            require(
                not strange,
                f"{self.folder}: trial {trial.number} has {few(strange)}, which this search space does not have: name another run_dir",
            )

    def _check_data(self, study: optuna.Study) -> None:
        """Says so where the data is not that of earlier trials; it may change by rounding between machines of a sweep."""
        if not (known := study.user_attrs.get("data")):
            study.set_user_attr("data", self.goal.data)
        elif changes := differences(known, self.goal.data):
            print(
                f"NOT COMPARABLE: the data has changed since {self.folder} began ({'; '.join(changes)}), so that scores of new "
                "trials and of those before are of different data: restore it, or begin anew with another run_dir",
                file=sys.stderr,
            )

    def _retire(self, study: optuna.Study) -> None:
        """Marks trials of this machine whose process has ended as retired; their settings are tried again.

        Those whose run has finished, and of which the sweep did not come to take note, are complete.
        """
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            host, locked = trial.user_attrs.get("where", [socket.gethostname(), ""])
            if (
                host == socket.gethostname()
                and not is_locked(Path(str(locked)))
                and not self._complete(study, trial)[0]
            ):
                study._storage.set_trial_user_attr(trial._trial_id, "retired", True)
                study.tell(trial.number, state=TrialState.FAIL)
                if trial.params:
                    study.enqueue_trial(trial.params)

    def _sampler(self, study: optuna.Study) -> optuna.samplers.BaseSampler:
        # A continued sweep must not draw the same numbers again.
        seed = self.seed + len(study.trials)
        match self.options.sampler.value:
            case "random":
                return optuna.samplers.RandomSampler(seed)
            case "gp":
                return optuna.samplers.GPSampler(seed=seed)
            case "grid":
                grid = {name: grid_values(name, choice) for name, choice in self.space.items()}
                return Grid(grid, seed=self.seed)
        return optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=self.options.n_jobs > 1)

    def run(self, study: optuna.Study, launcher: Launcher, on_trial: Callable[[FrozenTrial], None]) -> None:
        """Runs trials until the budget is used up."""
        stop, turn = Event(), Lock()
        alive = (self.folder / f".lock_{token_hex(4)}").resolve()  # held as long as this process lives
        deadline = None if self.options.hours is None else time.monotonic() + 3600 * self.options.hours

        def work() -> None:
            while not stop.is_set():
                with turn:
                    if self.started(study) >= self.budget or (deadline and time.monotonic() > deadline):
                        return
                    trial = study.ask(dict(self.space))
                    trial.set_user_attr("where", [socket.gethostname(), str(alive)])
                self._try(study, trial, launcher, stop)
                with turn:
                    on_trial(study.trials[trial.number])

        with lock(alive), ThreadPoolExecutor(self.options.n_jobs) as pool:
            try:
                for done in as_completed([pool.submit(work) for _ in range(self.options.n_jobs)]):
                    done.result()
            except BaseException:  # Ctrl-C, or an error of the sweep itself
                stop.set()
                raise

    @property
    def budget(self) -> int:
        """Greatest number of trials; a grid may have fewer."""
        if self.options.sampler is not Sampler.grid:
            return self.options.trials
        return min(self.options.trials, prod(len(grid_values(name, choice)) for name, choice in self.space.items()))

    def started(self, study: optuna.Study) -> int:
        """Number of trials that are running or finished, without retired ones."""
        trials = study.get_trials(deepcopy=False)
        return sum(t.state is not TrialState.WAITING and not t.user_attrs.get("retired", False) for t in trials)

    def _try(self, study: optuna.Study, trial: Trial, launcher: Launcher, stop: Event) -> None:
        """Runs one trial and records its value."""
        folder = self._folder(trial)
        overrides = [*self.overrides, *(f"{name}={as_override(value)}" for name, value in trial.params.items())]
        start = time.monotonic()
        process = launcher.start([*overrides, f"run_dir={quoted(folder)}"], folder.with_suffix(".log"))
        seen, pruned, epochs = 0, False, int(trial.params.get("epochs", self.epochs))
        while process.running():
            time.sleep(0.1)
            # A value from before the first step is left out.
            values = [value for step, value in read_curve(folder / "metrics.csv", self.goal.metric).items() if step]
            for epoch, value in enumerate(values[seen:], seen):
                trial.report(value, epoch)
                seen += 1
                # Asked after every epoch, even if several were done since the last check: rungs compare equal epochs.
                pruned = pruned or (seen != epochs and trial.should_prune())
            if stop.is_set() or pruned:
                pruned = pruned and not stop.is_set()
                process.stop(STOP_TIMEOUT)
                break
        trial.set_user_attr("seconds", round(time.monotonic() - start, 1))
        is_complete, score = self._complete(study, trial)
        if is_complete:
            return
        if pruned:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            error = process.last_line() if score is None else f"{self.goal.metric} is {score}"
            if stop.is_set():
                error = "interrupted; its settings are tried again"
                trial.set_user_attr("retired", True)
                study.enqueue_trial(trial.params)
            trial.set_user_attr("error", error)
            study.tell(trial, state=TrialState.FAIL)

    def _folder(self, trial: Trial | FrozenTrial) -> Path:
        return self.folder / "trials" / f"{trial.number:04d}"

    def _complete(self, study: optuna.Study, trial: Trial | FrozenTrial) -> tuple[bool, float | None]:
        """Records the score of a trial whose run has finished; whether it has one that counts, and the score."""
        score = validation_score(self._folder(trial), self.goal.metric)
        if score is None or not isfinite(score):
            return False, score
        study._storage.set_trial_user_attr(trial._trial_id, "kept_start", read_kept_start(self._folder(trial)))
        study.tell(trial.number, score)
        return True, score


def pruner(kind: Pruner, epochs: int = 0) -> optuna.pruners.BasePruner:
    """Optuna's pruner, which lets every trial run some epochs, as a slow start need not be a bad one."""
    if kind is Pruner.halving:
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=max(2, epochs // 9), reduction_factor=3)
    if kind is Pruner.median:
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(2, epochs // 5))
    return optuna.pruners.NopPruner()


def validation_score(folder: Path, metric: str) -> float | None:
    """Metric of the selected checkpoint on the validation split; None if the run is not finished."""
    file = folder / "results.json"
    if not file.is_file():
        return None
    try:
        return float(read_json(file)["metrics"]["val"][metric.removeprefix("val/")])
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise UserError(f"{file} cannot be read: remove {folder} and run the sweep again") from error
