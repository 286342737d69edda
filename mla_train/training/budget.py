"""A training that lasts a given time: the learning-rate schedule follows the clock, and ends with it."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from mla_train.training.module import TrainingModule
from mla_train.training.progress import RunProgress


class Budget(Callback):
    """Tells the module which share of the time is over, and stops when all is. An interrupted run has what was left.

    Args:
        minutes: Minutes of training, with validation.
        progress: Clock of the run.
    """

    def __init__(self, minutes: float, progress: RunProgress) -> None:
        self.seconds, self.progress = 60 * minutes, progress

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Trains no further where the time was over before an interruption."""
        trainer.should_stop = self._tell(trainer, module) >= 1

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stops at the end of a step, after which the network is validated."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0 and self._tell(trainer, module) >= 1:
            trainer.should_stop = True

    def _tell(self, trainer: L.Trainer, module: L.LightningModule) -> float:
        """The share that is over, by the clock of the first process: all have the same learning rate."""
        assert isinstance(module, TrainingModule)
        share = min(1.0, self.progress.wall_seconds / self.seconds)
        module.share = float(trainer.strategy.broadcast(share)) if trainer.world_size > 1 else share
        return module.share
