"""The one LightningModule: how the network of any task is trained and evaluated."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import lightning as L
import torch
import torch.distributed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mla_train.ablation import ablate
from mla_train.config import TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.sampling import mix, reseed
from mla_train.errors import UserError
from mla_train.heads.base import Predictions, merge
from mla_train.model import Model
from mla_train.nn import EncoderBlock, Reconstruction
from mla_train.nn.decoder import DecoderBlock
from mla_train.task import Task
from mla_train.training.auxiliary_losses import build_auxiliary_losses, forward_with_auxiliary_losses, warmup_factor
from mla_train.training.fine_tuning import freeze
from mla_train.training.optimizers import build_optimizer, build_schedule


@dataclass
class Evaluation:
    """The evaluation of a split: metrics by name, and columns with one row an example, in the split's order."""

    metrics: dict[str, float]
    predictions: Predictions


def checkpoint_activations(model: nn.Module) -> None:
    """Lets the backward pass compute each block anew instead of keeping its activations (Chen et al. 2016, arXiv 1604.06174)."""
    for block in model.modules():
        if isinstance(block, EncoderBlock | DecoderBlock):
            block.forward = partial(checkpoint, block.forward, use_reentrant=False)  # type: ignore[method-assign]


STEPS_OF_BUDGET = 10_000  # into which a schedule that follows the clock is divided


class TrainingModule(L.LightningModule):
    """Trains and evaluates a model.

    Args:
        config: Full config of the run.
        task: Task of the run.
        model: Its network.

    Attributes:
        reconstruction: Layer that predicts the encoder's input from its output, with `encoder.masked_modeling`.
        auxiliary_losses: Losses beside the head's own.
        evaluation: Metrics and predictions of the split that was evaluated last.
        skipped_steps: Number of steps that were left out, see `optimizer.skip_nonfinite`.
        share: Share of the time of the training that is over, with `budget_minutes`.
    """

    def __init__(self, config: TrainConfig, task: Task, model: Model) -> None:
        super().__init__()
        self.config, self.task, self.model = config, task, model
        self.evaluation: Evaluation | None = None
        self.train_loss = float("nan")
        self.skipped_steps = 0
        self.share = 0.0
        self._parts: list[Predictions] = []
        self._steps = 0
        self.reconstruction: Reconstruction | None = None
        if config.encoder.masked_modeling:
            if model.encoder is None:
                raise UserError(
                    "encoder.masked_modeling=true needs an encoder, and task.use_encoder=false leaves it out: set one of them"
                )
            self.reconstruction = Reconstruction(config.encoder.dim, model.reconstruction_inputs())
        if config.hardware.activation_checkpointing:
            checkpoint_activations(model)
        self.auxiliary_losses = build_auxiliary_losses(self)
        # Of the loss, its count, and each auxiliary loss times the count.
        size = 2 + len(self.auxiliary_losses)
        self._step_sum, self._log_sum, self._eval_sum = (torch.zeros(size) for _ in range(3))

    @property
    def monitor(self) -> str:
        """Metric of the validation split that chooses the best checkpoint."""
        return self.model.head.monitor

    @property
    def directions(self) -> dict[str, str]:
        """Name of each metric to "max" or "min"."""
        return dict(self.model.head.directions)

    def forward(self, batch: Batch) -> Any:
        """Outputs of the network."""
        return self.model(batch)

    def configure_model(self) -> None:
        """Divides the weights among processes, with `hardware.strategy=fsdp`."""
        if self.config.hardware.strategy == "fsdp":
            from mla_train.training.sharding import shard

            assert self.device_mesh is not None
            shard(self, self.device_mesh["data_parallel"])

    # Training.

    def configure_optimizers(self) -> Any:
        """The optimizer and the learning rate of each step."""
        optimizer = build_optimizer(self, self.config)
        self._steps = STEPS_OF_BUDGET if self.config.budget_minutes else int(self.trainer.estimated_stepping_batches)
        schedule = build_schedule(optimizer, self.config.optimizer, self._steps, self._step_of)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _step_of(self, step: int) -> int:
        """Step of the schedule: that of the optimizer, or where the clock is."""
        return round(self.share * (self._steps - 1)) if self.config.budget_minutes else step

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Makes the step's randomness a function of (seed, epoch, step, process), and what is trained one of the epoch."""
        if self.config.init.unfreeze_epochs:
            freeze(self.model, self.config, self.trainer.current_epoch)
        reseed(mix(self.config.seed, self.trainer.current_epoch, batch_idx, self.global_rank))

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one micro-batch; gradients of the sum are scaled once the step's count is known."""
        head = self.model.head
        outputs, auxiliary = forward_with_auxiliary_losses(self, batch)
        total, count = head.loss(outputs, batch)
        if self.config.regularization.r_drop:
            second = self(batch)  # with different dropout
            total = (total + head.loss(second, batch)[0]) / 2
            total = total + self.config.regularization.r_drop * head.r_drop_loss(outputs, second, batch)
        self._step_sum = self._step_sum.to(total.device)
        self._step_sum += self._sums(total, count, auxiliary)
        # Auxiliary losses are means; times the count they keep their weight, however many examples a step has.
        warmup = warmup_factor(self._step_of(self.global_step), self._steps, self.config.regularization.warmup)
        for loss in self.auxiliary_losses:
            total = total + warmup * loss.weight * count * auxiliary[loss.name]
        return total

    def _sums(self, total: Tensor, count: int | Tensor, auxiliary: dict[str, Tensor]) -> Tensor:
        """What is summed over batches: loss, count, and each auxiliary loss times the count."""
        sums = [total, torch.as_tensor(count, device=total.device), *(count * value for value in auxiliary.values())]
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
        step = self.global_step + 1
        if self.skipped_steps < self.config.optimizer.skip_nonfinite and not self._is_finite(gradients):
            optimizer.zero_grad()  # set to None, so that the optimizer passes over all weights
            self.skipped_steps += 1
            if self.global_rank == 0:
                print(f"step {step} is left out: its loss or gradients are not finite", flush=True)
        else:
            self._log_sum = self._log_sum.to(self._step_sum) + self._step_sum
        self._step_sum = torch.zeros_like(self._step_sum)
        if loss_sum.device.type == "cpu" or step % self.config.logger.every == 0:
            self.stop_if_not_finite()
        if step % self.config.logger.every == 0:
            self._log_training(optimizer, step)

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clips the global norm.

        Lightning's own way refuses a fused optimizer under any mixed precision; that is needed where losses are scaled
        (16-mixed), for which `build_optimizer` takes none.
        """
        if gradient_clip_val:
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            torch.nn.utils.clip_grad_norm_(parameters, gradient_clip_val)

    def _is_finite(self, gradients: list[Tensor]) -> bool:
        """Whether loss and gradients of the step are finite numbers in all processes."""
        norms = torch.stack([self._step_sum.sum(), *torch._foreach_norm(gradients)])
        finite = torch.isfinite(norms).all().float()
        if self.trainer.world_size > 1:  # sharded gradients differ
            torch.distributed.all_reduce(finite, torch.distributed.ReduceOp.MIN)
        return bool(finite)

    def stop_if_not_finite(self, weights: bool = False) -> None:
        """Raises an error if a loss since the last logged one, or with `weights` any weight, is not a finite number.

        Raises:
            UserError: Names the step and the learning rate.
        """
        finite = bool(torch.isfinite(self._log_sum).all())
        if weights:
            finite = finite and all(bool(torch.isfinite(p).all()) for p in self.parameters())
        if not finite:
            rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
            value = "nan" if weights else self._log_sum.sum().item()
            raise UserError(
                f"the loss became {value} at step {self.global_step + 1} (learning rate {rate:.3g}). "
                f"Try a lower lr (now {self.config.lr:g}), more optimizer.warmup or a smaller optimizer.gradient_clip, "
                f"or let single steps be left out by optimizer.skip_nonfinite=10; checkpoints saved before this step are unaffected"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the losses that are not logged yet, so that a resumed run logs the same curve, and counts skipped steps on."""
        checkpoint["log_sum"] = self._log_sum.cpu()
        checkpoint["skipped_steps"] = self.skipped_steps

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restores both."""
        self._log_sum = checkpoint["log_sum"]
        self.skipped_steps = checkpoint.get("skipped_steps", 0)

    def _log_training(self, optimizer: torch.optim.Optimizer, step: int) -> None:
        loss_sum, count, *auxiliary_sums = self._log_sum.tolist()
        self._log_sum = torch.zeros_like(self._log_sum)
        if not count:  # all steps were left out
            return
        self.train_loss = loss_sum / count
        metrics = {"train/loss": self.train_loss, "train/lr": optimizer.param_groups[0]["lr"]}
        names = [loss.name for loss in self.auxiliary_losses]
        metrics |= {f"regularization/{name}": v / count for name, v in zip(names, auxiliary_sums, strict=True)}
        self.log_everywhere(metrics, step)

    def log_everywhere(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Logs metrics to all loggers, with the epoch."""
        for logger in self.loggers:
            logger.log_metrics(metrics | {"epoch": self.current_epoch}, self.global_step if step is None else step)

    # Evaluation.

    def on_validation_epoch_start(self) -> None:
        """Forgets the last evaluation."""
        self._keep_gathered(True)
        self._parts, self._eval_sum = [], torch.zeros(2 + len(self.auxiliary_losses), device=self.device)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects the predictions of a batch."""
        self._evaluate_batch(batch, ablation=False)

    def on_validation_epoch_end(self) -> None:
        """Scores the validation split."""
        self._keep_gathered(False)
        self._score(tune=True)
        if not (self.trainer.training or self.trainer.validating or self.trainer.sanity_checking):
            return
        assert self.evaluation is not None
        metrics = {f"val/{name}": value for name, value in self.evaluation.metrics.items()}
        if not self.trainer.sanity_checking:  # Lightning's name of a validation before the first step
            self.log_dict(metrics, logger=False)
        if self.trainer.state.fn == "fit":
            self.log_everywhere(metrics)

    def on_test_epoch_start(self) -> None:
        """Forgets the last evaluation."""
        self.on_validation_epoch_start()

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Collects the predictions of a batch, and of several inputs those with each alone and each left out."""
        self._evaluate_batch(batch, ablation=True)

    def on_test_epoch_end(self) -> None:
        """Scores the test split."""
        self._keep_gathered(False)
        self._score()

    def _keep_gathered(self, evaluating: bool) -> None:
        if self.config.hardware.strategy == "fsdp":
            from mla_train.training.sharding import keep_gathered

            keep_gathered(self, evaluating)

    def _evaluate_batch(self, batch: Batch, ablation: bool) -> None:
        model, head = self.model, self.model.head
        (features, outputs), auxiliary = forward_with_auxiliary_losses(self, batch, Model.evaluate)
        total, count = head.loss(outputs, batch)
        self._eval_sum += self._sums(total, count, auxiliary)
        val_size = None
        if self.trainer.state.fn == "fit":
            val_size = len(self.trainer.val_dataloaders.dataset)  # type: ignore[union-attr]
        columns = {"index": batch.index.cpu().numpy()} | head.labels(batch)
        columns |= head.predict(outputs, features, batch, val_size)
        if ablation and len(features) > 1:
            columns |= ablate(model, features, batch, columns)
        self._parts.append(columns)

    def _score(self, tune: bool = False) -> None:
        """Gathers the predictions of all processes and scores them; with `tune` the head is first fitted to them."""
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(self._eval_sum)
            gathered: list[Any] = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(gathered, self._parts)
            self._parts = [part for parts in gathered for part in parts]
        predictions = merge(self._parts)
        if tune:
            predictions = self.model.head.tune(predictions)
        loss_sum, count, *auxiliary_sums = self._eval_sum.tolist()
        names = [loss.name for loss in self.auxiliary_losses]
        auxiliary = {name: value / count for name, value in zip(names, auxiliary_sums, strict=True)}
        metrics = {"loss": loss_sum / count, **auxiliary, **self.model.head.metrics(predictions)}
        self.evaluation = Evaluation(metrics, predictions)
        self._parts = []
