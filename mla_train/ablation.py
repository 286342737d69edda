"""Ablation of inputs: predictions with each input alone and without it."""

from pathlib import Path
from typing import Any

import numpy as np

from mla_train.data.batch import Batch
from mla_train.heads.base import Head, Predictions
from mla_train.modalities.base import ModalityFeatures
from mla_train.model import Model, only, without


def ablate(model: Model, features: dict[str, ModalityFeatures], batch: Batch, predictions: Predictions) -> Predictions:
    """Columns of a batch that compare its predictions with those of each encoded input alone and left out.

    Returns:
        Columns `only NAME`, `without NAME` and `contribution NAME`: by how much an input raises the probability of the
        predicted class, or moves the predicted number.
    """
    columns: Predictions = {}
    for name in features:
        both = only(features, name), without(features, [name])
        alone, left_out = (model.head.predict(model.decode(some, batch), some, batch) for some in both)
        if "predicted" not in alone:
            return {}
        columns[f"only {name}"], columns[f"without {name}"] = alone["predicted"], left_out["predicted"]
        if isinstance(predictions["predicted"], list):  # texts have no difference
            continue
        if "probability" not in predictions:
            columns[f"contribution {name}"] = predictions["predicted"] - left_out["predicted"]
        elif predictions["predicted"].ndim == 1:
            rows = np.arange(len(predictions["predicted"]))
            without_it = left_out["probability"][rows, predictions["predicted"]]
            columns[f"contribution {name}"] = predictions["probability"][rows, predictions["predicted"]] - without_it
    return columns


def ablation_metrics(head: Head, predictions: Predictions, names: list[str]) -> dict[str, dict[str, float]]:
    """Metrics of a whole split with each input alone and without it; empty where there is one input."""
    return {
        key: head.metrics({"label": predictions["label"], "predicted": predictions[key]})
        for name in names
        for key in (f"only {name}", f"without {name}")
        if key in predictions
    }


def draw_ablation(head: Head, predictions: Predictions, names: list[str], file: Path) -> None:
    """The head's main metric with all inputs, with each alone and with each left out, as bars; nothing of one input."""
    from matplotlib.figure import Figure

    from mla_train.figures import save_figure

    ablation = ablation_metrics(head, predictions, names)
    if not ablation:
        return
    # Without probabilities there are no metrics of rankings.
    metric = head.monitor if all(head.monitor in metrics for metrics in ablation.values()) else type(head).monitor
    value = head.metrics(predictions)[metric]
    bars = [("all", value, "tab:blue")]
    for kind, colour in (("only", "tab:orange"), ("without", "tab:grey")):
        # Of two inputs, one alone is the other left out.
        if kind == "only" or len(names) > 2:
            bars += [(f"{kind} {name}", ablation[f"{kind} {name}"][metric], colour) for name in names]
    figure = Figure(figsize=(7, 1 + 0.5 * len(bars)), layout="constrained")
    axes = figure.subplots()
    labels, values, colours = zip(*bars[::-1], strict=True)
    white: Any = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the dotted line
    axes.bar_label(axes.barh(labels, values, color=colours), fmt="%.3f", padding=3, bbox=white)
    axes.axvline(value, color="tab:blue", linewidth=1, linestyle=":")
    axes.set(xlabel=f"{metric} on test", title="Worth of each input", xlim=(0, 1.15 * max(0.01, *values)))
    save_figure(figure, file, 120)
