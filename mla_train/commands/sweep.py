"""Searches for the best settings, by trials on the validation split.

    python scripts/sweep.py task=text_classification sweep=quick

Options are written key=value. Those of the sweep:

    sweep      search space of conf/sweep: default, quick, attention; with --config-dir FOLDER also of FOLDER/sweep
    trials     number of trials, including pruned and failed ones
    hours      hours after which no trial starts
    n_jobs     number of trials at a time
    sampler    tpe, random, grid or gp                 pruner    median, halving or none
    objective  metric of val/ to optimize (default: the one that chooses the checkpoint)
    retrain    number of best trials that are trained again with three seeds
    run_dir    output folder; repeat with the same folder to resume
    storage    database URL for several machines (default: a file in the folder)

All other options go to train.py. Writes trials.csv, experiment/best.yaml, sweep.html and a run folder for each trial.
"""

import os
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hydra._internal.utils import get_args_parser
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from mla_train.config import TrainConfig
from mla_train.config.overrides import (
    compose_overrides,
    config_folders,
    extend_import_path,
    find_choices,
    parse_overrides,
    quote_signs,
)
from mla_train.errors import UserError, close_output, did_you_mean, file_errors, printable, require, terminated_as_exit
from mla_train.masking import mask_command
from mla_train.program import CONF, TRAIN, as_started, imports, program
from mla_train.studies.search_space import (
    OWN_KEYS,
    Choice,
    Sampler,
    SweepOptions,
    as_override,
    first_settings,
    grid_values,
    read_options,
)
from mla_train.training.run_folder import plain


def check_space(overrides: list[str], space: dict[str, Choice]) -> None:
    """Composes the config with each value of the search space, so that mistakes are found before the first trial."""
    for name, choice in space.items():
        values = choice.choices if isinstance(choice, CategoricalDistribution) else [choice.low, choice.high]
        for value in values:
            compose_overrides(CONF, [*overrides, f"{name}={as_override(value)}"])


def main() -> None:
    """Reads the command line and sweeps."""
    arguments = quote_signs(sys.argv[1:])
    if {"--help", "-h"} & set(arguments):
        print(as_started(__doc__ or ""))
        return
    try:
        with file_errors():
            sweep(read_command(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:  # before the first trial
        print("Interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        close_output()
        print(
            "error: the standard output was closed. Repeat the command with its run_dir= to continue", file=sys.stderr
        )
        sys.exit(1)


@dataclass(frozen=True)
class Command:
    """What the command line asks for; `overrides` are those of all trials, `config` that of a run without the sweep."""

    flags: list[str]
    overrides: list[str]
    config: TrainConfig
    options: SweepOptions
    space: dict[str, Choice]
    groups: set[str]
    folder: Path
    resume: str

    def train_best(self) -> str:
        """The command that trains the best settings; Hydra takes one --config-dir."""
        searched = [*self.flags, f"hydra.searchpath=[file://{self.folder.resolve()}]"]
        flags = searched if self.flags else ["--config-dir", str(self.folder)]
        return shlex.join([*program("train"), *flags, f"task={self.config.task.name}", "experiment=best"])


def read_command(arguments: list[str]) -> Command:
    """Reads and checks the command line; no torch here.

    Raises:
        UserError: An argument is wrong.
    """
    folders = config_folders(CONF, arguments)
    flags = [word for added in folders[1:] for word in ("--config-dir", str(added))]
    parsed = get_args_parser().parse_args(arguments)
    require(not parsed.multirun, "-m is an option of train.py; a sweep chooses the jobs itself: remove it")
    given = parsed.overrides
    named = {override.key_or_group: override for override in parse_overrides(given)}
    pairs = [(key, value) for key, _, value in (text.partition("=") for text in given)]
    own = {key: value for key, value in pairs if key in (*OWN_KEYS, "sweep", "run_dir")}
    overrides = [text for text in given if text.partition("=")[0] not in own]
    fixed = {text.partition("=")[0] for text in overrides}
    require(
        "resume" not in fixed, "resume= is for single runs: to resume a sweep, repeat its command with its run_dir="
    )
    require(
        "test" not in fixed,
        "test= is for single runs: trials never evaluate test, the best trials trained again (retrain=5) do",
    )
    choices = find_choices(folders)
    name, run_dir = own.pop("sweep", "default"), own.pop("run_dir", None)
    if run_dir and not named["run_dir"].is_sweep_override():
        run_dir = str(named["run_dir"].value())  # without quotes
    require(name in choices["sweep"], f"sweep={name}: unknown sweep. {did_you_mean(name, choices['sweep'])}")
    file = next(file for folder in folders if (file := folder / "sweep" / f"{name}.yaml").is_file())
    extend_import_path(arguments)
    config = compose_overrides(CONF, [*flags, *overrides], [*OWN_KEYS, "sweep"])
    options, space = read_options(file, config.task.name, [f"{key}={value}" for key, value in own.items()])
    space = {key: choice for key, choice in space.items() if key not in fixed}
    require(bool(space), "the command fixes all keys that this sweep searches; remove one of them")
    if options.sampler is Sampler.grid:
        for key, choice in space.items():
            grid_values(key, choice)
    check_space([*flags, *overrides], space)
    default = Path("runs") / "sweeps" / f"{config.task.name}_{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder = Path(run_dir or default)
    resume = mask_command([*program("sweep"), *arguments, *([] if run_dir else [f"run_dir={folder}"])])
    return Command(flags, overrides, config, options, space, set(choices), folder, resume)


def sweep(command: Command) -> None:
    """Runs a sweep until its budget is used up."""
    print("loading torch ...", flush=True)

    with imports():
        from mla_train.data.reading import import_object
        from mla_train.studies.jobs import group_overrides
        from mla_train.studies.launch import Launcher
        from mla_train.studies.sweep import Sweep, goal_of
        from mla_train.studies.sweep_page import state, write_page, write_trials
        from mla_train.studies.sweep_results import best_recipe, best_trial, retrain, settings

    config, options, folder = command.config, command.options, command.folder
    threads = config.hardware.threads or max(1, (os.cpu_count() or 1) // options.n_jobs)
    one_process = config.hardware.strategy == "auto" and str(config.hardware.devices) == "1"
    group = group_overrides(config, folder, "sweep")
    preload = tuple(import_object(target).__module__ for target in (config.task._target_, config.data._target_))
    launcher = Launcher(TRAIN, one_process, preload, threads, group)  # loads torch while the data is read
    goal = goal_of(config, options.objective)
    first = first_settings(command.space, plain(config))
    # Settings are chosen on val; test is left for the chosen ones.
    overrides = [*command.flags, "test=false", *command.overrides]
    search = Sweep(options, command.space, first, overrides, goal, folder, config.seed, config.epochs)
    study = search.open()
    title = f"{goal.metric} of {config.task.name} on {config.data.name}"
    print(f"{title}: up to {search.budget} trials in {folder}")
    bar = tqdm(total=search.budget, initial=search.started(study), unit="trial", disable=not sys.stderr.isatty())

    def write_best() -> bool:
        """Writes the table of trials and the best recipe so far; whether a trial is finished."""
        write_trials(study, folder / "trials.csv")
        finished = any(trial.state is TrialState.COMPLETE for trial in study.get_trials(deepcopy=False))
        if finished:
            best_recipe(study, command.overrides, command.groups, folder / "experiment" / "best.yaml")
        return finished

    def on_trial(trial: FrozenTrial) -> None:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        notes = [" ".join(settings(trial)), *([trial.user_attrs["error"]] if "error" in trial.user_attrs else [])]
        seconds = trial.user_attrs.get("seconds", 0)
        line = f"{trial.number:4d} {state(trial):8s} {value:6s} {seconds:5.0f} s  {'  '.join(notes)}"
        if write_best():
            best = study.best_trial
            line += "  *" if best.number == trial.number else ""
            bar.set_postfix_str(f"best {best.value:.4f} ({best.number})")
        tqdm.write(printable(line))
        sys.stdout.flush()
        bar.update(state(trial) != "retired")

    def report() -> bool:
        """Writes the report so far; returns whether a trial is finished."""
        finished = write_best()
        write_page(study, title, folder, [command.resume, *([command.train_best()] if finished else [])])
        return finished

    try:
        with terminated_as_exit():
            search.run(study, launcher, on_trial)
            bar.close()
            finished = report()
            if finished and options.retrain:
                shared = [*command.flags, *command.overrides, *group]
                retrain(study, shared, options.retrain, folder, TRAIN, options.n_jobs, threads)
                report()
    except (KeyboardInterrupt, SystemExit) as request:
        bar.close()
        report()
        print(f"Interrupted. Continue with: {command.resume}", file=sys.stderr)
        sys.exit(request.code if isinstance(request, SystemExit) else 130)
    print(f"Page: {folder / 'sweep.html'}")
    require(finished, f"no trial finished: see the errors in {folder / 'trials.csv'}")
    print(printable("\n".join([*best_trial(study), f"Train it: {command.train_best()}"])))
