"""Scores of predicted sentiment, counted by hand."""

import numpy as np
import pytest
from PIL import Image

from tasks.multimodal_sentiment.regression import draw_scatter, scores

LABEL = np.array([-3.0, -1.0, 0.0, 0.0, 1.0, 2.0], dtype=np.float32)
PREDICTED = np.array([-4.0, 0.0, -1.0, 0.4, 2.5, -1.0], dtype=np.float32)


def test_scores_of_a_few_examples():
    found = scores(LABEL, PREDICTED)
    assert all(type(value) is float for value in found.values())
    # Errors 1, 1, 1, 0.4, 1.5, 3.
    assert found["mae"] == pytest.approx(7.9 / 6)
    # Sums of products about the means -1/6 and -3.1/6.
    products = 12 + 0 + 0 + 0 + 2.5 - 2 - 6 * (1 / 6) * (3.1 / 6)
    squares = (15 - 6 / 36) * (16 + 1 + 0.16 + 6.25 + 1 - 6 * (3.1 / 6) ** 2)
    assert found["pearson"] == pytest.approx(products / squares**0.5)
    # Not negative: labels n n y y y y, predictions n y n y y n.
    assert found["acc_2"] == pytest.approx(3 / 6)
    # Positive, of -3, -1, 1, 2: labels n n y y, predictions n n y n.
    assert found["acc_2_nonzero"] == pytest.approx(3 / 4)
    # F1 of n: 2*2/(2*2+1), of y: 2*1/(2*1+1), two examples each.
    assert found["f1_nonzero"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    # Rounded: labels -3 -1 0 0 1 2, predictions -3 0 -1 0 2 -1 (halves go to the even number).
    assert found["acc_7"] == pytest.approx(2 / 6)


def test_f1_is_weighted_by_the_size_of_the_classes():
    found = scores(np.array([1.0, 1.0, 1.0, -1.0]), np.array([1.0, 1.0, -1.0, 1.0]))
    assert found["f1_nonzero"] == pytest.approx(0.75 * 2 / 3)


def test_right_predictions():
    found = scores(LABEL, LABEL)
    assert found.pop("mae") == 0
    assert list(found.values()) == pytest.approx([1.0] * 5)


@pytest.mark.parametrize(("label", "predicted"), [([1.0, 1.0], [0.5, 2.0]), ([1.0, -1.0], [0.5, 0.5]), ([1.0], [2.0])])
def test_nothing_correlates_with_a_constant(label, predicted):
    assert scores(np.array(label), np.array(predicted))["pearson"] == 0.0


def test_labels_that_are_all_zero():
    found = scores(np.zeros(3), np.array([-1.0, 0.0, 1.0]))
    assert found == pytest.approx(
        {"mae": 2 / 3, "pearson": 0, "acc_2": 2 / 3, "acc_2_nonzero": 0, "f1_nonzero": 0, "acc_7": 1 / 3}
    )


def test_the_figure_is_a_picture(tmp_path):
    for predicted in (PREDICTED, np.zeros(6)):
        draw_scatter(LABEL, predicted, tmp_path / "scatter.png")
        assert min(Image.open(tmp_path / "scatter.png").size) > 300
