"""Regularizers are the numbers that their formulas say."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.nn.regularizers import (
    contrastive_classes,
    contrastive_heads,
    diverse_heads,
    drop_heads,
    orthogonal_heads,
)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5), st.integers(1, 6))
def test_likeness_of_heads_is_the_mean_squared_cosine_of_pairs(batch, length, heads, width):
    torch.manual_seed(0)
    x = torch.randn(batch, length, heads, width)
    pairs = [F.cosine_similarity(x[:, :, i], x[:, :, j], -1) ** 2 for i in range(heads) for j in range(heads) if i != j]
    torch.testing.assert_close(diverse_heads(x), torch.stack(pairs).mean(), rtol=1e-4, atol=1e-5)
    padding = torch.zeros(batch, length, dtype=torch.bool)
    padding[0, 1:] = True
    x[0, 1:] = float("nan") if length > 1 else x[0, 1:]
    x = x.nan_to_num(1e3)
    kept = torch.stack(pairs).mean(0)[~padding].mean()
    torch.testing.assert_close(diverse_heads(x, padding), kept, rtol=1e-4, atol=1e-5)


def test_equal_heads_are_alike_and_orthogonal_ones_are_not():
    x = torch.randn(2, 3, 1, 4)
    assert float(diverse_heads(x.expand(-1, -1, 3, -1))) == pytest.approx(1)
    assert float(diverse_heads(torch.cat([x, -x], 2))) == pytest.approx(1)
    assert float(diverse_heads(torch.eye(3).expand(2, 5, 3, 3))) == pytest.approx(0)
    assert not diverse_heads(x.expand(-1, -1, 3, -1), torch.ones(2, 3, dtype=torch.bool)).any()


def test_overlap_of_the_spaces_of_heads():
    one = torch.linalg.qr(torch.randn(8, 8))[0]
    assert float(orthogonal_heads(one, 4)) == pytest.approx(0, abs=1e-6)
    assert float(orthogonal_heads(torch.cat([one[:, :2]] * 3, 1), 3)) == pytest.approx(1)
    # Length does not count; what chance gives is width / dim.
    torch.manual_seed(0)
    chance = torch.randn(256, 64) * torch.rand(64)
    assert float(orthogonal_heads(chance, 4)) == pytest.approx(16 / 256, rel=0.1)


def test_heads_are_told_apart_by_what_they_say():
    torch.manual_seed(0)
    apart = torch.eye(4).expand(8, 10, 4, 4)
    wanted = math.log(1 + 3 * math.exp(-1 / 0.5))
    assert float(contrastive_heads(apart)) == pytest.approx(wanted, rel=1e-4)
    alike = torch.randn(8, 10, 1, 4).expand(-1, -1, 4, -1)
    assert float(contrastive_heads(alike)) == pytest.approx(math.log(4), rel=1e-4)
    padding = torch.arange(10).expand(8, 10) >= 6
    spoilt = apart.clone()
    spoilt[:, 6:] = torch.randn(8, 4, 4, 4)
    assert float(contrastive_heads(spoilt, padding)) == pytest.approx(wanted, rel=1e-4)
    # One token cannot be parted.
    assert float(contrastive_heads(apart[:, :1])) == 0


def test_supervised_contrast_is_its_formula():
    torch.manual_seed(0)
    features, labels = torch.randn(6, 5), torch.tensor([0, 1, 0, 1, 1, 2])
    unit, total = F.normalize(features, dim=-1), []
    for i in range(6):
        others = [a for a in range(6) if a != i]
        bottom = sum(math.exp(float(unit[i] @ unit[a]) / 0.1) for a in others)
        terms = [-math.log(math.exp(float(unit[i] @ unit[p]) / 0.1) / bottom) for p in others if labels[p] == labels[i]]
        total += [sum(terms) / len(terms)] if terms else []
    assert float(contrastive_classes(features, labels)) == pytest.approx(sum(total) / len(total), rel=1e-4)
    assert float(contrastive_classes(features, torch.arange(6))) == 0


def test_dropped_heads():
    torch.manual_seed(0)
    x = torch.ones(4000, 2, 4, 3)
    found = drop_heads(x, 0.3)
    kept = found[:, 0, :, 0] > 0
    # Whole heads, the same for all tokens; one stays; the sum is kept.
    assert (found == found[:, :1, :, :1]).all()
    assert kept.any(1).all()
    torch.testing.assert_close(found.sum(2), x.sum(2))
    assert float(kept.float().mean()) == pytest.approx(0.7 + 0.3**4 / 4, abs=0.01)
    assert drop_heads(x, 0.0).equal(x)
    alone = drop_heads(torch.ones(100, 1, 1, 2), 0.9)
    assert alone.equal(torch.ones(100, 1, 1, 2))


@pytest.mark.parametrize("penalty", [diverse_heads, contrastive_heads])
def test_gradients_are_finite_where_a_head_says_nothing(penalty):
    x = torch.randn(2, 4, 3, 5)
    x[:, :, 0] = 0
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(penalty(x), x)
    assert gradient.isfinite().all()
