"""Figure of filled gaps: frequent and rare tokens."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mla_train.figures import save_figure
from mla_train.heads.base import Predictions

BINS = 10


def draw_by_frequency(predictions: Predictions, file: Path) -> None:
    """Share of gaps that are filled rightly, over how often the true token is hidden, in tenths of all gaps."""
    true, filled = (np.concatenate(predictions[name]) for name in ("label", "filled"))
    _, numbers, counts = np.unique(true, return_inverse=True, return_counts=True)
    order = np.argsort(-counts[numbers], kind="stable")
    parts = [part for part in np.array_split(order, BINS) if len(part)]
    shares = [(true[part] == filled[part]).mean() for part in parts]
    names = [f"{int(np.median(counts[numbers[part]])):,}" for part in parts]
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.bar(range(len(parts)), shares, color="tab:blue")
    axes.set_xticks(range(len(parts)), names)
    axes.set(xlabel="how often the token is hidden in test (tenths of the gaps)", ylabel="accuracy", ylim=(0, 1))
    axes.grid(alpha=0.3, axis="y")
    save_figure(figure, file, 110)
