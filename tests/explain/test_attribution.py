"""What answers hang on: sums that must hold, and a planted unit that every method must find."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from mla_train.errors import UserError
from mla_train.explain import METHODS
from mla_train.explain.attribution import attribute, integrated_gradients, mask_scores, occlusion, shapley
from mla_train.explain.attribution_figures import draw_attributions
from mla_train.explain.explanation import Explanation
from mla_train.modalities.explanation import GradientInput, WordUnits

for package in set(METHODS.values()):
    pytest.importorskip(package)

UNITS, PLANTED = 6, 3


class Planted(nn.Module):
    """Six numbers in, a score out that hangs on the fourth, a little on the others and on two of them together."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.2, -0.1, 0.3, 3.0, 0.1, -0.3]))

    def forward(self, x):
        return torch.tanh(x * self.weight).sum(-1) + 0.3 * x[:, 0] * x[:, 1]


@pytest.fixture
def model():
    return Planted()


@pytest.fixture
def explanation(model):
    x = torch.tensor([[1.0, 2.0, -1.0, 1.5, 0.5, 1.0]])
    words = WordUnits([f"word {i}" for i in range(UNITS)])
    return Explanation(
        batch=x, prediction="planted", attention=[], units=[words], occlude=lambda kept: x * torch.from_numpy(kept),
        score=lambda outputs: outputs, score_name="the score",
        gradient_inputs=[GradientInput(x, torch.zeros_like(x), lambda found: found[0], lambda *_: None)],
        outputs=lambda values: model(values[0]),
    )  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_the_planted_unit_wins(method, model, explanation):
    values = attribute(method, model, explanation)
    assert values.shape == (UNITS,)
    assert np.argmax(np.abs(values)) == PLANTED
    assert values[PLANTED] > 0
    np.testing.assert_array_equal(values, attribute(method, model, explanation))


def test_occlusion_is_a_plain_loop(model, explanation):
    scores = mask_scores(model, explanation)
    whole = np.ones((1, UNITS))
    expected = [scores(whole)[0] - scores(np.where(np.arange(UNITS) == i, 0.0, whole))[0] for i in range(UNITS)]
    np.testing.assert_allclose(occlusion(scores, UNITS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("units", [1, 2, 6, 40])
def test_shapley_values_sum_to_what_the_units_add(units):
    weights = np.linspace(-1, 2, units)

    def scores(masks):
        return np.tanh(masks @ weights) + masks[:, 0] * masks[:, -1]

    values = shapley(scores, units)
    whole, blank = scores(np.ones((1, units)))[0], scores(np.zeros((1, units)))[0]
    assert values.sum() == pytest.approx(whole - blank, abs=1e-6)


def test_shapley_values_are_exact_for_few_units():
    values = shapley(lambda masks: masks[:, 0] * 2 + masks[:, 1] * masks[:, 2], 3)
    np.testing.assert_allclose(values, [2, 0.5, 0.5], atol=1e-8)


def test_integrated_gradients_sum_to_what_the_leaves_add(model, explanation):
    with torch.no_grad():
        expected = (model(explanation.gradient_inputs[0].value) - model(explanation.gradient_inputs[0].baseline)).item()
    assert integrated_gradients(explanation).sum() == pytest.approx(expected, rel=1e-4)


def test_a_package_that_is_not_there_is_named(model, explanation, monkeypatch):
    monkeypatch.setitem(sys.modules, "shap", None)
    with pytest.raises(UserError, match="pip install shap"):
        attribute("shap", model, explanation)
    explanation.gradient_inputs = []
    with pytest.raises(UserError, match="occlusion, lime or shap"):
        attribute("integrated_gradients", model, explanation)


def test_attributions_are_drawn(explanation, tmp_path):
    draw_attributions(explanation, {"occlusion": np.arange(6) - 2.0, "lime": np.zeros(6)}, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
