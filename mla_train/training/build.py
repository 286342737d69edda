"""From a config to its parts: data set, task, trainer."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from hydra.utils import get_class
from lightning.pytorch.callbacks import Callback, EarlyStopping, WeightAveraging
from lightning.pytorch.profilers import PyTorchProfiler
from torch import Tensor

from mla_train.config import HardwareConfig, TrainConfig
from mla_train.data.module import DataModule
from mla_train.errors import UserError
from mla_train.nn import Reconstruction
from mla_train.training.attention_callback import AttentionStatistics
from mla_train.training.auxiliary_losses import build_auxiliary_losses
from mla_train.training.loggers import CsvLogger
from mla_train.training.progress import RunProgress
from mla_train.training.run_folder import RunFolder
from mla_train.training.task import Task
from mla_train.training.wandb_run import wandb_logger


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
    except (ValueError, RuntimeError, ZeroDivisionError) as error:
        raise UserError(f"these sizes do not make a network: {error}") from error
    if config.encoder.masked_modeling:
        task.reconstruction = Reconstruction(config.encoder.dim, task.encoder_inputs())
    task.set_auxiliary_losses(build_auxiliary_losses(task, facts))
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


def build_trainer(
    config: TrainConfig, folder: RunFolder, task: Task, data: DataModule, progress: RunProgress
) -> L.Trainer:
    """Lightning's trainer with our callbacks and loggers."""
    h, r = config.hardware, config.regularization
    callbacks: list[Callback] = [progress]
    watched = config.logger.wandb is not None or config.logger.tensorboard
    if watched and not h.compile and h.strategy != "fsdp":  # where modules can be called one example at a time
        callbacks.append(AttentionStatistics(data))
    if r.ema_decay:
        callbacks.append(WeightAveraging(multi_avg_fn=moving_average(r.ema_decay), use_buffers=False))
    if r.average_epochs:
        callbacks.append(EpochAveraging(r.average_epochs, config.epochs))
    if r.early_stopping:
        mode = task.directions[task.monitor]
        callbacks.append(EarlyStopping(f"val/{task.monitor}", mode=mode, patience=r.early_stopping, check_finite=False))
    loggers: list[Any] = [CsvLogger(folder.path / "metrics.csv")]
    if config.logger.wandb is not None:
        loggers.append(wandb_logger(config, folder.path, task.directions))
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
        precision=precision(h),  # type: ignore[arg-type]
        max_epochs=1 if config.debug.fast else config.epochs,
        accumulate_grad_batches=h.accumulate_grad_batches,
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


def moving_average(decay: float) -> Callable[..., None]:
    """An exponential moving average that forgets fast at first: the decay is at most (1 + n) / (10 + n) after n steps.

    Without that the average of a short run would still hold much of the random weights it began with.

    Args:
        decay: In the long run.
    """

    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        n = float(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update


class EpochAveraging(WeightAveraging):
    """Equal average of the weights that stand at the end of each of the last epochs (Vaswani et al. 2017).

    Before those epochs, what is validated and kept are the newest weights.

    Args:
        last: How many epochs.
        epochs: Of the whole run.
    """

    def __init__(self, last: int, epochs: int) -> None:
        before = max(0, epochs - last)

        def update(averaged: list[Tensor], current: list[Tensor], epochs_done: Tensor) -> None:
            torch._foreach_lerp_(averaged, current, 1 / (1 + max(0, int(epochs_done) - before)))

        super().__init__(multi_avg_fn=update, use_buffers=False)
        self.steps_per_epoch = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes where epochs end: the average is taken before they are validated."""
        super().on_train_start(trainer, pl_module)
        self.steps_per_epoch = int(trainer.num_training_batches) // trainer.accumulate_grad_batches

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After the last step of an epoch."""
        return step_idx is not None and (step_idx + 1) % self.steps_per_epoch == 0


def precision(hardware: HardwareConfig) -> str:
    """Lightning's name of the arithmetic: what the config says, or bfloat16 on a GPU that has it and float32 elsewhere."""
    if hardware.precision != "auto":
        return hardware.precision
    on_gpu = hardware.accelerator in ("gpu", "cuda", "auto") and torch.cuda.is_available()
    return "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
