"""Probabilities that can be believed: one temperature for all scores (Guo et al. 2017, arXiv 1706.04599), and measures.

Scores are divided by the temperature that gives the validation labels the least loss. The order of the scores, and so the
decision, stays as it is. Of n examples none counts as quite certain: each is, by 1 of n + 2, an example of all classes alike
(as Platt 1999 does), or where all are right the temperature would be 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

RANGES = 10
LOGARITHMS = (-4.0, 4.0)  # of the temperature, between which it is searched for


def best_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature with the least cross-entropy; 1 without a label.

    Args:
        scores: `(examples, classes)`; or of several labels, `(examples, labels)`.
        labels: Classes, `(examples,)`, of which those without a score are left out; or 0 and 1, `(examples, labels)`.
    """
    from scipy.optimize import minimize_scalar

    scores, labels = known_classes(scores, labels)
    if not len(labels):
        return 1.0
    doubt = 1 / (len(labels) + 2)

    def loss(logarithm: float) -> float:
        scaled = scores / np.exp(logarithm)
        if labels.ndim == 2:
            return cross_entropy(scaled, (1 - doubt) * labels + doubt / 2)
        uniform = float(np.mean(scaled[np.arange(len(labels)), labels] - scaled.mean(1)))
        return cross_entropy(scaled, labels) + doubt * uniform

    return float(np.exp(minimize_scalar(loss, bounds=LOGARITHMS, method="bounded").x))


def at_best_temperature(probability: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Probabilities of classes `(examples, classes)` after their scores are divided by `best_temperature`."""
    scores = np.log(np.maximum(probability.astype(np.float64), 1e-30))
    scores /= best_temperature(scores, labels)
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def cross_entropy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy of classes, or of labels and examples; see `best_temperature`."""
    if labels.ndim == 2:
        return float(np.mean(np.logaddexp(0, scores) - labels * scores))
    top = scores.max(1, keepdims=True)
    total = np.log(np.exp(scores - top).sum(1)) + top[:, 0]
    return float(np.mean(total - scores[np.arange(len(labels)), labels]))


def known_classes(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels without the examples of classes that have no score."""
    scores = np.asarray(scores, dtype=np.float64)
    if labels.ndim == 2:
        return scores, labels
    known = labels < scores.shape[1]
    return scores[known], labels[known]


def confidence_of(predictions: Mapping[str, Any]) -> np.ndarray:
    """Probability of the predicted class, `(examples,)`."""
    return np.take_along_axis(predictions["probability"], predictions["predicted"][:, None], 1)[:, 0]


def reliability(confidence: np.ndarray, is_right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean probability, accuracy and share of the answers of each range of probability that occurs; see `calibration_error`."""
    ranges = _range_of(confidence)
    members = [ranges == number for number in np.unique(ranges)]
    means = [[values[each].mean() for each in members] for values in (confidence, is_right)]
    return np.array(means[0]), np.array(means[1]), np.array([each.mean() for each in members])


def calibration_error(confidence: np.ndarray, is_right: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error: mean distance of probability and accuracy over ten ranges of probability, `(draws,)`.

    Args:
        confidence: Probability of each answer, `(answers,)`.
        is_right: Whether it is right, of the same shape.
        weights: Weights of the answers, `(draws, answers)`.
    """
    surplus = (confidence - is_right)[:, None] * (_range_of(confidence)[:, None] == np.arange(RANGES))
    return np.abs(weights @ surplus).sum(1) / weights.sum(1)


def brier_score(probability: np.ndarray, label: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of the probabilities to the true classes (Brier 1950), `(draws,)`.

    A class without a probability is as far away as a wrong certain one.

    Args:
        probability: Probability of each class, `(examples, classes)`.
        label: True classes, `(examples,)`.
        weights: Weights of the examples, `(draws, examples)`.
    """
    true = np.zeros(len(label))
    known = label < probability.shape[1]
    true[known] = probability[known, label[known]]
    return weights @ ((probability.astype(np.float64) ** 2).sum(1) - 2 * true + 1) / weights.sum(1)


def _range_of(confidence: np.ndarray) -> np.ndarray:
    """Number of the range of probability of each answer."""
    return np.minimum((confidence * RANGES).astype(int), RANGES - 1)
