"""Checkpoints from which a run that was interrupted anywhere resumes exactly.

last.ckpt is written at the end of each epoch, every few minutes between, and when the run is asked to stop; after a step that
is validated, it is written after the validation. best.ckpt, which becomes the model, is written when the validation metric is the best so far (of equal ones the later), or with
`checkpoint.keep=last` after each validation. start.ckpt is what a network is worth that can answer before the first step; the
end of the run says whether training bettered it. An interruption or a full disk leaves the old file; previous.ckpt is the
last.ckpt before, for the case that this one is damaged.
"""

import math
import signal
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from types import FrameType
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping

from mla_train.config import TrainConfig
from mla_train.data.sampling import DataPosition
from mla_train.errors import Interrupted, UserError
from mla_train.masking import mask_values
from mla_train.training.loggers import CsvLogger
from mla_train.training.module import TrainingModule
from mla_train.training.run_folder import RunFolder, of_run, resume_command
from mla_train.training.run_lock import require_owned


class Checkpoints(Checkpoint):
    """Writes best.ckpt and last.ckpt, with the position in the data.

    Args:
        folder: Run folder.
        config: Full config of the run.
        position: Position in the training data.
        data: What the data is, kept with the checkpoint.
        keep_last: Whether the last epoch becomes the model, and not the best.
        start: Name of the simple model that the network begins as; empty where it begins as none.
        init: What was taken from another run, see `load_start`; None where nothing was.
    """

    def __init__(
        self,
        folder: RunFolder,
        config: TrainConfig,
        position: DataPosition,
        data: Mapping[str, Any] | None = None,
        keep_last: bool = False,
        start: str = "",
        init: Mapping[str, Any] | None = None,
    ) -> None:
        self.init, self.config = init, config
        self.data, self.keep_last, self.start = dict(data or {}), keep_last, start
        self.folder, self.options, self.position = folder.checkpoints, config.checkpoint, position
        self.resume_command = resume_command(folder)
        epochs, averaged = 1 if config.debug.fast else config.epochs, config.regularization.average_epochs
        # Number of finished epochs before one may be the best: with averaged epochs only the full average may.
        self.first = epochs - averaged + 1 if averaged else 0
        self.best_score: float | None = None
        self.best_epoch = 0  # number of finished epochs
        self.validated = 0  # step of the last validation
        self._epoch, self._batch = 0, 0
        self._is_due = False  # whether last.ckpt is written after the validation of this step
        self._stopping = False  # whether the training is to end as early as trainer.min_epochs and min_steps allow
        self._written = time.monotonic()
        minutes = config.hardware.max_minutes
        self._end = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self._signal: int | None = None

    @property
    def finished_epochs(self) -> int:
        """Number of epochs that are over, the last of them perhaps cut short."""
        return max(self._epoch, self.best_epoch)

    # The state that a checkpoint carries.

    def state_dict(self) -> dict[str, Any]:
        """Best score so far, the next micro-batch, and what the data is."""
        best = {"best_score": self.best_score, "best_epoch": self.best_epoch, "validated": self.validated}
        return best | {
            "stopping": self._stopping,
            "epoch": self._epoch,
            "batch": self._batch,
            "data": self.data,
            "start": self.start,
            "init": mask_values(self.init),
            "config": self._options,
        }

    @cached_property
    def _options(self) -> dict[str, Any]:
        return of_run(self.config)  # takes longer than all else of a small checkpoint

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Moves to the position in the data at which the checkpoint was written."""
        self.best_score, self.best_epoch = state["best_score"], state["best_epoch"]
        self.start, self.validated = state.get("start", ""), state.get("validated", 0)
        self._epoch, self._batch = state["epoch"], state["batch"]
        self._stopping = state.get("stopping", False)
        self.position.set(self._epoch, self._batch)

    # When it is written.

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Handles Ctrl-C, SIGTERM and SIGUSR1 until Lightning puts the handlers before them back, at the end of the training.

        Stops at once if early stopping had decided so before the interruption.
        """
        self._written = time.monotonic()
        for logger in trainer.loggers:
            if isinstance(logger, CsvLogger):
                logger.forget_after(trainer.global_step)
        for number in (
            signal.SIGINT,
            signal.SIGTERM,
            signal.SIGUSR1,
        ):  # the last is Slurm's, some minutes before the end
            signal.signal(number, self._on_signal)
        stopper = trainer.early_stopping_callback  # which a checkpoint of an earlier version has to be asked
        has_decided = isinstance(stopper, EarlyStopping) and stopper.wait_count >= stopper.patience
        trainer.should_stop = trainer.should_stop or self._stopping or has_decided

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal is not None:  # asked twice: do not wait for the end of the step
            then = "Start again with the same command"
            if (self.folder / "last.ckpt").exists():
                then = f"Continue from the last checkpoint with: {self.resume_command}"
            raise Interrupted(f"Stopped at once. {then}", exit_code=128 + number)
        self._signal = number
        print("\nstopping after this step (Ctrl-C again to stop now) ...", file=sys.stderr, flush=True)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Moves to the shuffled data of the epoch."""
        self.position.set(trainer.current_epoch)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Writes last.ckpt after some minutes, or before the run stops; never in the middle of a step."""
        at_step_end = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        at_epoch_end = batch_idx + 1 == trainer.num_training_batches  # comes soon, after validation
        if not at_step_end or at_epoch_end:
            return
        self._epoch, self._batch = trainer.current_epoch, batch_idx + 1
        late = time.monotonic() - self._written > self.options.every_minutes * 60
        self._look_at_the_clock()
        # One exchange among processes for each step: is it time to write, or to stop?
        if not trainer.strategy.reduce_boolean_decision(late or self._signal is not None, all=False):
            return
        loop = trainer.fit_loop
        assert loop._data_fetcher is not None
        # A run that is resumed from here would not validate this step. Lightning has no public name for the question.
        self._is_due = loop.epoch_loop._should_check_val_fx(loop._data_fetcher)
        if not self._is_due:
            self._write_last(trainer)

    def _look_at_the_clock(self) -> None:
        """Asks the run to stop when its time on this machine is over."""
        if self._signal is None and time.monotonic() > self._end:
            print("\nhardware.max_minutes are over: stopping after this step ...", file=sys.stderr, flush=True)
            self._signal = signal.SIGTERM

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Writes best.ckpt if the metric is the best so far, or if the last is kept; before the first step start.ckpt."""
        if trainer.state.fn != "fit":
            return
        assert isinstance(module, TrainingModule)
        assert module.evaluation is not None
        if trainer.sanity_checking:
            self._write(trainer, "start.ckpt")
            return
        self._offer(trainer, module)
        ends_here = trainer.should_stop and trainer.fit_loop._can_stop_early
        if self._is_due and not ends_here:  # else at the end of the epoch, which comes next
            self._is_due = False
            self._write_last(trainer)

    def validate_end(self, trainer: L.Trainer, module: TrainingModule, val: Any) -> None:
        """Validates the weights with which training ended, unless that was done, so that they may become the model.

        Training may end between two validations: by `trainer.max_steps`, `trainer.check_val_every_n_epoch`, or where the time of
        an interrupted run was over.
        """
        if self.validated == trainer.global_step:
            return
        trainer.validate(module, val, verbose=False)
        self._offer(trainer, module)

    def _offer(self, trainer: L.Trainer, module: TrainingModule) -> None:
        """Writes best.ckpt where the network is the best so far."""
        self.validated = trainer.global_step
        assert module.evaluation is not None
        score = module.evaluation.metrics[module.monitor]
        sign = 1 if module.directions[module.monitor] == "max" else -1
        epoch = trainer.current_epoch + 1 if trainer.state.fn == "fit" else self._epoch + (self._batch > 0)
        if math.isnan(score) or epoch < self.first:
            return
        if self.best_score is None or self.keep_last or sign * score >= sign * self.best_score:
            self.best_score, self.best_epoch = score, epoch
            self._write(trainer, "best.ckpt")

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Writes last.ckpt; the next micro-batch is the first of the next epoch."""
        self._epoch, self._batch, self._is_due = trainer.current_epoch + 1, 0, False
        if not trainer.should_stop and self._epoch != trainer.max_epochs:  # else the training is over
            self._look_at_the_clock()
        self._write_last(trainer)

    def _write_last(self, trainer: L.Trainer) -> None:
        """Writes last.ckpt, and stops the run if one of its processes was asked to stop."""
        self._write(trainer, "last.ckpt")
        if trainer.strategy.reduce_boolean_decision(self._signal is not None, all=False):
            raise Interrupted(
                f"Stopped in epoch {trainer.current_epoch + 1} after step {trainer.global_step}; "
                f"all is kept. Continue with: {self.resume_command}",
                exit_code=128 + (self._signal or signal.SIGTERM),
            )

    def _write(self, trainer: L.Trainer, name: str) -> None:
        """Writes a checkpoint completely or not at all.

        Raises:
            UserError: The disk is full or the folder cannot be written to.
        """
        assert isinstance(trainer.lightning_module, TrainingModule)
        trainer.lightning_module.stop_if_not_finite(weights=True)
        if trainer.is_global_zero:
            require_owned(RunFolder(self.folder.parent))
        self._written, self._stopping = time.monotonic(), trainer.should_stop
        try:
            for logger in trainer.loggers:
                if isinstance(logger, CsvLogger):
                    logger.save()  # before: a resumed run drops rows that are too new, and has no others
            trainer.save_checkpoint(self.folder / name)
        except OSError as error:
            raise UserError(
                f"cannot write {self.folder / name}: {error}. Free some space, then continue with: {self.resume_command}"
            ) from error
