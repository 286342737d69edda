"""The figure of training curves: losses and validation metric over steps."""

import csv
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def draw_curves(metrics: Path, monitor: str, file: Path) -> None:
    """Draws training and validation loss, and the metric that chose the best checkpoint.

    Args:
        metrics: metrics.csv of a run.
        monitor: Name of the metric, without "val/".
        file: PNG to write.
    """
    with metrics.open(newline="") as stream:
        rows = list(csv.DictReader(stream))

    def curve(name: str) -> tuple[list[int], list[float]]:
        points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        return [step for step, _ in points], [value for _, value in points]

    figure, (losses, scores) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in ("train/loss", "val/loss"):
        losses.plot(*curve(name), label=name)
    losses.set(xlabel="step", ylabel="loss", title="loss")
    losses.legend()
    scores.plot(*curve(f"val/{monitor}"), color="tab:green")
    scores.set(xlabel="step", ylabel=monitor, title=f"val/{monitor}")
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)
