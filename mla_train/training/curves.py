"""The figure of training curves: losses and validation metric over epochs."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mla_train.figures import save_figure
from mla_train.training.loggers import read_curve

MARKED = 40  # most points of a curve that have markers


def draw_curves(metrics: Path, monitor: str, file: Path, best: int | None = None, unit: str = "") -> None:
    """Draws training and validation loss, and the metric that chose the best checkpoint, from metrics.csv.

    Args:
        metrics: The metrics.csv of a run.
        monitor: Name of the metric.
        file: PNG to write.
        best: Number of epochs before the selected checkpoint.
        unit: Unit of the metric.
    """
    epochs = {step: int(epoch) for step, epoch in read_curve(metrics, "epoch").items()}
    ends = {-1: 0} | {epoch: step for step, epoch in epochs.items()}  # rows are in order: the last step of each

    def epochs_done(step: int) -> float:
        epoch = epochs[step]
        start = ends.get(epoch - 1, 0)
        return epoch + (step - start) / max(1, ends[epoch] - start)

    figure = Figure(figsize=(10, 4), layout="constrained")
    losses, scores = figure.subplots(1, 2)
    for axes, name, colour in (
        (losses, "train/loss", "tab:blue"),
        (losses, "val/loss", "tab:orange"),
        (scores, f"val/{monitor}", "tab:green"),
    ):
        curve = read_curve(metrics, name)
        marker = {"marker": "o", "markersize": 4} if len(curve) <= MARKED else {}
        axes.plot([epochs_done(step) for step in curve], list(curve.values()), color=colour, label=name, **marker)
    if best is not None:
        scores.axvline(best, color="grey", linewidth=1, linestyle=":", label="selected checkpoint")
    losses.set(ylabel="loss", title="loss (train: with dropout and all auxiliary terms)")
    scores.set(ylabel=f"{monitor} ({unit})" if unit else monitor, title=f"{monitor} on the validation split")
    for axes in (losses, scores):
        axes.set_xlabel("epochs")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
        axes.grid(alpha=0.3)
    save_figure(figure, file, 120)
