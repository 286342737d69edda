"""Scores of predicted sentiment, counted by hand."""

import numpy as np
import pytest

from mla_train.heads import NumberSpec
from tasks.multimodal_sentiment.regression import SentimentRegression
from tests.helpers import SMALL, config

LABEL = np.array([-3.0, -1.0, 0.0, 0.0, 1.0, 2.0], dtype=np.float32)
PREDICTED = np.array([-4.0, 0.0, -1.0, 0.4, 2.5, -1.0], dtype=np.float32)


def scores(label, predicted):
    head = SentimentRegression(config("task=multimodal_sentiment", *SMALL), NumberSpec(), {})
    return head.metrics({"label": label, "predicted": predicted})


def test_scores_of_a_few_examples():
    metrics = scores(LABEL, PREDICTED)
    assert all(type(value) is float for value in metrics.values())
    assert metrics.keys() == SentimentRegression.directions.keys()
    # Not negative: labels n n y y y y, predictions n y n y y n.
    assert metrics["acc_2"] == pytest.approx(3 / 6)
    # Positive, of -3, -1, 1, 2: labels n n y y, predictions n n y n.
    assert metrics["acc_2_nonzero"] == pytest.approx(3 / 4)
    # F1 of n: 2*2/(2*2+1), of y: 2*1/(2*1+1), two examples each.
    assert metrics["f1_nonzero"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    # Rounded: labels -3 -1 0 0 1 2, predictions -3 0 -1 0 2 -1 (halves go to the even number).
    assert metrics["acc_7"] == pytest.approx(2 / 6)


def test_f1_is_weighted_by_the_size_of_the_classes():
    metrics = scores(np.array([1.0, 1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, 1.0]))
    assert metrics["f1_nonzero"] == pytest.approx(0.75 * 2 / 3)


def test_right_predictions():
    metrics = scores(LABEL, LABEL)
    assert metrics.pop("mae") == metrics.pop("rmse") == 0
    assert list(metrics.values()) == pytest.approx([1.0] * 7)


def test_labels_that_are_all_zero():
    metrics = scores(np.zeros(3), np.array([-1.0, 0.0, 1.0]))
    expected = {"mae": 2 / 3, "pearson": 0, "acc_2": 2 / 3, "acc_2_nonzero": 0, "f1_nonzero": 0, "acc_7": 1 / 3}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
