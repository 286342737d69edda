"""Pictures of what the classifier does well and badly."""

from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import confusion_matrix
from torch import Tensor

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MOST_LABELLED = 30


def draw_confusion(label: np.ndarray, predicted: np.ndarray, classes: list[str], file: Path) -> None:
    """True class by row, predicted class by column; cells show the share of the row.

    Args:
        label: True class numbers.
        predicted: Predicted class numbers.
        classes: Their names.
        file: The PNG to write.
    """
    counts = confusion_matrix(label, predicted, labels=np.arange(len(classes)))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(4 + 0.4 * len(classes), 14)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MOST_LABELLED:
        axes.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {np.trace(counts) / counts.sum():.4f}")
    figure.colorbar(shown, label="share of the true class", shrink=0.8)
    figure.savefig(file, dpi=120)
    plt.close(figure)


def draw_mistakes(
    predictions: dict[str, np.ndarray], images: Tensor, classes: list[str], file: Path, most: int = 24
) -> None:
    """The mistakes of which the model was most certain.

    Args:
        predictions: Columns index, label, predicted and probability.
        images: The test split, `(examples, channels, height, width)`.
        classes: Names of the classes.
        file: The PNG to write.
        most: How many are shown.
    """
    confidence = predictions["probability"].max(-1)
    wrong = np.flatnonzero(predictions["label"] != predictions["predicted"])
    wrong = wrong[np.argsort(-confidence[wrong])][:most]
    columns = min(6, max(1, len(wrong)))
    rows = max(1, -(-len(wrong) // columns))
    figure, grid = plt.subplots(rows, columns, figsize=(2 * columns, 2.5 * rows), squeeze=False, layout="constrained")
    for axes in grid.flat:
        axes.axis("off")
    if not len(wrong):
        grid[0, 0].text(0.5, 0.5, "no mistakes", ha="center", va="center")
    for axes, i in zip(grid.flat, wrong, strict=False):
        image = images[int(predictions["index"][i])].permute(1, 2, 0).numpy()
        axes.imshow(image.squeeze(-1) if image.shape[-1] == 1 else image, cmap="gray", vmin=0, vmax=255)
        true, said = classes[predictions["label"][i]], classes[predictions["predicted"][i]]
        axes.set_title(f"{said}, {confidence[i]:.0%}\nis {true}", fontsize=9)
    figure.suptitle("most certain mistakes" if len(wrong) else "")
    figure.savefig(file, dpi=120)
    plt.close(figure)
