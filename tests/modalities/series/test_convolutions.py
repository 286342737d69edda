"""Fixed convolutions of whole series, against sums that are written out."""

from itertools import combinations

import pytest
import torch

from mla_train.modalities.series.convolutions import KERNELS, MOST_STEPS, TAPS, FixedConvolutions, dilations_of


def made(channels, longest, features, count=5):
    torch.manual_seed(0)
    layer = FixedConvolutions(channels, longest, features)
    values = torch.randn(count, channels, longest).cumsum(-1)
    layer.init_from_data(values, torch.ones_like(values, dtype=torch.bool))
    return layer, values


def naive(layer, series, real):
    """The features of a series `(channels, length)`, one convolution and step after the other."""
    count = real.sum(-1, keepdim=True).clamp(min=1)
    series = (series - (series * real).sum(-1, keepdim=True) / count) * real
    length, shares = series.size(-1), []
    for number, dilation in enumerate(layer.dilations):
        sums = torch.zeros(KERNELS, length)
        for kernel, twice in enumerate(combinations(range(TAPS), 3)):
            for step in range(length):
                for tap in range(TAPS):
                    place = step + (tap - TAPS // 2) * dilation
                    if 0 <= place < length:
                        reads = layer.kernels[number, kernel].abs().sum(-1) > 0
                        sums[kernel, step] += (2 if tap in twice else -1) * series[reads, place].sum()
        steps = torch.arange(0, length, layer.stride)
        steps = steps[real[:, steps].any(0)]
        for threshold in layer.thresholds[number].unbind(-1):
            shares.append((sums[:, steps] > threshold.unsqueeze(-1)).float().mean(-1))
    return torch.cat(shares)


@pytest.mark.parametrize("channels", [1, 3])
def test_features_are_shares_of_steps_above_thresholds(channels):
    layer, values = made(channels, 24, 336, 2)
    assert len(layer.dilations) > 1
    assert layer.thresholds.size(-1) == 2
    real = torch.rand(values.shape) < 0.8
    found = layer(values, real)
    assert found.shape == (2, layer.width)
    for row in range(2):
        torch.testing.assert_close(found[row], naive(layer, values[row], real[row]), rtol=0, atol=1 / 24 + 1e-6)
        assert (found[row] - naive(layer, values[row], real[row])).abs().mean() < 1e-3


def test_neither_padding_nor_level_changes_features():
    layer, values = made(2, 40, 500)
    real = torch.ones_like(values, dtype=torch.bool)
    real[..., 30:] = False
    short = layer(values[..., :30], real[..., :30])
    torch.testing.assert_close(layer(values.masked_fill(~real, 7.0), real), short, rtol=0, atol=1e-2)
    torch.testing.assert_close(layer(values[..., :30] + 100, real[..., :30]), short, rtol=0, atol=1 / 30 + 1e-6)


def test_thresholds_are_quantiles_of_training_examples():
    layer, values = made(1, 60, 2000)
    found = layer(values, torch.ones_like(values, dtype=torch.bool))
    assert 0.35 < found.mean() < 0.65
    assert (found.std(0) > 0).float().mean() > 0.9


def test_where_a_series_stands_still_rounding_decides_nothing():
    torch.manual_seed(0)
    values = torch.randint(0, 3, (8, 1, 12)).repeat_interleave(8, -1) / 3
    real, layer = torch.ones_like(values, dtype=torch.bool), FixedConvolutions(1, 96, 1000)
    layer.init_from_data(values, real)
    noise = 1e-6 * torch.randn(values.shape)
    torch.testing.assert_close(layer(values + noise, real), layer(values, real), rtol=0, atol=0)


def test_the_widest_kernel_is_as_long_as_the_longest_series():
    for longest in (1, 5, 9, 17, 150, 5000):
        widest = dilations_of(longest, 2000)[-1]
        assert widest * (TAPS - 1) < max(longest, TAPS) + 8 * (longest > 100)
        layer = FixedConvolutions(1, longest, 2000)
        assert -(-longest // layer.stride) <= 2 * MOST_STEPS
    layer, values = made(1, 2000, 500)
    assert layer.stride > 1
    found = layer(values, torch.ones_like(values, dtype=torch.bool))
    torch.testing.assert_close(found[0], naive_strided(layer, values[0]), rtol=0, atol=0.02)


def naive_strided(layer, series):
    centred = series - series.mean()
    parts = []
    for number, dilation in enumerate(layer.dilations):
        convolved = torch.nn.functional.conv1d(
            centred.unsqueeze(0), layer.kernels[number], padding=4 * dilation, dilation=dilation
        )
        steps = convolved[0, :, :: layer.stride]
        parts += [(steps > each.unsqueeze(-1)).float().mean(-1) for each in layer.thresholds[number].unbind(-1)]
    return torch.cat(parts)
