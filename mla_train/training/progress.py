"""One progress bar over the whole run, and its speed."""

import logging
import sys
import time
from math import isnan
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from tqdm.auto import tqdm

from mla_train.training.module import TrainingModule

logger = logging.getLogger(__name__)
SECONDS_BETWEEN_LINES = 10.0


class RunProgress(ProgressBar):
    """Shows epoch, loss, validation metric and examples a second; without a terminal it prints lines."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        self.examples = 0
        self.tokens = 0
        self._started = 0.0
        self._wall_before = 0.0
        self._wall_start: float | None = None
        self._bar: Any = None
        self._last_line = 0.0
        self._shown: dict[str, str] = {}

    def disable(self) -> None:
        """Called on all processes but the first."""
        self._enabled = False

    _enabled = True

    @property
    def examples_per_second(self) -> float:
        """Training examples of all processes, without validation."""
        return self.examples / max(self.seconds, 1e-9)

    @property
    def tokens_per_second(self) -> float:
        """Encoder tokens of all processes, without validation."""
        return self.tokens / max(self.seconds, 1e-9)

    @property
    def wall_seconds(self) -> float:
        """Seconds of training so far, with validation, without the time between an interruption and its resumption."""
        running = 0.0 if self._wall_start is None else time.perf_counter() - self._wall_start
        return self._wall_before + running

    def state_dict(self) -> dict[str, Any]:
        """Counts so far, so that a resumed run reports the total."""
        counts = {name: getattr(self, name) for name in ("seconds", "examples", "tokens")}
        return counts | {"wall": self.wall_seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues counting."""
        self.seconds, self.examples, self.tokens = state["seconds"], state["examples"], state["tokens"]
        self._wall_before = state["wall"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Opens the bar at the current step."""
        self._wall_start = time.perf_counter()
        if self._enabled and sys.stderr.isatty():
            assert isinstance(module, TrainingModule)
            total = None if module.config.budget_minutes else int(trainer.estimated_stepping_batches)
            self._bar = tqdm(total=total, initial=trainer.global_step, unit="step", dynamic_ncols=True, leave=True)

    def on_train_batch_start(self, trainer: L.Trainer, module: L.LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts the clock at the first batch of an epoch; loading of later batches counts."""
        if not self._started:
            self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts and shows."""
        assert isinstance(module, TrainingModule)
        now = time.perf_counter()
        self.seconds += now - self._started
        self._started = now
        self.examples += len(batch) * trainer.world_size
        self.tokens += module.model.count_tokens(batch) * trainer.world_size
        if self._enabled and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            if self._bar is not None:
                self._bar.update()
            if trainer.global_step % module.config.logger.every == 0:
                self._show(trainer, module)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Logs the speed of the run so far."""
        assert isinstance(module, TrainingModule)
        module.log_everywhere(
            {"speed/examples_per_second": self.examples_per_second, "speed/tokens_per_second": self.tokens_per_second}
        )

    def on_train_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stops the wall clock."""
        self._wall_before, self._wall_start = self.wall_seconds, None

    def on_validation_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Stops the clock."""
        self._started = 0.0

    def on_validation_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Shows the new score."""
        if trainer.state.fn != "fit" or not self._enabled:
            return
        assert isinstance(module, TrainingModule)
        assert module.evaluation is not None
        scores = module.evaluation.metrics
        self._shown[f"val {module.monitor}"] = f"{scores[module.monitor]:.4f}"
        if trainer.sanity_checking:
            print(f"before the first step: val {module.monitor} {scores[module.monitor]:.4f}", flush=True)
            return
        if trainer.global_step >= trainer.estimated_stepping_batches:
            self._last_line = -SECONDS_BETWEEN_LINES  # the last line is printed however soon it comes
        self._show(trainer, module)
        values = ", ".join(f"val/{name} {value:.4f}" for name, value in scores.items())
        speed = f"{self.examples_per_second:,.0f} examples/s, {self.tokens_per_second:,.0f} tokens/s"
        logger.info("epoch %d, step %d: %s, %s", trainer.current_epoch + 1, trainer.global_step, values, speed)

    def _show(self, trainer: L.Trainer, module: TrainingModule) -> None:
        minutes = module.config.budget_minutes
        epoch = f"epoch {trainer.current_epoch + 1}" + ("" if minutes else f"/{trainer.max_epochs}")
        speed = f"{self.examples_per_second:,.0f}"
        loss = {} if isnan(module.train_loss) else {"loss": f"{module.train_loss:.4f}"}
        values = {**loss, **self._shown, "examples/s": speed}
        if self._bar is not None:
            self._bar.set_description(epoch, refresh=False)
            self._bar.set_postfix(values)
        elif time.monotonic() - self._last_line > SECONDS_BETWEEN_LINES:
            self._last_line = time.monotonic()
            steps = "" if minutes else f"/{int(trainer.estimated_stepping_batches)}"
            done = f"{epoch}  step {trainer.global_step}{steps}"
            done += f"  minute {self.wall_seconds / 60:.1f} of {minutes:g}" if minutes else ""
            print(f"{done}  " + "  ".join(f"{name} {value}" for name, value in values.items()), flush=True)

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
