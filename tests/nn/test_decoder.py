"""The decoder: with a cache and without, alone and among beams, over padded memories."""

import pytest
import torch

from mla_train.config import AttentionConfig, AttentionKind, EncoderConfig, RegularizationConfig
from mla_train.nn import Decoder

KINDS = [
    (AttentionKind.mla, AttentionKind.mla),
    (AttentionKind.mha, AttentionKind.mha),
    (AttentionKind.gqa, AttentionKind.mla),
    (AttentionKind.mla, AttentionKind.mha),
]
SIZES = EncoderConfig(dim=32, depth=2, num_heads=4)


def decoder(own, cross):
    torch.manual_seed(0)
    return Decoder(SIZES, AttentionConfig(own), AttentionConfig(cross), RegularizationConfig()).eval()


@pytest.fixture
def given():
    torch.manual_seed(1)
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[1, 3:] = True
    return torch.randn(2, 6, 32), torch.randn(2, 5, 32), mask


@pytest.mark.parametrize(("own", "cross"), KINDS)
@pytest.mark.parametrize("steps", [[1] * 6, [2, 1, 3], [6]])
def test_token_by_token_is_all_at_once(own, cross, steps, given):
    x, memory, mask = given
    model = decoder(own, cross)
    whole = model(x, memory, mask)
    with torch.no_grad():
        cache = model.new_cache()
        parts = [model(part, memory, mask, cache) for part in x.split(steps, dim=1)]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)
    assert len(cache) == 6
    numbers = 2 * (6 * model.cache_width + 5 * model.memory_width)
    assert cache.nbytes == 4 * numbers


@pytest.mark.parametrize(("own", "cross"), KINDS)
def test_beams_share_the_memory_of_their_source(own, cross, given):
    _, memory, mask = given
    model = decoder(own, cross)
    beams = torch.randn(2 * 3, 4, 32)
    expected = model(beams, memory.repeat_interleave(3, 0), mask.repeat_interleave(3, 0))
    with torch.no_grad():
        cache = model.new_cache()
        first = model(beams[:, :2], memory, mask, cache)
        # Source 1 goes on with beams 2, 0, 0; source 0 is finished.
        rows = torch.tensor([5, 3, 3])
        cache.reorder(rows)
        cache.keep(torch.tensor([1]))
        second = model(beams[rows, 2:], memory[1:], mask[1:], cache)
    torch.testing.assert_close(first, expected[:, :2], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(second, expected[rows, 2:], rtol=1e-4, atol=1e-5)
    assert cache.cross[0].states[0].size(0) == 1


@pytest.mark.parametrize(("own", "cross"), KINDS)
def test_padding_of_the_memory_and_later_tokens_change_nothing(own, cross, given):
    x, memory, mask = given
    model = decoder(own, cross)
    expected = model(x, memory, mask)
    changed = memory.masked_fill(mask.unsqueeze(-1), 9.0)
    torch.testing.assert_close(model(x, changed, mask), expected, rtol=1e-4, atol=1e-5)
    later = x.clone()
    later[:, 4:] = 7.0
    torch.testing.assert_close(model(later, memory, mask)[:, :4], expected[:, :4], rtol=1e-4, atol=1e-5)


def test_gradients_reach_every_parameter(given):
    x, memory, mask = given
    model = decoder(AttentionKind.mla, AttentionKind.mla)
    model(x, memory, mask).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
