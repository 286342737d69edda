"""A run from config to results: data, network, training, one look at the test split, and what is left behind."""

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
import torch
from hydra.utils import get_class
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from lightning.pytorch.profilers import PyTorchProfiler
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mla_train.config import TrainConfig
from mla_train.data.module import DataModule
from mla_train.data.sampling import TrainSampler
from mla_train.errors import UserError
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.loaders import evaluation_loader, train_loader
from mla_train.training.loggers import CsvLogger, wandb_logger
from mla_train.training.model_folder import save_model
from mla_train.training.progress import RunProgress
from mla_train.training.results import read_results, show, write_results
from mla_train.training.run_folder import RunFolder, plain, prepare_run, resume_command
from mla_train.training.task import Evaluation, Task


def run(config: TrainConfig, folder: RunFolder) -> dict[str, Any]:
    """Trains, evaluates and leaves a run folder behind.

    Args:
        config: All choices.
        folder: Where to, from `find_run`.

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
    folder = prepare_run(folder, config)  # only now: a command that cannot work leaves nothing behind
    with log_file(folder.path / "log.txt"):
        return _train(config, folder, data, task)


def _train(config: TrainConfig, folder: RunFolder, data: DataModule, task: Task) -> dict[str, Any]:
    progress = RunProgress(config.batch_size)
    trainer = build_trainer(config, folder, task, progress)
    rank, world_size = trainer.global_rank, trainer.world_size
    loader = train_loader(data, config, rank, world_size)
    assert isinstance(loader.batch_sampler, TrainSampler)
    checkpoints = Checkpoints(
        folder.checkpoints, loader.batch_sampler, config.checkpoint.minutes, resume_command(folder)
    )
    trainer.callbacks.append(checkpoints)  # type: ignore[attr-defined]
    if trainer.is_global_zero:
        print("\n".join([*data.notes, _headline(config, data, task, folder)]), flush=True)
    if config.hardware.compile:
        task.compile()
    try:
        val = evaluation_loader(data, config, "val", rank, world_size)
        last = folder.checkpoints / "last.ckpt" if folder.resumed else None
        trainer.fit(task, loader, val, ckpt_path=last)
        # Best weights are averaged ones already; the averaging callback would exchange them for the last.
        callbacks = [c for c in trainer.callbacks if not isinstance(c, WeightAveraging)]  # type: ignore[attr-defined]
        trainer.callbacks = callbacks  # type: ignore[attr-defined]
        evaluations = {}
        best = folder.checkpoints / "best.ckpt"
        trainer.validate(task, val, ckpt_path=best, verbose=False)
        evaluations["val"] = _taken(task)
        trainer.test(task, evaluation_loader(data, config, "test", rank, world_size), verbose=False)
        evaluations["test"] = _taken(task)
        if not trainer.is_global_zero:
            return {}
        save_model(task, data.facts, folder.model)
        baselines = {} if config.debug.fast or config.debug.overfit else task.baselines(data)
        scores = {
            name: {k: v for k, v in task.metrics(predictions).items() if k != "loss"}
            for name, predictions in baselines.items()
        }
        results = write_results(config, folder, task, data, evaluations, scores, checkpoints, progress)
        for logger in trainer.loggers:
            logger.log_metrics(
                {f"test/{name}": value for name, value in evaluations["test"].metrics.items()}, trainer.global_step
            )
        show(results, folder.path)
        return results
    finally:
        for logger in trainer.loggers:
            logger.finalize("success" if folder.results.is_file() else "failed")
        if config.logger.wandb is not None:
            import wandb

            wandb.finish()


def _taken(task: Task) -> Evaluation:
    assert task.evaluation is not None
    return task.evaluation


def build_data(config: TrainConfig) -> DataModule:
    """The data set that the config names, not yet read."""
    return _build(config.data, DataModule, config)


def build_task(config: TrainConfig, facts: Any) -> Task:
    """The task that the config names, with its network.

    Args:
        config: The whole run's.
        facts: Of the data; a dict, as a model folder keeps them, is made into the task's class of facts.

    Raises:
        UserError: Sizes do not fit each other.
    """
    task = _build(config.task, Task, config)
    if isinstance(facts, dict):
        facts = task.facts_class(**facts)
    if not isinstance(facts, task.facts_class):
        raise UserError(
            f"data={config.data.name} gives {type(facts).__name__}, task={config.task.name} needs "
            f"{task.facts_class.__name__}: choose a data set of this task"
        )
    try:
        task.build(facts)
    except ValueError as error:
        raise UserError(str(error)) from error
    return task


def _build(options: Any, base: Any, config: TrainConfig) -> Any:
    found: Any = get_class(options._target_)
    if not issubclass(found, base):
        raise UserError(f"{options._target_} is not a {base.__name__}")
    return found(config)


def check_hardware(config: TrainConfig) -> None:
    """Raises an error where the wanted device is not there.

    Raises:
        UserError: Says what to choose instead.
    """
    wanted = config.hardware.accelerator
    there = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(wanted, True):
        raise UserError(
            f"hardware.accelerator={wanted}: torch finds no such device here. Choose hardware=cpu, or for several "
            "processes hardware=ddp hardware.accelerator=cpu hardware.devices=2"
        )


def build_trainer(config: TrainConfig, folder: RunFolder, task: Task, progress: RunProgress) -> L.Trainer:
    """Lightning's trainer with our callbacks and loggers."""
    h, r = config.hardware, config.regularization
    callbacks: list[Callback] = [progress]
    if r.ema_decay:
        callbacks.append(WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(r.ema_decay), use_buffers=False))
    if r.early_stopping:
        mode = task.directions[task.monitor]
        callbacks.append(EarlyStopping(f"val/{task.monitor}", mode=mode, patience=r.early_stopping, check_finite=False))
    loggers: list[Any] = [CsvLogger(folder.path / "metrics.csv")]
    if config.logger.wandb is not None:
        loggers.append(wandb_logger(config.logger.wandb, folder.path, plain(config)))
    if config.logger.tensorboard:
        from lightning.pytorch.loggers import TensorBoardLogger

        loggers.append(TensorBoardLogger(folder.path, name="", version="tensorboard"))
    profiler = None
    if config.debug.profile:
        profiler = PyTorchProfiler(dirpath=folder.path, filename="profile", export_to_chrome=True)
    limit: dict[str, Any] = {}
    if config.debug.fast:
        limit = {"limit_train_batches": 2, "limit_val_batches": 2, "limit_test_batches": 2}
    strategy: Any = h.strategy
    if h.strategy == "ddp":
        from lightning.pytorch.strategies import DDPStrategy

        strategy = DDPStrategy(broadcast_buffers=False, process_group_backend=None)
    elif h.strategy == "fsdp":
        from lightning.pytorch.strategies import FSDPStrategy

        strategy = FSDPStrategy(state_dict_type="full")
    return L.Trainer(
        accelerator="gpu" if h.accelerator == "cuda" else h.accelerator,
        devices=h.devices,
        strategy=strategy,
        precision=h.precision,  # type: ignore[arg-type]
        max_epochs=1 if config.debug.fast else config.epochs,
        accumulate_grad_batches=h.accumulate,
        gradient_clip_val=config.optimizer.gradient_clip or None,
        deterministic=h.deterministic or None,
        callbacks=callbacks,
        logger=loggers,
        profiler=profiler,
        default_root_dir=folder.path,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
        enable_checkpointing=False,  # ours is added when the data's order is known
        log_every_n_steps=config.logger.every,
        **limit,
    )


def _headline(config: TrainConfig, data: DataModule, task: Task, folder: RunFolder) -> str:
    parameters = sum(p.numel() for p in task.parameters())
    e = config.encoder
    return (
        f"{config.task.name} on {config.data.name}: {len(data.train):,} training, {len(data.val):,} validation, "
        f"{len(data.test):,} test examples\n"
        f"{config.attention.kind.value} encoder, {e.depth} blocks of width {e.dim}, {parameters:,} parameters in all\n"
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
    except Exception as error:
        logging.getLogger("mla_train").error("%s", error, exc_info=not isinstance(error, UserError))
        raise
    finally:
        for library, handlers, propagate in kept:
            library.handlers, library.propagate = handlers, propagate
        logging.captureWarnings(False)
        root.removeHandler(handler)
        handler.close()
