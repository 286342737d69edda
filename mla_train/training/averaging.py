"""Averages of weights over training, which are validated and saved instead of the newest weights."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from mla_train.config import RegularizationConfig


def build_averaging(regularization: RegularizationConfig, epochs: int) -> list[Callback]:
    """The averaging that a config asks for, if any."""
    if regularization.ema_decay:
        return [Averaging(multi_avg_fn=moving_average(regularization.ema_decay), use_buffers=False)]
    if regularization.average_epochs:
        return [EpochAveraging(regularization.average_epochs, epochs)]
    return []


class Averaging(WeightAveraging):
    """Lightning's averaging, which leaves alone a model that is evaluated after training: it is an average already."""

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Resumes from the newest weights of a checkpoint; evaluation after training keeps its averaged ones."""
        if trainer.state.fn == "fit":
            super().on_load_checkpoint(trainer, pl_module, checkpoint)

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ends with the average also where a resumed run had no step left, so that Lightning calls no `on_train_end`."""
        self._copy_average_to_current(pl_module)

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Swaps the average in, while training."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_start(trainer, pl_module)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Swaps the average out, while training."""
        if trainer.state.fn == "fit":
            super().on_validation_epoch_end(trainer, pl_module)


def moving_average(decay: float) -> Callable[..., None]:
    """An exponential moving average whose decay is at most (1 + n) / (10 + n) after n steps.

    Without this bound the average of a short run would still hold much of the random initial weights.
    """

    def update(averaged: list[Tensor], current: list[Tensor], steps: Tensor) -> None:
        n = float(steps)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))

    return update


class EpochAveraging(Averaging):
    """Mean of the weights at the end of each of the last epochs (Vaswani et al. 2017).

    Before those epochs the newest weights are validated and saved.

    Args:
        last: Number of last epochs.
        epochs: Number of epochs of the run.
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
        # The last step of an epoch may have fewer micro-batches, with `trainer.limit_train_batches`.
        self.steps_per_epoch = -(-int(trainer.num_training_batches) // trainer.accumulate_grad_batches)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After the last step of an epoch."""
        return step_idx is not None and (step_idx + 1) % self.steps_per_epoch == 0
