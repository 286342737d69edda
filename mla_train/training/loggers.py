"""metrics.csv, which every run writes."""

import csv
import io
from argparse import Namespace
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from mla_train.config.stored import read_text
from mla_train.errors import UserError
from mla_train.safe_files import atomic_path

LARGEST = 200_000_000  # bytes of metrics.csv: a row has a few hundred


def read_curve(file: Path, metric: str, by: str = "step") -> dict[int, float]:
    """Step, or epoch, to the value of a metric in metrics.csv; empty without a file."""
    if not file.is_file():
        return {}
    return {int(float(row[by])): float(row[metric]) for row in _rows(file) if row.get(metric) and row.get(by)}


def _rows(file: Path) -> list[dict[str, str]]:
    """Rows of metrics.csv."""
    try:
        rows = list(csv.DictReader(io.StringIO(read_text(file, LARGEST), newline="")))
        for row in rows:
            if None in row or None in row.values():
                raise ValueError("a row has more or fewer cells than the first")
            int(row["step"])
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{file} cannot be read: {error}. Remove it to continue without its curves") from error
    return rows


class CsvLogger(Logger):
    """One row for each logged step in metrics.csv. A resumed run drops the rows after its checkpoint and writes them again.

    Args:
        file: CSV file to write.
    """

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file
        self._rows: dict[int, dict[str, Any]] = {}
        if file.is_file():
            for row in _rows(file):
                self._rows[int(row["step"])] = {name: value for name, value in row.items() if value}

    @property
    def name(self) -> str:
        """Lightning's name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """Lightning's version of the run; the run folder takes its place."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Does nothing: config.yaml has them."""

    @rank_zero_only
    def forget_after(self, step: int) -> None:
        """Drops rows of steps that will be repeated."""
        self._rows = {number: row for number, row in self._rows.items() if number <= step}

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds columns to the row of a step."""
        self._rows.setdefault(step or 0, {"step": step or 0}).update(metrics)
        if any(name.startswith(("val/", "test/")) for name in metrics):
            self.save()

    @rank_zero_only
    def save(self) -> None:
        """Rewrites the file, completely or not at all."""
        names = {name for row in self._rows.values() for name in row}
        columns = ["step", "epoch", *sorted(names - {"step", "epoch"})]
        with atomic_path(self.file) as part, part.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, columns)
            writer.writeheader()
            writer.writerows(self._rows[number] for number in sorted(self._rows))

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes the rows that are not yet written; where the run failed, an error of this file does not hide its own."""
        with nullcontext() if status == "success" else suppress(OSError):
            if self._rows:
                self.save()

    @property
    @rank_zero_experiment
    def experiment(self) -> "CsvLogger":
        """Itself: there is no service behind it."""
        return self
