"""The base of tasks: what a task writes, and how it is trained and evaluated."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import lightning as L
import numpy as np
import torch
import torch.distributed
from torch import Tensor

from mla_train.config import TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.sampling import mix, reseed
from mla_train.errors import UserError
from mla_train.nn import Encoder, Reconstruction, ReconstructionInput
from mla_train.training.auxiliary_losses import AuxiliaryLoss, forward_with_auxiliary_losses, warmup_factor
from mla_train.training.optimizers import build_optimizer, build_schedule

if TYPE_CHECKING:  # what looks at tasks is no part of training them
    from mla_train.explain.explanation import Explanation

Predictions = dict[str, Any]
"""Columns of equal length, one row an example: numpy arrays or lists."""

Raw = Mapping[str, Any]
"""An example as people give it, a part under each name: a text, the name of a file, or what such a file holds."""


@dataclass
class Evaluation:
    """What was found on a split.

    Attributes:
        metrics: Name to value.
        predictions: One row an example, in the split's order.
    """

    metrics: dict[str, float]
    predictions: Predictions


class Task(L.LightningModule):
    """A task: a network, its loss and its metrics.

    A subclass writes the methods of the first half. It says nothing about optimisers, logging, checkpoints, devices
    or the schedule; those are the run's.

    Args:
        config: The whole run's; `config.task` holds the task's own options.

    Attributes:
        facts_class: Dataclass of what the network must know of the data.
        directions: Name of each metric to "max" or "min"; `build` may set others than the class has.
        monitor: The metric of the validation split that chooses the best checkpoint.
        reconstruction: Reads the encoder's input from its output, with `encoder.masked_modeling`; made after `build`.
        auxiliary_losses: Losses beside the task's own; see `set_auxiliary_losses`.
    """

    facts_class: ClassVar[type]
    directions: Mapping[str, str]
    monitor: str

    def __init__(self, config: TrainConfig) -> None:
        super().__init__()
        self.config = config
        self.evaluation: Evaluation | None = None
        self.train_loss = float("nan")
        self._parts: list[Predictions] = []
        self.reconstruction: Reconstruction | None = None
        self.auxiliary_losses: list[AuxiliaryLoss] = []
        self._steps = 0
        self.set_auxiliary_losses([])

    def set_auxiliary_losses(self, losses: list[AuxiliaryLoss]) -> None:
        """Adds losses to the task's own."""
        self.auxiliary_losses = losses
        # The loss, its count, and each auxiliary loss times the count.
        self._step_sum, self._log_sum, self._eval_sum = (torch.zeros(2 + len(losses)) for _ in range(3))

    # What a task writes.

    @abstractmethod
    def build(self, facts: Any) -> None:
        """Makes the network from the facts of the data."""

    def begin(self, data: Any) -> bool:
        """Sets weights that can be computed from the training split at once; called when a training begins anew.

        Returns:
            Whether this is a model already: it then is validated, and kept if no epoch makes it better.
        """
        return False

    @abstractmethod
    def forward(self, batch: Any) -> Any:
        """The network's outputs for a batch."""

    @abstractmethod
    def loss(self, outputs: Any, batch: Any) -> tuple[Tensor, int | Tensor]:
        """Sum of the losses of a batch and the number of terms in it.

        The run divides by the number over all processes and accumulation steps, so that without dropout a batch gives
        the same step however it is cut.
        """

    @abstractmethod
    def predict(self, outputs: Any, batch: Any) -> Predictions:
        """What the outputs mean, on the CPU: columns with one row an example."""

    @abstractmethod
    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Scores of predictions; columns hold what `predict` returned, for a whole split."""

    def records(self, predictions: Predictions, data: Any) -> list[dict[str, Any]]:
        """Rows of predictions.jsonl, for people; none by default."""
        return []

    def error(self, record: Mapping[str, Any]) -> float:
        """How wrong a row of `records` is: 0 is right, and of mistakes the greatest are shown first."""
        return 0.0

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """More about the test split for results.json, such as scores of each class."""
        return {}

    def figures(self, predictions: Predictions, data: Any, folder: Path) -> None:
        """Draws PNG pictures of the test split into a folder."""

    def baselines(self, data: Any) -> dict[str, Predictions]:
        """Predictions for the test split that simple models make."""
        return {}

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """What each call of the encoder reads in `forward`, in their order; needed for `encoder.masked_modeling` alone.

        Raises:
            UserError: The task does not say it.
        """
        raise UserError(
            f"encoder.masked_modeling=true: {type(self).__name__} does not say what its encoder reads; "
            "write its method `encoder_inputs`, or leave encoder.masked_modeling=false"
        )

    @property
    def inputs(self) -> Sequence[str]:
        """Names of the parts of a raw example, the first of which is meant where none is said."""
        return ()

    def read(self, raws: Sequence[Raw]) -> Any:
        """A batch of raw examples, read as the data was that the model has learnt from; its labels mean nothing.

        Raises:
            UserError: A part is missing or cannot be read, or the task does not say how.
        """
        raise UserError(f"task={self.config.task.name} reads its own data alone: it has no read()")

    def raw(self, data: Any, index: int) -> Raw:
        """An example of the test split as `read` takes it.

        Args:
            data: The data set, after its `setup`.
            index: Place in the test split.
        """
        raise UserError(f"task={self.config.task.name} does not show its examples: it has no raw()")

    def explain(self, raw: Raw) -> "Explanation":
        """An example with what attention looks at and what an answer can be attributed to.

        Raises:
            UserError: See `read`.
        """
        raise UserError(f"task={self.config.task.name} does not show its examples: it has no explain()")

    def divergence(self, first: Any, second: Any, batch: Any) -> Tensor:
        """How far two passes with other dropout are apart: a quarter of KL(p|q) + KL(q|p), summed (Liang et al. 2021).

        Beside the mean of both losses this is the paper's sum of both with half the divergence, halved.

        Args:
            first: Class scores, `(..., classes)`.
            second: The same of the other pass.
            batch: What both passes read.
        """
        p, q = first.float().log_softmax(-1), second.float().log_softmax(-1)
        return ((p.exp() - q.exp()) * (p - q)).sum() / 4

    def tokens(self, batch: Any) -> int:
        """Tokens of a batch without padding: those that the encoder reads, or that a decoder writes."""
        return len(batch)

    @property
    def architecture(self) -> str:
        """What the network is, in a word: the kind of its attention."""
        return self.config.attention.kind.value

    @property
    def cache_width(self) -> int:
        """Numbers that decoding would keep for each token, over all layers."""
        return sum(module.cache_width for module in self.modules() if isinstance(module, Encoder))

    # How it is trained.

    def configure_optimizers(self) -> Any:
        """The optimiser and the learning rate of each step."""
        optimizer = build_optimizer(self, self.config)
        self._steps = int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimizer, self.config.optimizer, self._steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes the step's randomness a function of (seed, step, process)."""
        reseed(mix(self.config.seed, self.trainer.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One micro-batch; gradients of the sum are scaled once its step's count is known."""
        outputs, terms = forward_with_auxiliary_losses(self, batch)
        total, count = self.loss(outputs, batch)
        if self.config.regularization.r_drop:
            again = self(batch)  # other dropout
            total = (total + self.loss(again, batch)[0]) / 2
            total = total + self.config.regularization.r_drop * self.divergence(outputs, again, batch)
        self._step_sum = self._step_sum.to(total.device)
        self._step_sum += self._sums(total, count, terms)
        # Terms are means; like this they weigh as much as the loss, however many examples a step has.
        warm = warmup_factor(self.global_step, self._steps, self.config.regularization.warmup)
        for term in self.auxiliary_losses:
            total = total + warm * term.weight * count * terms[term.name]
        return total

    def _sums(self, total: Tensor, count: int | Tensor, terms: dict[str, Tensor]) -> Tensor:
        """What is summed over batches: loss, count, and each term times the count."""
        sums = [total, torch.as_tensor(count, device=total.device), *(count * value for value in terms.values())]
        return torch.stack([value.detach() for value in sums])

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Divides gradients by the number of loss terms in the whole step."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(self._step_sum)
        loss_sum, count = self._step_sum[:2]
        # Lightning has divided by the accumulation steps, the strategy by the processes.
        scale = self.trainer.world_size * self.trainer.accumulate_grad_batches / count
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        torch._foreach_mul_(gradients, scale)
        self._log_sum = self._log_sum.to(self._step_sum) + self._step_sum
        self._step_sum = torch.zeros_like(self._step_sum)
        step = self.global_step + 1
        if loss_sum.device.type == "cpu" or step % self.config.logger.every == 0:
            self.stop_if_not_finite()
        if step % self.config.logger.every == 0:
            self._log_training(optimizer, step)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the global norm; divided weights know how to take theirs.

        Lightning's own way refuses a fused optimizer under any mixed precision; that is needed where losses are scaled
        (16-mixed), for which `build_optimizer` takes none.
        """
        if not gradient_clip_val:
            return
        own_clip: Any = getattr(self.trainer.model, "clip_grad_norm_", None)  # FSDP has one
        if own_clip is not None:
            own_clip(gradient_clip_val)
        else:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def stop_if_not_finite(self, weights: bool = False) -> None:
        """Raises an error if a loss since the last logged one was not a finite number.

        Args:
            weights: AttentionView at all weights too.

        Raises:
            UserError: Names the step and the learning rate.
        """
        finite = bool(torch.isfinite(self._log_sum).all())
        if weights:
            finite = finite and all(bool(torch.isfinite(p).all()) for p in self.parameters())
        if not finite:
            rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
            raise UserError(
                f"the loss became {self._log_sum.sum().item() if not weights else 'nan'} at step {self.global_step + 1} (learning rate {rate:.3g}). "
                f"Try a lower lr (now {self.config.lr:g}), more optimizer.warmup or a smaller optimizer.gradient_clip; "
                "what was written into checkpoints/ before, if anything, is good"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the losses that are not logged yet, so that a resumed run logs the same curve."""
        checkpoint["log_sum"] = self._log_sum.cpu()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Takes them up again."""
        self._log_sum = checkpoint["log_sum"]

    def _log_training(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        loss_sum, count, *term_sums = self._log_sum.tolist()
        self._log_sum = torch.zeros_like(self._log_sum)
        self.train_loss = loss_sum / count
        metrics = {"train/loss": self.train_loss, "train/lr": optimizer.param_groups[0]["lr"]}
        metrics |= {
            f"regularization/{t.name}": value / count for t, value in zip(self.auxiliary_losses, term_sums, strict=True)
        }
        self.log_everywhere(metrics, step)

    def log_everywhere(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Tells all loggers, beside the epoch."""
        for logger in self.loggers:
            logger.log_metrics(metrics | {"epoch": self.current_epoch}, self.global_step if step is None else step)

    # How it is evaluated.

    def on_validation_epoch_start(self) -> None:
        """Forgets the last evaluation."""
        self._parts, self._eval_sum = [], torch.zeros(2 + len(self.auxiliary_losses), device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects what is predicted for a batch."""
        outputs, terms = forward_with_auxiliary_losses(self, batch)
        total, count = self.loss(outputs, batch)
        self._eval_sum += self._sums(total, count, terms)
        self._parts.append({"index": batch.index.cpu().numpy()} | self.predict(outputs, batch))

    def on_validation_epoch_end(self) -> None:
        """Scores the validation split."""
        self._evaluate()
        if not (self.trainer.training or self.trainer.validating or self.trainer.sanity_checking):
            return
        assert self.evaluation is not None
        metrics = {f"val/{name}": value for name, value in self.evaluation.metrics.items()}
        if not self.trainer.sanity_checking:  # that is what Lightning calls a validation before the first step
            self.log_dict(metrics, logger=False)
        if self.trainer.state.fn == "fit":
            self.log_everywhere(metrics)

    def on_test_epoch_start(self) -> None:
        """Forgets the last evaluation."""
        self.on_validation_epoch_start()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects what is predicted for a batch."""
        self.validation_step(batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Scores the test split."""
        self._evaluate()

    def _evaluate(self) -> None:
        """Gathers the predictions of all processes and scores them."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(self._eval_sum)
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, self._parts)
            self._parts = [part for parts in gathered for part in parts]
        predictions = merge(self._parts)
        loss_sum, count, *term_sums = self._eval_sum.tolist()
        terms = {term.name: value / count for term, value in zip(self.auxiliary_losses, term_sums, strict=True)}
        metrics = {"loss": loss_sum / count, **terms, **self.metrics(predictions)}
        self.evaluation = Evaluation(metrics, predictions)
        self._parts = []


def merge(parts: list[Predictions]) -> Predictions:
    """Joins the predictions of batches and brings them into the order of the split.

    Args:
        parts: Each with an `index` column.

    Raises:
        RuntimeError: An example is there twice.
    """
    index = np.concatenate([part["index"] for part in parts])
    order = np.argsort(index)
    if len(np.unique(index)) != len(index):
        raise RuntimeError("an example was evaluated twice")
    joined: Predictions = {}
    for name, first in parts[0].items():
        if isinstance(first, np.ndarray):
            joined[name] = np.concatenate([part[name] for part in parts])[order]
        else:
            column = [item for part in parts for item in part[name]]
            joined[name] = [column[i] for i in order]
    return joined
