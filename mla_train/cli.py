"""The command: reads the words, answers mistakes at once, hands over to the run."""

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra._internal.utils import get_args_parser
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mla_train.compose import Choices, check_overrides, explain, flatten, parse_overrides, typed
from mla_train.config import TrainConfig
from mla_train.errors import Interrupted, UserError
from mla_train.training.run_folder import find_run


def main(config_dir: Path) -> None:
    """Runs `train.py` with the words of the command line.

    Args:
        config_dir: The folder conf/.
    """
    traceback_wanted = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors come to us as they are, instead of Hydra printing and exiting
    sys.argv[1:] = sorted(sys.argv[1:], key=lambda word: word not in ("-m", "--multirun"))  # argparse wants it first
    try:
        _extend_import_path()
        try:
            _run_hydra(config_dir)
        except ValueError as error:
            if "Config group override" not in str(error):
                raise
            raise UserError(
                "a choice is missing: task=, data= and the other groups each need the name of a choice"
            ) from None
        except HydraException:
            _name_the_wrong_word(config_dir)
            raise
    except (UserError, HydraException, OmegaConfBaseException) as error:
        if traceback_wanted:
            raise
        message = str(error) if isinstance(error, UserError) else explain(error)
        print(message if isinstance(error, Interrupted) else f"error: {message}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, Interrupted) else 2)
    except KeyboardInterrupt:
        print("Stopped; a run that had begun goes on with resume=auto", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        if not any(word in ("--help", "-h") or word.startswith("--cfg") for word in sys.argv):
            raise
        # `| head` has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run_hydra(config_dir: Path) -> None:
    """Composes the config and runs the job, or the jobs of a multirun.

    Raises:
        UserError: What the job raised; Hydra would print a line of its own before letting it pass.
    """
    stopped: list[UserError] = []

    def job(composed: DictConfig) -> None:
        try:
            _job(composed)
        except UserError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                if isinstance(error, Interrupted):  # asked to stop: the other jobs too
                    print(error, file=sys.stderr)
                    sys.exit(error.exit_code)
                raise
            stopped.append(error)

    hydra.main(version_base="1.3", config_path=str(config_dir), config_name="train")(job)()
    if stopped:
        raise stopped[0]


def _extend_import_path() -> None:
    """Tasks and data sets of one's own are imported from the folder of --config-dir.

    Raises:
        UserError: There is no such folder, or a flag is unknown.
    """
    arguments, unknown = get_args_parser().parse_known_args(sys.argv[1:])
    if unknown:
        raise UserError(f"unknown flag {unknown[0]}; options are written key=value, and --help lists them")
    if arguments.config_dir:
        folder = Path(arguments.config_dir).resolve()
        if not folder.is_dir():
            raise UserError(f"--config-dir {arguments.config_dir}: there is no such folder")
        sys.path.insert(0, str(folder))


def _name_the_wrong_word(config_dir: Path) -> None:
    """Finds what is misspelled, after Hydra has said only that something is not there.

    Raises:
        UserError: Names the word and the nearest right one.
    """
    arguments = get_args_parser().parse_args(sys.argv[1:])
    folders = [config_dir, *([Path(arguments.config_dir).resolve()] if arguments.config_dir else [])]
    choices = Choices(folders)
    overrides = parse_overrides(arguments.overrides)
    chosen = [o.input_line for o in overrides if o.key_or_group in choices.groups and o.input_line]
    check_overrides(chosen, choices, set())
    plain = [o.input_line for o in parse_overrides(chosen) if o.input_line and not o.is_sweep_override()]
    search_path = [f"hydra.searchpath=[{','.join(f'file://{folder}' for folder in folders[1:])}]"]
    with hydra.initialize_config_dir(str(config_dir), version_base="1.3"):
        config = hydra.compose("train", plain + (search_path if folders[1:] else []))
    check_overrides(arguments.overrides, choices, set(flatten(OmegaConf.to_container(config))))


def _job(composed: DictConfig) -> None:
    """One run, or one of a multirun."""
    details = HydraConfig.get()
    config = typed(composed)
    if details.mode is RunMode.MULTIRUN:
        h = config.hardware
        if h.strategy != "auto" or str(h.devices) != "1":
            raise UserError(
                f"-m cannot be combined with hardware.strategy={h.strategy} and hardware.devices={h.devices}: each "
                "process would start the whole multirun again; run the jobs one by one"
            )
        if config.run_dir:
            config.run_dir = str(Path(config.run_dir) / str(details.job.num))
    words = [word for word in details.overrides.task if not word.startswith(("resume=", "run_dir="))]
    if config.resume not in (None, "auto") and not words:
        config = _stored_config(config)
    folder = find_run(config)
    print("loading torch ...", flush=True)  # takes seconds; all that could be answered without it has been

    from mla_train.training.run import run

    run(config, folder)


def _stored_config(config: TrainConfig) -> TrainConfig:
    """`resume=PATH` alone takes all else from the run's own config."""
    assert config.resume is not None
    file = Path(config.resume) / "config.yaml"
    if not file.is_file():
        raise UserError(f"resume={config.resume}: there is no run in that folder (no config.yaml)")
    stored: Any = OmegaConf.load(file)
    stored.resume = config.resume
    stored.run_dir = config.run_dir
    return typed(stored)
