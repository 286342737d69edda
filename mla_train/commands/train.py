"""Trains an attention model on a task, and writes a run folder.

Mistakes in options are reported before torch is loaded.
"""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import hydra
from hydra._internal.utils import get_args_parser
from hydra.conf import HydraConf
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from mla_train.config import TrainConfig
from mla_train.config.compose import to_typed_config
from mla_train.config.help import help_of, help_text
from mla_train.config.overrides import (
    clear_errors,
    compose_overrides,
    config_folders,
    extend_import_path,
    find_choices,
    quote_signs,
)
from mla_train.config.stored import check_targets, read_stored
from mla_train.errors import Interrupted, UserError, close_output, file_errors
from mla_train.program import CONF, as_started, imports, program, run_program
from mla_train.training.launched import launched
from mla_train.training.run_folder import CHOSEN, OF_COMMAND, RunFolder, find_run, is_child

RAISE = "HYDRA_FULL_ERROR"
HELP = ("--help", "-h", "--help-all")


def main() -> None:
    """Trains with the options of the command line, or shows the help."""
    traceback_wanted = os.environ.get(RAISE) == "1"
    words = quote_signs(sys.argv[1:])
    sys.argv[1:] = sorted(words, key=lambda word: word not in ("-m", "--multirun"))  # argparse wants it first
    keys = [after for before, after in pairwise(sys.argv) if before in HELP and not re.search("^-|=", after)]
    words = [word for word in sys.argv[1:] if word not in (*HELP, *keys)]
    help_wanted = len(words) < len(sys.argv) - 1
    try:
        with file_errors():
            extend_import_path(words)
            if help_wanted:  # shows the options of the choices that are given
                config = compose_overrides(CONF, words)
                folders = config_folders(CONF, words)
                choices = find_choices(folders)
                texts = [help_of(config, key, folders) for key in keys]
                print(
                    "\n".join(texts or [as_started(help_text(config, choices, "--help-all" in sys.argv))]), flush=True
                )
                return
            if _is_one_run(words):
                _train(compose_overrides(CONF, words), get_args_parser().parse_args(words).overrides)
                return
            with clear_errors(CONF, words), _raised_by_hydra():
                _run_hydra()
    except UserError as error:
        if traceback_wanted:
            raise
        print(error if isinstance(error, Interrupted) else f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code if isinstance(error, Interrupted) else 2)
    except KeyboardInterrupt:
        print("Interrupted. Continue with resume=auto", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        close_output()  # the reader, such as `| head`, has closed the pipe
        if not help_wanted and not any(word.startswith("--cfg") for word in words):
            print("error: the standard output was closed. Continue with resume=auto", file=sys.stderr)
        sys.exit(1)


def _is_one_run(words: list[str]) -> bool:
    """Whether a command line trains once: then its config is composed once, which Hydra's own way does twice."""
    options = vars(get_args_parser().parse_args(words))
    of_hydra = any(override.lstrip("+~").startswith("hydra") for override in options.pop("overrides"))
    return not of_hydra and not any(value for name, value in options.items() if name not in ("run", "config_dir"))


@contextmanager
def _raised_by_hydra() -> Iterator[None]:
    """Lets Hydra raise errors instead of printing them and exiting; other commands of this process are not concerned."""
    before = os.environ.get(RAISE)
    os.environ[RAISE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[RAISE]
        else:
            os.environ[RAISE] = before


def _run_hydra() -> None:
    """Composes the config and runs the job, or the jobs of a multirun.

    Raises:
        UserError: Error of the job; Hydra would print a line of its own before raising it.
    """
    stopped: list[UserError] = []

    def job(composed: DictConfig) -> None:
        try:
            _job(composed)
        except UserError as error:
            if HydraConfig.get().mode is RunMode.MULTIRUN:
                if isinstance(error, Interrupted):  # the remaining jobs stop, too
                    print(error, file=sys.stderr)
                    sys.exit(error.exit_code)
                raise
            stopped.append(error)

    hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")(job)()
    if stopped:
        raise stopped[0]


def _job(composed: DictConfig) -> None:
    """Runs one job of a multirun."""
    details = HydraConfig.get()
    config = to_typed_config(composed)
    if details.mode is RunMode.MULTIRUN:
        h = config.hardware
        if h.strategy != "auto" or str(h.devices) != "1":
            raise UserError(
                f"-m cannot be combined with hardware.strategy={h.strategy} and hardware.devices={h.devices}: each "
                "process would start the whole multirun again; run the jobs one by one"
            )
        if config.run_dir:
            config.run_dir = str(Path(config.run_dir) / str(details.job.num))
        sys.argv = _job_command(details, config.run_dir)
    _train(config, details.overrides.task)


def _train(config: TrainConfig, overrides: Sequence[str]) -> None:
    """Trains, after all mistakes that need no torch have been answered.

    Args:
        config: Config of the run.
        overrides: Words that it was composed of.
    """
    words = [word for word in overrides if word.partition("=")[0] not in OF_COMMAND]
    if config.resume not in (None, "auto") and not words:
        config = _stored_config(config)
    launch = launched()
    if launch is not None:
        launch.apply(config.hardware)
        if launch.rank:
            folder_of_first = launch.chosen()
            if folder_of_first is not None:
                os.environ[CHOSEN] = str(folder_of_first)
                _run(config, RunFolder(folder_of_first))
            return
    folder = find_run(config)
    if not folder.is_finished:
        from mla_train.data.preflight import check_files
        from mla_train.data.reading import read_ahead
        from mla_train.model_files import check_models

        check_files(config.data)
        if not folder.resumed:  # a run that is resumed has its weights
            check_models(config)
        read_ahead(config.data)
    print("loading torch ...", flush=True)  # takes seconds: mistakes that need no torch have been answered
    _run(config, folder)


def _run(config: TrainConfig, folder: RunFolder) -> None:
    """Trains, and writes the report."""
    with imports():
        from mla_train.report.run_report import report_run, write_report
        from mla_train.report.runs import REPORT
        from mla_train.training.run import run

    tracker = None
    if config.logger.wandb is not None:
        from mla_train.report.wandb import WandbTracker

        tracker = WandbTracker()
    was_finished = folder.is_finished
    run(config, folder, tracker, report_run)
    if (
        was_finished and not is_child() and not (folder.path / REPORT).is_file()
    ):  # stopped between the results and the report
        write_report(folder.path, config)


def _job_command(details: HydraConf, run_dir: str | None) -> list[str]:
    """The command line that runs one job of a multirun by itself."""
    words = [word for word in details.overrides.task if not word.startswith("run_dir=")]
    added = [source.path for source in details.runtime.config_sources if source.provider == "command-line"]
    flags = [word for path in added for word in ("--config-dir", path)]
    first = sys.argv[0] if program()[0] == "mla-train" else "train.py"
    return [first, *flags, *words, *([f"run_dir={run_dir}"] if run_dir else [])]


def _stored_config(config: TrainConfig) -> TrainConfig:
    """Config of a run that `resume=PATH` continues: all other options are those of the run."""
    assert config.resume is not None
    file = Path(config.resume) / "config.yaml"
    if not file.is_file():
        raise UserError(f"resume={config.resume}: there is no run in that folder (no config.yaml)")
    stored = read_stored(file)
    check_targets(stored, file)
    return to_typed_config(stored | {key: getattr(config, key) for key in OF_COMMAND})


if __name__ == "__main__":  # a process of a run on several devices, or of a sweep
    run_program(main)
