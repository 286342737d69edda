"""Scores of predicted sentiment, a number from -3 to 3, as the literature on CMU-MOSI and CMU-MOSEI defines them.

The sets and their scores: Zadeh et al. 2016 (arXiv 1606.06259), Tsai et al. 2019 (arXiv 1906.00295). Papers report
accuracy of two classes in two ways, and MMSA both: negative against the rest, and negative against positive.
"""

from pathlib import Path

import matplotlib
import numpy as np
from scipy.stats import pearsonr
from sklearn.metrics import f1_score

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def scores(label: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """How near predictions are to what is true.

    Args:
        label: True numbers `(examples,)`.
        predicted: Predicted numbers `(examples,)`.

    Returns:
        mae: Mean absolute error.
        pearson: Correlation; 0 where either is constant.
        acc_2: Share whose sign is right, negative or not.
        acc_2_nonzero: Share whose sign is right, positive or not, of the examples whose label is not 0; 0 if there are
            none.
        f1_nonzero: F1 of the same, averaged over the two classes by their size.
        acc_7: Share that is right when both are rounded to whole numbers from -3 to 3.
    """
    label, predicted = label.astype(np.float64), predicted.astype(np.float64)
    clear = label != 0
    positive, called_positive = label[clear] > 0, predicted[clear] > 0
    f1 = f1_score(positive, called_positive, average="weighted", zero_division=0) if clear.any() else 0.0
    steps, called_steps = (np.round(np.clip(numbers, -3, 3)) for numbers in (label, predicted))
    return {
        "mae": float(np.abs(label - predicted).mean()),
        "pearson": float(pearsonr(label, predicted).statistic) if np.ptp(label) and np.ptp(predicted) else 0.0,
        "acc_2": float(((label >= 0) == (predicted >= 0)).mean()),
        "acc_2_nonzero": float((positive == called_positive).mean()) if clear.any() else 0.0,
        "f1_nonzero": float(f1),
        "acc_7": float((steps == called_steps).mean()),
    }


def draw_scatter(label: np.ndarray, predicted: np.ndarray, file: Path) -> None:
    """Predicted over true; on the diagonal they are equal.

    Args:
        label: True numbers `(examples,)`.
        predicted: Predicted numbers `(examples,)`.
        file: The PNG to write.
    """
    found = scores(label, predicted)
    figure, axes = plt.subplots(figsize=(5.5, 5.5), layout="constrained")
    axes.scatter(label, predicted, s=10, alpha=0.5, linewidths=0)
    middle = float(label.mean())
    axes.axline((middle, middle), slope=1, color="grey", linewidth=1)
    axes.set_aspect("equal", adjustable="datalim")
    axes.set(
        xlabel="true",
        ylabel="predicted",
        title=f"mean absolute error {found['mae']:.4f}, Pearson {found['pearson']:.4f}",
    )
    figure.savefig(file, dpi=120)
    plt.close(figure)
