"""A run from config to results: data, network, training, one evaluation of the test split, files of the run folder."""

import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.exceptions import SIGTERMException

from mla_train.checks import Check, problems_of, safe_checks
from mla_train.config import ResumeData, TrainConfig
from mla_train.data.sampling import DataPosition
from mla_train.data.split_file import SPLITS_FILE, write_splits
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.errors import FILE_ERRORS, Interrupted, UserError, printable
from mla_train.fingerprint import check_same_data, fingerprint
from mla_train.inference.artifact import save_description, save_model
from mla_train.locks import open_own
from mla_train.masking import mask, mask_command
from mla_train.model_files import SPEC, independent
from mla_train.safe_files import finished_name
from mla_train.task import build_task
from mla_train.training.attention_callback import AttentionStatistics
from mla_train.training.budget import Budget
from mla_train.training.checkpoint_files import (
    check_fits,
    model_weights,
    own_state,
    read_checkpoint,
    recover,
    require_kept,
)
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.evaluation import choices, compute_baselines, evaluate, keeps_last
from mla_train.training.factory import build_trainer, check_hardware
from mla_train.training.fine_tuning import describe_frozen, freeze
from mla_train.training.launched import launched
from mla_train.training.loaders import evaluation_loader, train_loader
from mla_train.training.loggers import CsvLogger
from mla_train.training.module import TrainingModule
from mla_train.training.processes import end_together, watch_first
from mla_train.training.progress import RunProgress
from mla_train.training.resources import out_of_memory_reported, require_room
from mla_train.training.results import draw_figures, read_results, show, write_results
from mla_train.training.run_folder import RunFolder, is_child, require_config, resume_command
from mla_train.training.run_lock import lock_run, require_owned
from mla_train.training.start_weights import describe_start, load_start, start_fingerprint


class Tracker(Protocol):
    """A service that logs a run in addition to metrics.csv, such as W&B: see mla_train/report/wandb.py."""

    def logger(self, config: TrainConfig, folder: Path, directions: Mapping[str, str]) -> Any:
        """A Lightning logger."""

    def log_run(self, run: "FinishedRun") -> None:
        """Called when the run has finished."""

    def close(self, succeeded: bool) -> None:
        """Called at the end, also after an error."""


@dataclass
class FinishedRun:
    """A finished run, for a tracker: contents of results.json, the number of the last step, and checks of the data."""

    config: TrainConfig
    folder: RunFolder
    data: Dataset
    results: dict[str, Any]
    step: int
    checks: list[Check]


def run(
    config: TrainConfig,
    folder: RunFolder,
    tracker: Tracker | None = None,
    report: Callable[["FinishedRun"], None] | None = None,
) -> dict[str, Any]:
    """Trains, evaluates and writes the run folder.

    Args:
        config: Full config of the run.
        folder: Run folder, from `find_run`.
        tracker: Service that logs the run.
        report: Called with the finished run, to write pages for people.

    Returns:
        Contents of results.json; empty on all processes but the first.

    Raises:
        UserError: Something in config or data is not as it must be.
        Interrupted: The run was asked to stop.
    """
    if folder.is_finished and not is_child():
        return _show_finished(folder)
    if is_child():
        watch_first(resume_command(folder))
    check_hardware(config)
    had_results = folder.results.exists()
    if config.hardware.threads:
        torch.set_num_threads(config.hardware.threads)
    try:
        with lock_run(folder, config) as folder, log_file(folder.path / "log.txt"):
            if folder.results.exists() and not had_results:  # another process has just finished it
                return _show_finished(folder)
            try:
                return _train(config, folder, tracker, report)
            except OSError:
                require_owned(folder)  # else there is nothing wrong with the disk
                raise
    except (KeyboardInterrupt, Interrupted):
        if folder.results.exists() and not had_results:  # its pages are not complete: as where it was killed
            folder.lock.touch()
        raise
    except OSError as error:
        if error.errno not in FILE_ERRORS or not _is_about(error, folder.path):
            raise
        then = "start again" if folder.nothing_done() else f"continue with: {resume_command(folder)}"
        name = error.filename2 or error.filename
        what = f" ({finished_name(name)})" if isinstance(name, str) and Path(name) != folder.path else ""
        raise UserError(
            f"cannot write to {folder.path}: {error.strerror}{what}. Make room or allow it, then {then}"
        ) from error


def _show_finished(folder: RunFolder) -> dict[str, Any]:
    if (launch := launched()) is not None:
        launch.announce(None)
    results = read_results(folder.results)
    print(f"{folder.path} is finished already.")
    show(results, folder.path)
    return results


def _is_about(error: OSError, folder: Path) -> bool:
    """Whether an error may be about a folder: it names no file, or one in the folder or above it."""
    if not isinstance(error.filename, str):
        return True
    file, folder = Path(error.filename).resolve(), folder.resolve()
    return file.is_relative_to(folder) or folder.is_relative_to(file)


def _train(
    config: TrainConfig,
    folder: RunFolder,
    tracker: Tracker | None,
    report: Callable[["FinishedRun"], None] | None,
) -> dict[str, Any]:
    if not is_child():
        recover(folder)
        print("reading the data ...", flush=True)
    has_inputs = folder.resumed and (folder.model / SPEC).is_file()
    task = build_task(independent(config, folder.model) if has_inputs else config)
    data = task.load_data()
    if config.debug.overfit:
        data = data.overfit(config.debug.overfit)
    torch.manual_seed(config.seed)
    module = TrainingModule(config, task, task.build_model(data.spec))
    data = replace(data, notes=[*data.notes, *module.model.head.choices()])
    last = folder.last if folder.resumed else None
    known, taken = fingerprint(data), None
    if last is not None:
        accept = config.resume_data is ResumeData.accept
        checkpoint = read_checkpoint(last)
        state = own_state(checkpoint)
        before = state.get("data", known)
        changes = check_same_data(before, known, folder.path, accept)
        accepted = [f"resumed on other data: {change} (resume_data)" for change in changes]
        if accepted := [*before.get("accepted", []), *accepted]:
            known["accepted"] = accepted  # for the next resumption, which finds the data as it is in this checkpoint
        taken = state.get("init", taken)
        known |= {"starts": before["starts"]} if "starts" in before else {}
        require_config(state.get("config"), config, folder)
        data.notes.extend(known.get("accepted", []))
        require_kept(checkpoint, folder)
        check_fits(checkpoint, module)
    elif not is_child():
        require_room(folder, module)
    if not (config.debug.overfit or is_child()):
        write_splits({split: getattr(data, split).names for split in SPLITS}, folder.path / SPLITS_FILE)
    if not (has_inputs or is_child()) and (config.init.source or getattr(config.data, "tokenizer", None)):
        save_description(
            data.spec, config, folder.model
        )  # the run that gave its vocabulary may be gone when this is resumed
    start = task.init_from_data(module.model, data) if last is None else ""
    if last is None and config.init.source is not None:
        taken = load_start(module.model, config)
        known |= start_fingerprint(config)
    data.notes.extend([*describe_start(taken), *describe_frozen(module.model, config)])
    if not config.init.unfreeze_epochs:  # else before each step, as the optimizer has to know all weights
        freeze(module.model, config)
    keep_last = keeps_last(config, data)
    progress, position = RunProgress(), DataPosition()
    checkpoints = Checkpoints(folder, config, position, known, keep_last, start, taken)
    loggers = _loggers(config, folder, module, tracker)
    budget = [Budget(config.budget_minutes, progress)] if config.budget_minutes else []
    callbacks = [progress, *_statistics(config, data), *budget, checkpoints]
    trainer = build_trainer(config, folder, module, callbacks, loggers, validate_first=bool(start))
    rank, world_size = trainer.global_rank, trainer.world_size
    checks: list[Check] = []
    if trainer.is_global_zero:
        checks = [] if config.debug.overfit else safe_checks(data)  # there all splits are the same
        problems = [f"look at: {problem}" for problem in problems_of(checks)]
        lines = [*data.notes, *problems, *choices(config, keep_last, start), _headline(config, data, module, folder)]
        print(printable(mask("\n".join(lines))), flush=True)
    if config.hardware.compile:
        module.compile()
    try:
        train = train_loader(data, config, position, rank, world_size)
        val = evaluation_loader(data, config, "val", rank, world_size)
        with end_together(trainer, resume_command(folder)), out_of_memory_reported(config.batch_size, module.model):
            try:
                trainer.fit(module, train, val, ckpt_path=last, weights_only=True)
            except SIGTERMException as request:  # until the first step Lightning has the signal, and would exit with 0
                raise Interrupted(
                    f"Stopped at the start of the training. Continue with: {resume_command(folder)}",
                    128 + signal.SIGTERM,
                ) from request
            checkpoints.validate_end(trainer, module, val)
            evaluations, begun = evaluate(config, folder, data, module, trainer, val, checkpoints)
        if not trainer.is_global_zero:
            return {}
        if module.skipped_steps:
            steps = f"{module.skipped_steps:,} of {trainer.global_step:,} steps"
            data.notes.append(
                f"{steps} were left out, as their loss or gradients were not finite (optimizer.skip_nonfinite)"
            )
        require_owned(folder)
        spec = replace(data.spec, target=module.model.head.spec)  # with what was tuned on val
        selected = "start.ckpt" if begun and begun["kept"] else "best.ckpt"
        weights = model_weights(folder.checkpoints / selected)
        save_model(weights, spec, config, folder.model)
        if config.hardware.strategy == "fsdp":  # the other parts of the weights are gone with their processes
            module.model = task.build_model(spec)
            module.model.load_state_dict(weights)
        baselines = compute_baselines(config, task, data, progress.wall_seconds)
        module.eval()
        if "test" in evaluations:
            test = {f"test/{name}": value for name, value in evaluations["test"].metrics.items()}
            for logger in trainer.loggers:
                logger.log_metrics(test, trainer.global_step)
        results = write_results(
            config, folder, module, data, evaluations, baselines, begun, checkpoints, progress, checks
        )
        if "test" in evaluations:
            draw_figures(folder, module, data, evaluations["test"], checkpoints.best_epoch)
        finished = FinishedRun(config, folder, data, results, trainer.global_step, checks)
        if report is not None:
            report(finished)
        if tracker is not None:
            tracker.log_run(finished)
        require_owned(folder)  # a page or a figure that could not be written is a note
        show(results, folder.path)
        return results
    finally:
        succeeded = folder.results.is_file()
        for logger in trainer.loggers:
            logger.finalize("success" if succeeded else "failed")
        if tracker is not None:
            tracker.close(succeeded)


def _loggers(config: TrainConfig, folder: RunFolder, module: TrainingModule, tracker: Tracker | None) -> list[Any]:
    loggers: list[Any] = [CsvLogger(folder.path / "metrics.csv")]
    if tracker is not None:
        loggers.append(tracker.logger(config, folder.path, module.directions))
    if config.logger.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(folder.path, name="", version="tensorboard"))
    return loggers


def _statistics(config: TrainConfig, data: Dataset) -> list[Callback]:
    """Curves of attention, if W&B or TensorBoard logs them and modules can be called one example at a time."""
    watched = config.logger.wandb is not None or config.logger.tensorboard
    possible = not config.hardware.compile and config.hardware.strategy != "fsdp"
    return [AttentionStatistics(data)] if watched and possible else []


def _headline(config: TrainConfig, data: Dataset, module: TrainingModule, folder: RunFolder) -> str:
    parameters = sum(p.numel() for p in module.model.parameters())
    encoder = config.encoder
    train, val, test = map(data.count, ("train", "val", "test"))
    return (
        f"{config.task.name} on {config.data.name}: {train:,} training, {val:,} validation, {test:,} test examples\n"
        f"{module.task.architecture}, {encoder.depth} blocks of width {encoder.dim}, {parameters:,} parameters in all\n"
        f"{'resuming' if folder.resumed else 'run folder'} {folder.path}"
    )


class _LogFile(logging.FileHandler):
    """Without a traceback on the terminal for each message that a full disk has no room for."""

    def _open(self) -> Any:
        """Opens the file, which must not be a link."""
        return os.fdopen(open_own(Path(self.baseFilename), os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
        """Lets the message go."""

    def close(self) -> None:
        """Closes the file, whatever is left to be written."""
        with suppress(OSError):
            super().close()


class _Formatter(logging.Formatter):
    """Messages and tracebacks without secrets and without control characters, which could steer a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(mask(super().format(record)))


@contextmanager
def log_file(file: Path) -> Iterator[None]:
    """Sends messages of libraries to a file and keeps the terminal for the progress bar and the metrics."""
    handler = _LogFile(file)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    libraries = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [(library, library.handlers, library.propagate) for library in libraries]
    for library in libraries:
        library.handlers, library.propagate = [], True
        library.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
    logging.getLogger("mla_train").info("command: %s", mask_command(sys.argv))
    try:
        yield
    except Interrupted as request:
        logging.getLogger("mla_train").info("%s", request)
        raise
    except Exception as error:
        logging.getLogger("mla_train").error("%s", error, exc_info=not isinstance(error, UserError))
        raise
    finally:
        for library, handlers, propagate in before:
            library.handlers, library.propagate = handlers, propagate
        logging.captureWarnings(False)
        root.removeHandler(handler)
        handler.close()
