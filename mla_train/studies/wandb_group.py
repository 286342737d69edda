"""How the runs of a study stand together on W&B."""

from pathlib import Path

from mla_train.config import TrainConfig


def group_words(config: TrainConfig, folder: Path, job_type: str) -> list[str]:
    """Words for train.py that put a run among the others of its study; none where W&B is off.

    Args:
        config: Of the run, as its own words have it; a group that these name stays.
        folder: Of the study.
        job_type: What the study is.
    """
    wandb = config.logger.wandb
    if wandb is None:
        return []
    name = folder.resolve().name.replace("'", "\\'")
    group = [] if wandb.group else [f"logger.wandb.group='{name}'"]
    return [*group, f"logger.wandb.job_type={job_type}"]
