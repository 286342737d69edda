"""The item that a user has next, ranked among all others."""

from pathlib import Path
from typing import Any

import numpy as np

from mla_train.baselines import Baselines, Limit
from mla_train.config import Start
from mla_train.data.examples import RawData
from mla_train.dataset import Dataset
from mla_train.escaping import markdown_cell
from mla_train.heads import Predictions, Ranking
from mla_train.modalities.items import Items
from mla_train.model import Model
from mla_train.safe_files import write_atomically
from mla_train.task import Task
from tasks.recommendation.baselines import HISTORY, fit_neighbours, ranking_baselines

EXAMPLES, NEWEST, BEST = 12, 5, 5  # in examples.md


class Recommendation(Task):
    """Histories of items to the next one."""

    inputs = {HISTORY: Items}
    head = Ranking

    def prepare(self, raw: RawData) -> Dataset:
        """Intervals draw whole users, of whom a split by time has several histories."""
        data = super().prepare(raw)
        for split in (data.val, data.test):
            users = np.unique(split.names, return_inverse=True)[1]
            split.groups = users if len(np.unique(users)) < len(users) else None
        return data

    def init_from_data(self, model: Model, data: Dataset) -> str:
        """Begins as the item-kNN that is best on val."""
        path: Any = model.embeddings[HISTORY].side_paths
        if "neighbours" not in path:
            return ""
        fit_neighbours(path["neighbours"], data, Limit(quick=self.config.debug.fast))
        is_start = self.config.task.start is not Start.none and not self.config.debug.overfit
        return "sequential_item_knn" if is_start else ""

    def baselines(self, data: Dataset) -> Baselines:
        """Popularity, item-kNN, EASE."""
        return ranking_baselines(data)

    def prediction_rows(self, model: Model, predictions: Predictions, data: Dataset) -> list[dict[str, Any]]:
        """Rows of predictions.jsonl, with the newest items of each history."""
        rows = super().prediction_rows(model, predictions, data)
        return [row | {"history": _newest(data, row["index"])} for row in rows]

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Those of the head, and some histories with what is recommended."""
        super().figures(model, predictions, data, folder)
        rows = self.prediction_rows(model, predictions, data)
        lines = [
            "# Recommendations",
            "",
            f"| newest items | the next one | its rank | first {BEST} |",
            "|---|---|---|---|",
        ]
        for place in np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(int):
            row = rows[place]
            cells = [
                row["history"],
                [row["label"] or "(in no training history)"],
                [str(row["rank"])],
                row["prediction"][:BEST],
            ]
            lines.append("| " + " | ".join("; ".join(map(markdown_cell, cell)) for cell in cells) + " |")
        write_atomically(folder / "examples.md", "\n".join(lines) + "\n")


def _newest(data: Dataset, place: int) -> list[str]:
    return [item if isinstance(item, str) else item[0] for item in data.test.columns[HISTORY].raw(place)[-NEWEST:]]
