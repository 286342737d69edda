"""A run on Weights & Biases: who it is, how its curves are summed up, its model; offline unless the user is logged in."""

import netrc
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import WandbLogger

from mla_train.config import TrainConfig, WandbMode
from mla_train.training.run_folder import plain

STEP = "trainer/global_step"
"""Lightning's name of the x axis of all curves."""


def logged_in() -> bool:
    """Whether a W&B key is in the environment or in the file where `wandb login` puts it."""
    import wandb

    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        host = urlparse(wandb.Settings().base_url).hostname or ""
        return netrc.netrc(file).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(config: TrainConfig, folder: Path, directions: Mapping[str, str]) -> WandbLogger:
    """W&B's logger, with the run's id kept in the folder from the first moment.

    Args:
        config: The run's; its `logger.wandb` is not null.
        folder: The run folder; offline files go to its wandb/.
        directions: Name of each validation metric to "max" or "min"; the summary holds the best of each, the last of all
            else.
    """
    options = config.logger.wandb
    assert options is not None
    mode = options.mode
    if mode is WandbMode.auto:
        mode = WandbMode.online if logged_in() else WandbMode.offline
    # What waits for upload stays with the run, instead of in the home directory.
    os.environ["WANDB_DATA_DIR"] = str((folder / "wandb").resolve())
    logger = WandbLogger(
        project=options.project,
        entity=options.entity,
        name=options.name or run_name(folder, options.group),
        group=options.group,
        job_type=options.job_type,
        tags=list(dict.fromkeys([config.task.name, config.data.name, config.attention.kind.value, *options.tags])),
        id=run_id(folder),
        save_dir=folder.resolve(),  # the process that writes may stand elsewhere
        offline=mode is WandbMode.offline,
    )
    logger.log_hyperparams(plain(config))
    for name, direction in {"loss": "min", **directions}.items():
        logger.experiment.define_metric(f"val/{name}", step_metric=STEP, step_sync=True, summary=direction)
    return logger


def run_id(folder: Path) -> str:
    """The id of a run folder, kept in wandb/run_id; `wandb agent` has chosen that of its runs."""
    file = folder / "wandb" / "run_id"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        chosen = os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None
        file.write_text(chosen or uuid.uuid4().hex[:12])
    return file.read_text().strip()


def run_name(folder: Path, group: str | None) -> str:
    """The name of the folder; of runs that stand in the folder of their group, the way from there."""
    *above, name = folder.parts
    return "/".join([*above[above.index(group) + 1 :], name]) if group in above else name


def log_results(logger: WandbLogger, results: Mapping[str, Any], config: Path, models: Mapping[str, Path]) -> None:
    """Baselines, size and best epoch go into the summary, models into an artifact.

    Args:
        logger: Of the run.
        results: What results.json holds.
        config: config.yaml, so that `load_model` reads what is downloaded.
        models: By alias, a folder each; each becomes a version.
    """
    import wandb

    logger.experiment.summary.update({name: results[name] for name in ("baselines", "model", "monitor")})
    for alias, folder in models.items():
        artifact = wandb.Artifact(f"model-{logger.experiment.id}", type="model")
        artifact.add_file(str(config.resolve()), policy="immutable")  # no copy: it stays where it is
        for file in folder.iterdir():
            artifact.add_file(str(file.resolve()), f"model/{file.name}", policy="immutable")
        logger.experiment.log_artifact(artifact, aliases=[alias])
