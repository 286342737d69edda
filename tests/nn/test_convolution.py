"""Convolutions in front of blocks: against a loop over neighbours, padding, causality, and where neighbours are."""

import pytest
import torch
import torch.nn.functional as F

from mla_train.config import AttentionConfig, AttentionKind, Block, EncoderConfig, RegularizationConfig
from mla_train.nn import Encoder, grid_positions
from mla_train.nn.convolution import LocalConvolution, build_grid


def naive(layer, x, places, padding=None, is_causal=False):
    """Sums over neighbours one by one; places are `(length, 2)`, row and column."""
    tokens = layer.norm(x)
    rows, columns = layer.kernel
    ahead = columns - 1 if is_causal else columns // 2
    out = torch.zeros_like(x)
    for b in range(len(x)):
        for i, (row, column) in enumerate(places.tolist()):
            total = layer.depthwise.bias.clone()
            for j, (other_row, other_column) in enumerate(places.tolist()):
                down, right = other_row - row + rows // 2, other_column - column + ahead
                if 0 <= down < rows and 0 <= right < columns and not (padding is not None and padding[b, j]):
                    total = total + layer.depthwise.weight[:, 0, down, right] * tokens[b, j]
            out[b, i] = x[b, i] + layer.out(F.gelu(total))
    return out


def build(axes):
    torch.manual_seed(0)
    return LocalConvolution(EncoderConfig(dim=8), RegularizationConfig(), axes)


@pytest.mark.parametrize("is_causal", [False, True])
def test_sequences_follow_the_loop(is_causal):
    layer, x = build(1), torch.randn(2, 7, 8)
    padding = torch.arange(7).expand(2, 7) >= torch.tensor([[7], [4]])
    places = torch.stack([torch.zeros(7), torch.arange(7)], -1).long()
    found = layer(x, build_grid(None, 7), padding, is_causal)
    torch.testing.assert_close(found, naive(layer, x, places, padding, is_causal))


@pytest.mark.parametrize("corner", [False, True])
def test_pictures_follow_the_loop(corner):
    layer, places = build(2), grid_positions(3, 4)
    if corner:  # a class token outside the picture
        places = torch.cat([torch.full((1, 2), -1), places])
    x = torch.randn(2, len(places), 8)
    torch.testing.assert_close(layer(x, build_grid(places, len(places), 2)), naive(layer, x, places))


def test_a_jump_of_position_begins_another_sequence():
    layer, x = build(1), torch.randn(2, 8, 8)
    together = layer(x, build_grid(torch.arange(4).repeat(2), 8))
    apart = torch.cat([layer(half, build_grid(None, 4)) for half in x.split(4, 1)], 1)
    torch.testing.assert_close(together, apart)
    each_its_own = torch.stack([torch.arange(8), torch.arange(4).repeat(2)])
    torch.testing.assert_close(layer(x, build_grid(each_its_own, 8))[1], together[1])
    torch.testing.assert_close(layer(x, build_grid(each_its_own, 8))[0], layer(x, build_grid(None, 8))[0])


def encoder(axes=1, kind=AttentionKind.mla):
    torch.manual_seed(0)
    config = EncoderConfig(dim=32, depth=2, num_heads=2, block=Block.conv_attention)
    return Encoder(config, AttentionConfig(kind=kind), RegularizationConfig(), axes)


@pytest.mark.parametrize("kind", list(AttentionKind))
def test_padding_changes_nothing(kind):
    found, x = encoder(kind=kind).eval(), torch.randn(2, 5, 32)
    padded = torch.cat([x, 100 * torch.randn(2, 3, 32)], 1)
    padding = torch.arange(8).expand(2, 8) >= 5
    torch.testing.assert_close(found(padded, key_padding_mask=padding)[:, :5], found(x), rtol=1e-4, atol=1e-5)


def test_causal_encoder_does_not_see_the_future():
    x = torch.randn(1, 6, 32, requires_grad=True)
    encoder()(x, is_causal=True)[0, 2].sum().backward()
    assert x.grad[0, 3:].abs().max() == 0
    with pytest.raises(ValueError, match=r"cannot be causal: use encoder\.block=attention"):
        encoder(2)(torch.randn(1, 6, 32), grid_positions(2, 3), is_causal=True)


def test_without_positions_neighbours_still_tell_order():
    x, order = torch.randn(1, 6, 32), torch.tensor([3, 1, 5, 0, 2, 4])
    found = encoder(0).eval()
    assert (found(x[:, order]) - found(x)[:, order]).abs().max() > 1e-3
