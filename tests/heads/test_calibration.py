"""Probabilities that can be believed: the temperature, and the measures."""

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from mla_train.heads.calibration import best_temperature, brier_score, calibration_error, cross_entropy
from mla_train.heads.class_metrics import once


def made(count, temperature, classes=4):
    """Scores whose probabilities are true once they are divided by a temperature."""
    chance = np.random.default_rng(0)
    scores = chance.normal(size=(count, classes)) * 2
    odds = np.exp(scores)
    labels = np.array([chance.choice(classes, p=row) for row in odds / odds.sum(1, keepdims=True)])
    return scores * temperature, labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_of_made_scores_is_found(temperature):
    scores, labels = made(5000, temperature)
    assert best_temperature(scores, labels) == pytest.approx(temperature, rel=0.05)
    several = (np.random.default_rng(1).random((5000, 3)) < 1 / (1 + np.exp(-scores[:, :3] / temperature))).astype(
        float
    )
    assert best_temperature(scores[:, :3], several) == pytest.approx(temperature, rel=0.05)


def test_few_examples_that_are_all_right_are_not_certain():
    scores, labels = np.eye(2)[[0, 1] * 10] * 3, np.array([0, 1] * 10)
    odds = np.exp(scores / best_temperature(scores, labels))
    highest = (odds / odds.sum(1, keepdims=True)).max()
    assert highest == pytest.approx(1 - 1 / 44, abs=1e-3)  # half of a doubt of 1 of 22
    assert best_temperature(scores, np.full(20, 5)) == 1.0  # classes without a score


def test_measures_are_those_of_scikit_learn():
    scores, labels = made(300, 1.0, classes=2)
    odds = np.exp(scores)
    probability = odds / odds.sum(1, keepdims=True)
    assert cross_entropy(scores, labels) == pytest.approx(log_loss(labels, probability))
    assert brier_score(probability, labels, once(labels)) == pytest.approx(
        2 * brier_score_loss(labels, probability[:, 1])
    )
    assert brier_score(probability, np.full(300, 2), once(labels)) == pytest.approx(
        ((probability**2).sum(1) + 1).mean()
    )


def test_the_calibration_error_is_the_distance_of_confidence_and_accuracy():
    confidence = np.array([0.95] * 10 + [0.55] * 10)
    is_right = np.array([True] * 8 + [False] * 2 + [True] * 5 + [False] * 5)
    assert calibration_error(confidence, is_right, once(is_right)) == pytest.approx((0.15 + 0.05) / 2)
