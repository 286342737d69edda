"""Dropout by random words beside torch's."""

import pytest
import torch
from torch.testing import assert_close

from mla_train.nn import Dropout, dropout


@pytest.mark.parametrize("rate", [0.003, 0.1, 0.5, 0.97])
def test_each_place_of_a_word_is_dropped_as_often_as_asked(rate):
    torch.manual_seed(0)
    count = 400_000
    is_dropped = (dropout(torch.ones(count, 4), rate) == 0).double()
    error = 5 * (rate * (1 - rate) / count) ** 0.5  # five standard deviations
    assert_close(is_dropped.mean(0), torch.full((4,), rate, dtype=torch.double), rtol=0, atol=error + 2**-17)
    pairs = torch.corrcoef(is_dropped.T) - torch.eye(4)
    following = torch.corrcoef(torch.stack([is_dropped[1:, 0], is_dropped[:-1, 3]]))[0, 1]
    assert max(pairs.abs().max(), following.abs()) < 5 / count**0.5


def test_the_others_are_scaled_so_that_the_mean_stays():
    torch.manual_seed(0)
    x = torch.full((1001, 3), 2.0, requires_grad=True)  # no whole number of words
    dropped = dropout(x, 0.1)
    scale = 2**16 / (2**16 - round(0.1 * 2**16))
    assert dropped.unique().tolist() == pytest.approx([0.0, 2 * scale])
    dropped.sum().backward()
    assert_close(x.grad, dropped.detach() / 2)


def test_a_seed_repeats_the_mask():
    x = torch.ones(5, 7)
    masks = [torch.manual_seed(seed) and dropout(x, 0.4) for seed in (0, 0, 1)]
    assert_close(masks[0], masks[1], rtol=0, atol=0)
    assert (masks[0] != masks[2]).any()


def test_nothing_or_all_is_dropped_and_evaluation_changes_nothing():
    x = torch.randn(4, 5)
    assert_close(dropout(x, 0.0), x)
    assert_close(dropout(x, 1.0), torch.zeros(4, 5))
    assert dropout(x[:0], 0.5).shape == (0, 5)
    layer = Dropout(0.5)
    assert (layer(x) == 0).any()
    assert layer.eval()(x) is x
