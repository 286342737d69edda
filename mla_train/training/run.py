"""A run from config to results: data, network, training, one look at the test split, and what is left behind."""

import errno
import logging
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from math import inf
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import WandbLogger

from mla_train.config import TrainConfig
from mla_train.data.module import DataModule
from mla_train.data.sampling import TrainSampler
from mla_train.errors import Interrupted, UserError
from mla_train.training.build import build_data, build_task, build_trainer, check_hardware
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.loaders import evaluation_loader, train_loader
from mla_train.training.model_folder import save_model
from mla_train.training.progress import RunProgress
from mla_train.training.results import read_results, show, write_results
from mla_train.training.run_folder import RunFolder, alone, is_child, prepare_run, resume_command
from mla_train.training.task import Evaluation, Task
from mla_train.training.wandb_run import log_results

Media = Callable[[WandbLogger, DataModule, RunFolder, int], None]
"""Shows on W&B what a finished run has left; such as `mla_train.inspect.wandb_media.log_media`."""
DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO}


def run(config: TrainConfig, folder: RunFolder, media: Media | None = None) -> dict[str, Any]:
    """Trains, evaluates and leaves a run folder behind.

    Args:
        config: All choices.
        folder: Where to, from `find_run`.
        media: What is called at the end if W&B is among the loggers.

    Returns:
        What results.json says; empty on all processes but the first.

    Raises:
        UserError: Something in config or data is not as it must be.
        Interrupted: The run was asked to stop.
    """
    if folder.results.is_file():
        print(f"{folder.path} is finished already.")
        results = read_results(folder.results)
        show(results, folder.path)
        return results
    check_hardware(config)
    if config.hardware.threads:
        torch.set_num_threads(config.hardware.threads)
    data = build_data(config)
    data.setup()
    torch.manual_seed(config.seed)
    task = build_task(config, data.facts)
    existed = folder.path.exists()
    folder = prepare_run(folder, config)
    try:
        with alone(folder), log_file(folder.path / "log.txt"):
            return _train(config, folder, data, task, media)
    except OSError as error:
        if error.errno not in DISK_TROUBLE:
            raise
        raise UserError(
            f"cannot write to {folder.path}: {error.strerror}. Make room, then go on with: {resume_command(folder)}"
        ) from error
    finally:
        if (
            folder.nothing_done() and not is_child()
        ):  # a command that cannot work leaves nothing behind that would block the next
            shutil.rmtree(folder.path)
            if existed:
                folder.path.mkdir()


def _train(config: TrainConfig, folder: RunFolder, data: DataModule, task: Task, media: Media | None) -> dict[str, Any]:
    progress = RunProgress(config.batch_size)
    trainer = build_trainer(config, folder, task, data, progress)
    rank, world_size = trainer.global_rank, trainer.world_size
    loader = train_loader(data, config, rank, world_size)
    assert isinstance(loader.batch_sampler, TrainSampler)
    r = config.regularization
    checkpoints = Checkpoints(
        folder.checkpoints,
        loader.batch_sampler,
        config.checkpoint.every_minutes,
        resume_command(folder),
        config.checkpoint.keep,
        # Who wants averaged weights gets them: earlier epochs are not candidates.
        first=(trainer.max_epochs or 0) - r.average_epochs + 1 if r.average_epochs else 0,
    )
    trainer.callbacks.append(checkpoints)  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        print("\n".join([*data.notes, _headline(config, data, task, folder)]), flush=True)
    if config.hardware.compile:
        task.compile()
    try:
        val = evaluation_loader(data, config, "val", rank, world_size)
        last = folder.checkpoints / "last.ckpt" if folder.resumed else None
        if last is not None:
            check_readable(last)
        if last is None and task.begin(data):
            trainer.num_sanity_val_steps = inf
        trainer.fit(task, loader, val, ckpt_path=last, weights_only=True)
        # Best weights are averaged already, and counters stand at the end: neither is to be restored with the weights.
        trainer.callbacks = []  # type: ignore[attr-defined]
        evaluations = {}
        best = folder.checkpoints / "best.ckpt"
        if not best.is_file():
            raise UserError(
                f"{best} is missing: it was removed, or no validation score was a number. "
                f"Remove {folder.path} and run again"
            )
        trainer.validate(task, val, ckpt_path=best, weights_only=True, verbose=False)
        evaluations["val"] = _taken(task, config, data, "val")
        if config.test:
            trainer.test(task, evaluation_loader(data, config, "test", rank, world_size), verbose=False)
            evaluations["test"] = _taken(task, config, data, "test")
        if not trainer.is_global_zero:
            return {}
        save_model(best, data.facts, folder.model)
        scores = {}
        if config.test and not (config.debug.fast or config.debug.overfit):
            print("computing baselines ...", flush=True)
            scores = {
                name: {k: v for k, v in task.metrics(predictions).items() if k != "loss"}
                for name, predictions in task.baselines(data).items()
            }
        if config.test:
            from mla_train.training.curves import draw_curves

            draw_curves(folder.path / "metrics.csv", task.monitor, folder.figures / "curves.png")
        if config.debug.overfit:  # evaluated on the first training examples
            data = copy(data)
            data.test = data.train
        results = write_results(config, folder, task.eval(), data, evaluations, scores, checkpoints, progress)
        if "test" in evaluations:
            found = {f"test/{name}": value for name, value in evaluations["test"].metrics.items()}
            for logger in trainer.loggers:
                logger.log_metrics(found, trainer.global_step)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                _tell_wandb(logger, config, folder, data, results, media, trainer.global_step)
        show(results, folder.path)
        return results
    finally:
        for logger in trainer.loggers:
            logger.finalize("success" if folder.results.is_file() else "failed")
        if config.logger.wandb is not None:
            import wandb

            wandb.finish(exit_code=0 if folder.results.is_file() else 1)


def _tell_wandb(
    logger: WandbLogger,
    config: TrainConfig,
    folder: RunFolder,
    data: DataModule,
    results: dict[str, Any],
    media: Media | None,
    step: int,
) -> None:
    """Scores for the summary; of a run that looked at test also its models and what it left for people."""
    models = {}
    if config.test:
        models = {"last": folder.path / "wandb" / "last_model", "best": folder.model}
        save_model(folder.checkpoints / "last.ckpt", data.facts, models["last"])
    log_results(logger, results, folder.config, models)
    if config.test and media is not None:
        media(logger, data, folder, step)


def _taken(task: Task, config: TrainConfig, data: DataModule, split: str) -> Evaluation:
    """What was just found, after making sure that no example was left out."""
    assert task.evaluation is not None
    few = config.debug.overfit
    scored = len(task.evaluation.predictions["index"])
    there = data.count("train", few) if few else data.count(split)
    if scored != there and not config.debug.fast:
        raise RuntimeError(f"{scored} of {there} examples of the {split} split were scored")
    return task.evaluation


def check_readable(checkpoint: Path) -> None:
    """Makes sure that a checkpoint is whole and holds nothing but data.

    Raises:
        UserError: It does not.
    """
    try:
        torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a broken file makes the reader stumble over
        raise UserError(
            f"{checkpoint} cannot be read: it is broken or holds more than data. Remove it to begin this run anew"
        ) from error


def _headline(config: TrainConfig, data: DataModule, task: Task, folder: RunFolder) -> str:
    parameters = sum(p.numel() for p in task.parameters())
    e = config.encoder
    train, val, test = map(data.count, ("train", "val", "test"))
    return (
        f"{config.task.name} on {config.data.name}: {train:,} training, {val:,} validation, {test:,} test examples\n"
        f"{task.architecture}, {e.depth} blocks of width {e.dim}, {parameters:,} parameters in all\n"
        f"{'going on in' if folder.resumed else 'run folder'} {folder.path}"
    )


@contextmanager
def log_file(file: Path) -> Iterator[None]:
    """Sends what libraries say into a file and keeps the terminal for the bar and the scores."""
    handler = logging.FileHandler(file)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    libraries = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric", "lightning")]
    kept = [(library, library.handlers, library.propagate) for library in libraries]
    for library in libraries:
        library.handlers, library.propagate = [], True
        library.setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*callbacks used to create the checkpoint need to be provided.*")
    warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
    logging.getLogger("mla_train").info("command: %s", " ".join(sys.argv))
    try:
        yield
    except Interrupted as request:
        logging.getLogger("mla_train").info("%s", request)
        raise
    except Exception as error:
        logging.getLogger("mla_train").error("%s", error, exc_info=not isinstance(error, UserError))
        raise
    finally:
        for library, handlers, propagate in kept:
            library.handlers, library.propagate = handlers, propagate
        logging.captureWarnings(False)
        root.removeHandler(handler)
        handler.close()
