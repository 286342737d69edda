"""The figure of training curves: losses and validation metric over steps."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from mla_train.training.loggers import read_curve


def draw_curves(metrics: Path, monitor: str, file: Path) -> None:
    """Draws training and validation loss, and the metric that chose the best checkpoint, from metrics.csv."""
    figure, (losses, scores) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in ("train/loss", "val/loss"):
        curve = read_curve(metrics, name)
        losses.plot(curve.keys(), curve.values(), label=name)
    losses.set(xlabel="step", ylabel="loss", title="loss")
    losses.legend()
    curve = read_curve(metrics, f"val/{monitor}")
    scores.plot(curve.keys(), curve.values(), color="tab:green")
    scores.set(xlabel="step", ylabel=monitor, title=f"val/{monitor}")
    for axes in (losses, scores):
        axes.grid(alpha=0.3)
    figure.savefig(file, dpi=120)
    plt.close(figure)
