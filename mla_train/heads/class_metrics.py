"""Metrics of classes, as scikit-learn defines them, of many weightings of the same examples at once.

A bootstrap draw is a weight for each example: how often it was drawn. So the intervals of all metrics are some products of
matrices, and sorting is done once; scikit-learn would be called a thousand times.
"""

from collections.abc import Iterator, Sized
from itertools import islice

import numpy as np

Drawn = dict[str, np.ndarray]
"""Each metric of each weighting, `(draws,)`."""


def count_metrics(label: np.ndarray, predicted: np.ndarray, weights: np.ndarray | None = None) -> Drawn:
    """Metrics of predicted classes.

    F1 is averaged over the classes that occur or are predicted, recall (balanced accuracy) over those that occur. The
    correlation (MCC, Gorodkin 2004) of what is constant is 0.

    Args:
        label: True classes, `(examples,)`.
        predicted: Predicted classes, `(examples,)`.
        weights: Weights of the examples, `(draws, examples)`; None counts each once.
    """
    weights = once(label) if weights is None else weights
    classes = np.arange(int(max(label.max(), predicted.max())) + 1)
    is_label, is_predicted = label[:, None] == classes, predicted[:, None] == classes
    true, answers, hits = weights @ is_label, weights @ is_predicted, weights @ (is_label & is_predicted)
    total, right = weights.sum(1), hits.sum(1)
    f1 = 2 * hits / np.where(true + answers > 0, true + answers, 1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (answers**2).sum(1))
    varies = spread > 0
    correlation = (right * total - (true * answers).sum(1)) / np.sqrt(np.where(varies, spread, 1))
    return {
        "accuracy": right / total,
        "macro_f1": mean_of_known(f1, true + answers > 0),
        "weighted_f1": (f1 * true).sum(1) / total,
        "balanced_accuracy": mean_of_known(hits / np.where(true > 0, true, 1), true > 0),
        "mcc": np.where(varies, correlation, 0.0),
    }


def ranking_metrics(
    label: np.ndarray, probability: np.ndarray, positive: int, weights: np.ndarray | None = None
) -> Drawn:
    """Areas under the curve of ROC and of precision and recall.

    Of two classes those of one; of several the mean over the classes that occur, each against all others. Where all
    examples are of one class, their order says nothing: 0.5.

    Args:
        label: True classes, `(examples,)`; those without a probability are of none of the classes.
        probability: Probability of each class, `(examples, classes)`.
        positive: The class of two that counts.
        weights: Weights of the examples, `(draws, examples)`; None counts each once.
    """
    weights = once(label) if weights is None else weights
    classes = [positive] if probability.shape[1] == 2 else list(range(probability.shape[1]))
    areas = [areas_under_curves(probability[:, number], label == number, weights) for number in classes]
    auroc, precision = (np.stack(each, 1) for each in zip(*areas, strict=True))
    known = ~np.isnan(auroc)
    return {
        name: np.where(known.any(1), mean_of_known(np.nan_to_num(values), known), 0.5)
        for name, values in (("auroc", auroc), ("average_precision", precision))
    }


def areas_under_curves(scores: np.ndarray, hits: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas under the ROC curve and under that of precision and recall (average precision), `(draws,)` each.

    NaN where there is no positive; the former also where there is no negative.

    Args:
        scores: Scores, `(examples,)`; equal ones count half in the former.
        hits: Whether examples are positive, `(examples,)`.
        weights: Weights of the examples, `(draws, examples)`.
    """
    scores = scores.astype(float)
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))  # of equal scores
    drawn, hits = weights[:, order], hits[order]
    positives, negatives = (np.add.reduceat(drawn * each, starts, 1) for each in (hits, ~hits))
    true, false = np.cumsum(positives, 1), np.cumsum(negatives, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        auroc = (positives * (false[:, -1:] - false + negatives / 2)).sum(1) / (true[:, -1] * false[:, -1])
        precision = (positives * true / np.maximum(true + false, 1e-300)).sum(1) / true[:, -1]
    return auroc, precision


def once(examples: Sized) -> np.ndarray:
    """The weighting in which each example counts once, `(1, examples)`."""
    return np.ones((1, len(examples)))


def single(drawn: Drawn) -> dict[str, float]:
    """Metrics of the only weighting."""
    return {name: float(value) for name, (value,) in drawn.items()}


def in_parts(draws: Iterator[np.ndarray], count: int, most: int = 4_000_000) -> Iterator[np.ndarray]:
    """Weights of the examples, `(draws, examples)`, of draws by the places of their examples; some draws at a time.

    Args:
        draws: Places of the examples of each draw.
        count: Number of examples.
        most: Largest size of a part.
    """
    while part := list(islice(draws, max(1, most // count))):
        yield np.stack([np.bincount(places, minlength=count) for places in part]).astype(float)


def mean_of_known(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Mean of the known values of each row; 0 where there is none."""
    return (values * known).sum(1) / np.maximum(known.sum(1), 1)


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
