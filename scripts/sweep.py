"""Which settings are best? `python scripts/sweep.py task=text_classification sweep=quick`.

Words are key=value. The sweep's own:

    sweep      a search space of conf/sweep: default, quick, attention; with --config-dir FOLDER one of FOLDER/sweep
    trials     how many, those that were pruned or failed included
    hours      no trial begins after so many
    n_jobs     trials at a time
    sampler    tpe, random, grid or gp                 pruner    median, halving or none
    objective  a metric of val/; the task's own if none is named
    retrain    so many of the best are trained again with three seeds
    run_dir    the sweep's folder; the same command goes on with what is there
    storage    a database URL for several machines; else a file in the folder

All other words go to train.py. In the folder: trials.csv, experiment/best.yaml, sweep.html and a run folder a trial.
"""

import os
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import FrozenTrial, TrialState
from tqdm import tqdm

from mla_train.config import TrainConfig
from mla_train.config.compose import explain_error
from mla_train.config.overrides import (
    Choices,
    compose_overrides,
    config_dir_argument,
    extend_import_path,
    parse_overrides,
)
from mla_train.errors import UserError, did_you_mean, require
from mla_train.studies.space import OWN, Choice, Sampler, SweepOptions, first_settings, read_options, word
from mla_train.studies.wandb_group import group_words
from mla_train.training.run_folder import plain

CONF = Path(__file__).resolve().parent.parent / "conf"
TRAIN = CONF.parent / "train.py"


def check_space(words: list[str], space: dict[str, Choice]) -> None:
    """Composes each choice once, so that a misspelled one is said before hours are spent."""
    for name, choice in space.items():
        values = choice.grid(name) if hasattr(choice, "values") else [choice.low, choice.high]
        for value in values:
            compose_overrides(CONF, [*words, f"{name}={word(value)}"])


def main() -> None:
    """Reads the words and sweeps."""
    words = sys.argv[1:]
    if any(each in ("-h", "--help") for each in words):
        print(__doc__)
        return
    try:
        sweep(read_command(words))
    except (UserError, HydraException, OmegaConfBaseException) as error:
        print(f"error: {error if isinstance(error, UserError) else explain_error(error)}", file=sys.stderr)
        sys.exit(2)


@dataclass(frozen=True)
class Command:
    """What the words ask for.

    Attributes:
        flags: --config-dir and its folder.
        passed: Words for every trial.
        config: Of a trial, but for what is searched.
        options: The sweep's own.
        space: What is searched.
        choices: All that can be chosen.
        folder: Where all is left.
        again: The command that goes on.
    """

    flags: list[str]
    passed: list[str]
    config: TrainConfig
    options: SweepOptions
    space: dict[str, Choice]
    choices: Choices
    folder: Path
    again: str

    def use(self) -> str:
        """The command that trains the best settings; Hydra takes one --config-dir."""
        more = [*self.flags, f"hydra.searchpath=[file://{self.folder.resolve()}]"]
        task = f"task={self.config.task.name}"
        words = [*(more if self.flags else ["--config-dir", str(self.folder)]), task, "experiment=best"]
        return shlex.join(["python", "train.py", *words])


def read_command(words: list[str]) -> Command:
    """Reads and checks all words; no torch here.

    Raises:
        UserError: A word is wrong.
    """
    added = config_dir_argument(words)
    flags = [] if added is None else ["--config-dir", str(added)]
    arguments = get_args_parser().parse_args(words)
    require(not arguments.multirun, "-m belongs to train.py: a sweep chooses the jobs itself")
    given = arguments.overrides
    parse_overrides(given)
    own = {key: value for key, _, value in (word.partition("=") for word in given) if key in (*OWN, "sweep", "run_dir")}
    passed = [word for word in given if word.partition("=")[0] not in own]
    fixed = {word.partition("=")[0] for word in passed}
    require("resume" not in fixed, "resume= is a run's; a sweep goes on when its command is given again")
    require("test" not in fixed, "test= is a run's; trials never look at test, the best trained again (retrain=5) do")
    choices = Choices([CONF, *([added] if added else [])])
    name, chosen = own.pop("sweep", "default"), own.pop("run_dir", None)
    known = choices.groups["sweep"]
    require(name in known, f"sweep={name}: there is no such sweep. {did_you_mean(name, known)}")
    file = next(file for folder in choices.folders if (file := folder / "sweep" / f"{name}.yaml").is_file())
    extend_import_path(words)
    config = compose_overrides(CONF, [*flags, *passed], [*OWN, "sweep"])
    options, space = read_options(file, config.task.name, [f"{key}={value}" for key, value in own.items()])
    space = {place: choice for place, choice in space.items() if place not in fixed}
    require(bool(space), "all that this sweep searches is fixed by the command; leave a word away")
    if options.sampler is Sampler.grid:
        for place, choice in space.items():
            choice.grid(place)
    check_space([*flags, *passed], space)
    fresh = f"{config.task.name}_{name}_{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder = Path(chosen or Path("runs") / "sweeps" / fresh)
    again = shlex.join(["python", "scripts/sweep.py", *words, *([] if chosen else [f"run_dir={folder}"])])
    return Command(flags, passed, config, options, space, choices, folder, again)


def sweep(command: Command) -> None:
    """Runs a sweep to the end of its budget.

    Raises:
        UserError: What is asked for cannot work, or nothing was finished.
    """
    print("loading torch ...", flush=True)

    from mla_train.studies.best import best_recipe, retrain, settings
    from mla_train.studies.launch import Launcher, homes
    from mla_train.studies.sweep import Sweep, goal_of
    from mla_train.studies.sweep_page import state, write_page, write_trials

    config, options, where = command.config, command.options, command.folder
    threads = config.hardware.threads or max(1, (os.cpu_count() or 1) // options.n_jobs)
    one_process = config.hardware.strategy == "auto" and str(config.hardware.devices) == "1"
    group = group_words(config, where, "sweep")
    preload = homes(config.task._target_, config.data._target_)
    launcher = Launcher(TRAIN, one_process, preload, threads, group)
    goal = goal_of(config, options.objective)
    first = first_settings(command.space, plain(config))
    # Settings are chosen by val; what is told of test belongs to the settings that were chosen.
    words = [*command.flags, "test=false", *command.passed]
    search = Sweep(options, command.space, first, words, goal, where, config.seed, config.epochs)
    study = search.open()
    title = f"{goal.metric} of {config.task.name} on {config.data.name}"
    print(f"{title}: up to {search.budget} trials in {where}")
    bar = tqdm(total=search.budget, initial=search.begun(study), unit="trial", disable=not sys.stderr.isatty())

    def told(trial: FrozenTrial) -> None:
        write_trials(study, where / "trials.csv")
        value = "" if trial.value is None else f"{trial.value:.4f}"
        said = [" ".join(settings(trial)), *([trial.user_attrs["error"]] if "error" in trial.user_attrs else [])]
        line = f"{trial.number:4d} {state(trial):8s} {value:6s} {trial.user_attrs.get('seconds', 0):5.0f} s  {'  '.join(said)}"
        if any(t.state is TrialState.COMPLETE for t in study.get_trials(deepcopy=False)):
            best_recipe(study, command.passed, set(command.choices.groups), where / "experiment" / "best.yaml")
            best = study.best_trial
            line += "  *" if best.number == trial.number else ""
            bar.set_postfix_str(f"best {best.value:.4f} ({best.number})")
        tqdm.write(line)
        sys.stdout.flush()
        bar.update(state(trial) != "retired")

    def show() -> bool:
        """Writes the page, of as much as there is; says whether a trial is finished."""
        write_trials(study, where / "trials.csv")
        finished = any(trial.state is TrialState.COMPLETE for trial in study.trials)
        write_page(study, title, where, [command.again, *([command.use()] if finished else [])])
        return finished

    try:
        search.run(study, launcher, told)
        bar.close()
        finished = show()
        if finished and options.retrain:
            again = [*command.flags, *command.passed, *group]
            retrain(study, again, options.retrain, where, TRAIN, options.n_jobs, threads)
            show()
    except KeyboardInterrupt:
        bar.close()
        show()
        print(f"Stopped; go on with: {command.again}", file=sys.stderr)
        sys.exit(130)
    print(f"Page: {where / 'sweep.html'}")
    require(finished, f"no trial was finished; {where / 'trials.csv'} says why")
    print(f"Best: {study.best_value:.4f} with {' '.join(settings(study.best_trial))}\nTrain it: {command.use()}")


if __name__ == "__main__":
    main()
