"""What follows the training: which weights become the model, its calibration, one evaluation of test, the baselines."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.profilers import PassThroughProfiler

from mla_train.baselines import Baseline, Limit, compute
from mla_train.config import BaselineChoice, CheckpointChoice, TrainConfig
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.task import Task
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.confidence import is_better
from mla_train.training.loaders import evaluation_loader
from mla_train.training.module import Evaluation, TrainingModule
from mla_train.training.progress import RunProgress
from mla_train.training.run_folder import RunFolder

SMALL_VAL = 300  # examples
LEAST_SECONDS = 2.0  # that baselines may take


def keeps_last(config: TrainConfig, data: Dataset) -> bool:
    """Whether the last epoch becomes the model: the best of few examples is a matter of luck. Windows overlap, and are many."""
    if config.checkpoint.keep is CheckpointChoice.auto:
        return data.count("val") < SMALL_VAL and data.spec.head.kind != "forecast" and not config.debug.overfit
    return config.checkpoint.keep is CheckpointChoice.last


def choices(config: TrainConfig, keep_last: bool, start: str) -> list[str]:
    """What the run chose by itself, as lines for the user."""
    lines = []
    if keep_last and config.checkpoint.keep is CheckpointChoice.auto:
        lines.append(f"val has less than {SMALL_VAL} examples: the last epoch becomes the model (checkpoint.keep)")
    if start:
        lines.append(
            f"training begins as {start}, which is kept unless training betters it on val by more than one standard "
            "error (task.start)"
        )
    return lines


def compute_baselines(config: TrainConfig, task: Task, data: Dataset, seconds: float) -> dict[str, Baseline]:
    """The baselines of the task, which take at most as long as the training."""
    if not config.test or config.baselines is BaselineChoice.none or config.debug.fast or config.debug.overfit:
        return {}
    print("computing baselines ...", flush=True)
    limit = Limit(max(seconds, LEAST_SECONDS), config.baselines is BaselineChoice.quick)
    return compute(task.baselines(data), limit)


def evaluate(
    config: TrainConfig, folder: RunFolder, data: Dataset, module: TrainingModule, trainer: L.Trainer, val: Any,
    checkpoints: Checkpoints,
) -> tuple[dict[str, Evaluation], dict[str, Any] | None]:  # fmt: skip
    """Evaluates the selected checkpoint on val and, unless `test=false`, once on test.

    Returns:
        The evaluations, and how the start compares to what training made of it; None without a start.
    """
    best, start = folder.checkpoints / "best.ckpt", folder.checkpoints / "start.ckpt"
    if not best.is_file():
        raise UserError(
            f"{best} is missing: it was removed, or no validation score was a number. Remove {folder.path} and run again"
        )
    trainer.profiler = PassThroughProfiler()  # type: ignore[attr-defined]  # a profile is of the first training steps
    # Counters stand at the end of the training: they are not to be restored together with the selected weights.
    counting = (RunProgress, Checkpoints)
    trainer.callbacks = [each for each in trainer.callbacks if not isinstance(each, counting)]  # type: ignore[attr-defined]
    skipped_steps = module.skipped_steps

    def validate(checkpoint: Path | None) -> Evaluation:
        trainer.validate(module, val, ckpt_path=checkpoint, weights_only=True, verbose=False)
        return _complete(module, config, data, "val")

    begun = None
    before = validate(start) if start.is_file() else None
    selected = validate(best)
    if before is not None:
        finer = "brier" if data.count("val") < SMALL_VAL else None
        is_bettered, gain = is_better(module.model.head, selected.predictions, before.predictions, finer)
        begun = {"name": checkpoints.start, "kept": not is_bettered, "metrics": before.metrics, **gain}
        del before  # with all its predictions
        if not is_bettered:
            selected = validate(start)
            checkpoints.best_epoch, checkpoints.best_score = 0, selected.metrics[module.monitor]
    if not config.debug.overfit and module.model.head.calibrate(selected.predictions):
        selected = validate(None)
    evaluations = {"val": selected}
    if config.test:
        test = evaluation_loader(data, config, "test", trainer.global_rank, trainer.world_size)
        trainer.test(module, test, verbose=False)
        evaluations["test"] = _complete(module, config, data, "test")
    module.skipped_steps = skipped_steps
    return evaluations, begun


def _complete(module: TrainingModule, config: TrainConfig, data: Dataset, split: str) -> Evaluation:
    """The last evaluation, checked to hold every example."""
    assert module.evaluation is not None
    scored = len(module.evaluation.predictions["index"])
    limited = config.debug.fast or any(name.startswith("limit_") for name in config.trainer)
    if scored != data.count(split) and not limited:
        raise RuntimeError(f"{scored} of {data.count(split)} examples of the {split} split were scored")
    groups = getattr(data, split).groups
    if groups is not None:
        module.evaluation.predictions["group"] = groups[module.evaluation.predictions["index"]]
    return module.evaluation
