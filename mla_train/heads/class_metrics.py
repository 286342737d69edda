"""Metrics of one class an example, as scikit-learn defines them.

They are computed here because bootstrap intervals need them hundreds of times: on 10,000 examples of 20 classes
scikit-learn takes ten times as long.
"""

import numpy as np


def count_metrics(label: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """Metrics of predicted classes, `(examples,)`.

    F1 is averaged over the classes that occur or are predicted, recall (balanced accuracy) over those that occur. The
    correlation (MCC, Gorodkin 2004) of what is constant is 0.
    """
    size = int(max(label.max(), predicted.max())) + 1
    true, answers = (np.bincount(numbers, minlength=size).astype(float) for numbers in (label, predicted))
    hits = np.bincount(label[label == predicted], minlength=size)
    f1 = 2 * hits / np.maximum(true + answers, 1)
    total = len(label)
    spread = (total**2 - true @ true) * (total**2 - answers @ answers)
    return {
        "accuracy": float(hits.sum() / total),
        "macro_f1": float(f1[true + answers > 0].mean()),
        "weighted_f1": float(f1 @ true / total),
        "balanced_accuracy": float((hits[true > 0] / true[true > 0]).mean()),
        "mcc": float((hits.sum() * total - true @ answers) / spread**0.5) if spread else 0.0,
    }


def ranking_metrics(label: np.ndarray, probability: np.ndarray, positive: int) -> dict[str, float]:
    """Areas under the curve of ROC and of precision and recall.

    Of two classes those of one; of several the mean over the classes that occur, each against all others. Where all
    examples are of one class, their order says nothing: 0.5.

    Args:
        label: True classes, `(examples,)`; those without a probability are of none of the classes.
        probability: Probability of each class, `(examples, classes)`.
        positive: The class of two that counts.
    """
    classes = [positive] if probability.shape[1] == 2 else range(probability.shape[1])
    hits = [(number, label == number) for number in classes]
    areas = [_areas(probability[:, number], hit) for number, hit in hits if hit.any() and not hit.all()]
    auroc, precision = np.mean(areas, 0) if areas else (0.5, 0.5)
    return {"auroc": float(auroc), "average_precision": float(precision)}


def _areas(scores: np.ndarray, hits: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve: how often a positive is above a negative; and average precision: the mean over positives."""
    positives, negatives = np.sort(scores[hits]), np.sort(scores[~hits])
    below, up_to = (np.searchsorted(negatives, positives, side) for side in ("left", "right"))
    auroc = (below + up_to).mean() / 2 / len(negatives)  # equal scores count half
    true = len(positives) - np.searchsorted(positives, positives)
    return float(auroc), float((true / (true + len(negatives) - below)).mean())


def best_threshold(probability: np.ndarray, hits: np.ndarray) -> float:
    """The probability from which on examples are predicted to be of a class so that its F1 is highest, `(examples,)` each.

    It lies between two probabilities, so that rounding changes no prediction; 0.5 where no example is of the class.
    """
    if not hits.any():
        return 0.5
    order = np.argsort(-probability)
    scores, hits = probability[order].astype(float), hits[order]
    f1 = 2 * np.cumsum(hits) / (np.arange(1, len(hits) + 1) + hits.sum())
    f1[:-1][scores[1:] == scores[:-1]] = -1  # a threshold cannot part equal probabilities
    last = int(f1.argmax())
    return float((scores[last] + np.append(scores, 0)[last + 1]) / 2)


def above_threshold(probability: np.ndarray, positive: int, threshold: float) -> np.ndarray:
    """Predicted class of two, `(examples,)`: the positive one from a probability on."""
    return np.where(probability[:, positive] >= threshold, positive, 1 - positive)
