"""For whom, and for which items, recommendations are right."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mla_train.figures import save_figure
from mla_train.heads.base import Predictions
from mla_train.heads.ranking_metrics import metrics_of

GROUPS = 4


def metrics_by_group(head: Any, predictions: Predictions) -> dict[str, list[dict[str, float]]]:
    """Metrics of examples in quarters, by the length of the history and by the number of training users of the true item."""
    counts = np.array([0, *head._shared[0].spec.counts])
    values = {"history_length": predictions["known"], "item_users": counts[predictions["label"]]}
    groups: dict[str, list[dict[str, float]]] = {}
    for name, value in values.items():
        edges = np.unique(np.quantile(value, np.linspace(0, 1, GROUPS + 1)[1:-1]))
        number = np.searchsorted(edges, value)
        groups[name] = [
            {"from": int(value[own].min()), "to": int(value[own].max()), "examples": int(own.sum())}
            | metrics_of(predictions["rank"][own])
            for own in (number == each for each in np.unique(number))
        ]
    return groups


def draw_groups(head: Any, predictions: Predictions, file: Path) -> None:
    """The monitored metric of each group as bars."""
    titles = {"history_length": "items in the history", "item_users": "training users of the true item"}
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    for axes, (name, groups) in zip(
        figure.subplots(1, 2, sharey=True), metrics_by_group(head, predictions).items(), strict=True
    ):
        labels = [f"{group['from']} to {group['to']}\n({group['examples']} examples)" for group in groups]
        axes.bar(range(len(groups)), [group[head.monitor] for group in groups], color="tab:blue")
        axes.set_xticks(range(len(groups)), labels, fontsize=7)
        axes.set(xlabel=titles[name])
        axes.set_ylabel(head.monitor if name == "history_length" else "")
    save_figure(figure, file, 120)
