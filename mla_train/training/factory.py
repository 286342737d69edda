"""From a config to Lightning's trainer with all its callbacks and loggers."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ProgressBar
from lightning.pytorch.plugins.environments import SLURMEnvironment
from lightning.pytorch.profilers import PyTorchProfiler

from mla_train.config import HardwareConfig, TrainConfig
from mla_train.config.trainer import trainer_arguments, user_callbacks
from mla_train.errors import UserError
from mla_train.training.averaging import build_averaging
from mla_train.training.checkpoint_files import CheckpointFiles
from mla_train.training.launched import launched
from mla_train.training.module import TrainingModule
from mla_train.training.run_folder import RunFolder

MOST_EPOCHS = 1_000_000  # of a training whose time is given


def check_hardware(config: TrainConfig) -> None:
    """Refuses a device that does not exist here."""
    accelerator = config.hardware.accelerator
    available = {
        "gpu": torch.cuda.is_available() or torch.backends.mps.is_available(),
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
    }
    if not available.get(accelerator, True):
        raise UserError(
            f"hardware.accelerator={accelerator}: torch finds no such device here. Use hardware=cpu, or for several "
            "processes hardware=ddp hardware.accelerator=cpu hardware.devices=2"
        )


def build_trainer(
    config: TrainConfig,
    folder: RunFolder,
    module: TrainingModule,
    callbacks: list[Callback],
    loggers: list[Any],
    validate_first: bool,
) -> L.Trainer:
    """Lightning's trainer.

    Args:
        config: Full config of the run.
        folder: Run folder.
        module: Module that is trained.
        callbacks: Progress, statistics and checkpoints; checkpoints last.
        loggers: Where metrics are logged.
        validate_first: Whether the network is validated before the first step.
    """
    h, r = config.hardware, config.regularization
    stopping: list[Callback] = []
    if r.early_stopping:
        mode = module.directions[module.monitor]
        stopping.append(
            EarlyStopping(f"val/{module.monitor}", mode=mode, patience=r.early_stopping, check_finite=False)
        )
    *first, checkpoints = callbacks
    profiler = None
    if config.debug.profile:
        profiler = PyTorchProfiler(dirpath=folder.path, filename="profile", export_to_chrome=True)
    arguments: dict[str, Any] = {"enable_model_summary": False}
    if config.debug.fast:
        arguments |= {f"limit_{split}_batches": 2 for split in ("train", "val", "test")}
    arguments |= trainer_arguments(config.trainer)
    plugins = arguments.pop("plugins", None) or []
    if not arguments.pop("enable_progress_bar", True):  # what counts for results.json stays, and shows nothing
        for each in first:
            if isinstance(each, ProgressBar):
                each.disable()
    return L.Trainer(
        accelerator="gpu" if h.accelerator == "cuda" else h.accelerator,
        devices=h.devices,
        num_nodes=launch.machines if (launch := launched()) else 1,
        strategy=build_strategy(h),
        precision=precision(h),  # type: ignore[arg-type]
        max_epochs=1 if config.debug.fast else MOST_EPOCHS if config.budget_minutes else config.epochs,
        accumulate_grad_batches=h.accumulate_grad_batches,
        gradient_clip_val=config.optimizer.gradient_clip or None,
        deterministic=h.deterministic or None,
        callbacks=[
            *first,
            *build_averaging(r, config.epochs),
            *stopping,
            *user_callbacks(config.trainer, Callback),
            checkpoints,
        ],
        logger=loggers,
        plugins=[CheckpointFiles(), *_cluster(), *(plugins if isinstance(plugins, list) else [plugins])],
        profiler=profiler,
        default_root_dir=folder.path,
        use_distributed_sampler=False,
        num_sanity_val_steps=-1 if validate_first else 0,
        enable_checkpointing=True,  # by our own callback
        log_every_n_steps=config.logger.every,
        **arguments,
    )


def _cluster() -> list[Any]:
    """Slurm without Lightning's own requeueing, whose checkpoint would take the place of those that are evaluated."""
    return [SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() and launched() is None else []


def build_strategy(hardware: HardwareConfig) -> Any:
    """How processes share the work."""
    if hardware.strategy == "ddp":
        from lightning.pytorch.strategies import DDPStrategy

        return DDPStrategy(broadcast_buffers=False, process_group_backend=None)
    if hardware.strategy == "fsdp":
        from mla_train.training.sharding import ShardedStrategy

        return ShardedStrategy()
    return hardware.strategy


def precision(hardware: HardwareConfig) -> str:
    """Lightning's name of the precision: that of the config, or bfloat16 on a GPU that has it and float32 elsewhere."""
    if hardware.precision != "auto":
        return hardware.precision
    on_gpu = hardware.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
