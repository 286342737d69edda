"""Pictures of what the classifier does badly."""

from pathlib import Path

import matplotlib
import numpy as np
from torch import Tensor

from mla_train.training.classification import worst_mistakes

matplotlib.use("Agg")
import matplotlib.pyplot as plt


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
    wrong = worst_mistakes(predictions, most)
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
