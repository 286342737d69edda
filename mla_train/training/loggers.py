"""Who is told the metrics: metrics.csv always, W&B and TensorBoard on demand."""

import csv
import netrc
import os
import uuid
from argparse import Namespace
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from mla_train.config import WandbConfig, WandbMode


class CsvLogger(Logger):
    """One row a step in metrics.csv. On resume rows after the checkpoint's step are dropped: they come again.

    Args:
        file: Where the rows are written.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self._rows: dict[int, dict[str, Any]] = {}
        if file.is_file():
            with file.open(newline="") as stream:
                for row in csv.DictReader(stream):
                    self._rows[int(row["step"])] = {name: value for name, value in row.items() if value}

    @property
    def name(self) -> str:
        """Lightning's name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version of the run; the folder says it."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """They stand in config.yaml."""

    @rank_zero_only
    def forget_after(self, step: int) -> None:
        """Drops rows of steps that will be done again."""
        self._rows = {number: row for number, row in self._rows.items() if number <= step}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds columns to the row of a step."""
        self._rows.setdefault(step or 0, {"step": step or 0}).update(metrics)
        if any(name.startswith("val/") for name in metrics):
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Writes the file anew, whole or not at all."""
        names = {name for row in self._rows.values() for name in row}
        columns = ["step", "epoch", *sorted(names - {"step", "epoch"})]
        unfinished = self.file.with_suffix(".csv.unfinished")
        with unfinished.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._rows[number] for number in sorted(self._rows))
        os.replace(unfinished, self.file)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes what is left."""
        if self._rows:
            self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> "CsvLogger":
        """Itself: there is no service behind it."""
        return self


def _logged_in(host: str) -> bool:
    """Whether a W&B key is in the environment or in the file where `wandb login` puts it."""
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        file = os.environ.get("NETRC") or str(Path.home() / ".netrc")
        return netrc.netrc(file).authenticators(urlparse(host).hostname or "") is not None
    except (OSError, netrc.NetrcParseError):
        return False


def wandb_logger(config: WandbConfig, folder: Path, settings: dict[str, Any]) -> Any:
    """W&B's logger, with the run's id kept in the folder from the first moment.

    Args:
        config: Project, mode and names.
        folder: The run folder; offline files go to its wandb/.
        settings: The run's config, as W&B shows it.
    """
    import wandb
    from lightning.pytorch.loggers import WandbLogger

    id_file = folder / "wandb" / "run_id"
    if not id_file.is_file():
        id_file.parent.mkdir(exist_ok=True)
        id_file.write_text(uuid.uuid4().hex[:12])
    mode = config.mode
    if mode is WandbMode.auto:
        mode = WandbMode.online if _logged_in(wandb.Settings().base_url) else WandbMode.offline
    logger = WandbLogger(
        project=config.project,
        entity=config.entity,
        name=config.name or folder.name,
        group=config.group,
        tags=config.tags,
        id=id_file.read_text().strip(),
        resume="allow",
        save_dir=folder,
        offline=mode is WandbMode.offline,
    )
    logger.log_hyperparams(settings)
    return logger
