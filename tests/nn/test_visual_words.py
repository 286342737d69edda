"""Visual words: each patch says the nearest, parts count them, and odd pictures stay finite."""

import numpy as np
import pytest
import torch

from mla_train.data.visual_words import DAMPING, learn_words, sample_patches
from mla_train.nn import VisualWords
from mla_train.nn.visual_words import LENGTH

COUNT, SIDE = 7, 3


@pytest.fixture(scope="module")
def images():
    torch.manual_seed(0)
    coarse = torch.randint(0, 256, (40, 2, 6, 8)).float()
    return torch.nn.functional.interpolate(coarse, scale_factor=2, mode="bilinear").round().to(torch.uint8)


@pytest.fixture(scope="module")
def words(images):
    words = VisualWords(2, (12, 16), COUNT, SIDE)
    words.init_from_data(*learn_words(images.numpy(), COUNT, SIDE), images)
    return words


def naive_counts(words, image):
    """Patch after patch, part after part."""
    weight, bias = words.weight.flatten(1).double(), words.bias.double()
    rows, columns = image.shape[1] - SIDE + 1, image.shape[2] - SIDE + 1
    said = torch.zeros(rows, columns, COUNT, dtype=torch.double)
    for row in range(rows):
        for column in range(columns):
            patch = image[:, row : row + SIDE, column : column + SIDE].flatten().double()
            said[row, column] = (weight @ patch + bias).softmax(0)
    parts = torch.nn.functional.adaptive_avg_pool2d(said.movedim(-1, 0), words.regions)
    return parts.flatten().clamp(min=1e-6).sqrt()


def test_counts_are_those_of_a_naive_reference(words, images):
    assert words.regions == (2, 3)
    expected = torch.stack([naive_counts(words, image) for image in images[:9]])  # more than one chunk
    torch.testing.assert_close(words.counts(images[:9]).double(), expected, rtol=1e-3, atol=1e-4)


def test_the_word_said_is_the_nearest_of_the_whitened_patch(images):
    """The convolution ranks words as distances after whitening do."""
    weight, bias = learn_words(images.numpy(), COUNT, SIDE)
    patches = sample_patches(images, SIDE).double()
    covariance = torch.from_numpy(np.cov(patches.numpy().T))
    values, vectors = torch.linalg.eigh(covariance)
    scale = (values + DAMPING * values.mean() + 1e-3).rsqrt()
    white = (patches - patches.mean(0)) @ (vectors @ torch.diag(scale) @ vectors.T)
    scores = patches @ weight.flatten(1).double().T + bias.double()
    # Words from scores: the weights are 2 s W w, so that w = W^-1 weight / 2s for some sharpness s.
    words = weight.flatten(1).double() @ (vectors @ torch.diag(1 / scale) @ vectors.T)
    constant = bias.double() + weight.flatten(1).double() @ patches.mean(0)  # -s |w|^2
    sharpness = -(words.square().sum(1) / 4) / constant
    torch.testing.assert_close(sharpness, sharpness.mean().expand(COUNT), rtol=1e-2, atol=0)
    distances = torch.cdist(white, words / (2 * sharpness.mean()))
    assert (distances.argmin(1) == scores.argmax(1)).double().mean() > 0.999


def test_features_of_the_training_pictures_have_mean_zero_and_one_length(words, images):
    found = words(images)
    assert found.shape == (40, COUNT * 2 * 3)
    torch.testing.assert_close(found.mean(0), torch.zeros(words.width), atol=1e-4, rtol=0)
    assert 0.9 < float(found.square().sum(1).mean()) / LENGTH**2 <= 1.01


def test_words_are_the_same_ones_each_time(images):
    for one, other in zip(learn_words(images.numpy(), 5, 3), learn_words(images.numpy(), 5, 3), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(4, 4), (4, 9), (70, 70)])
def test_black_pictures_and_odd_sizes_are_finite(size):
    images = torch.zeros(3, 1, *size, dtype=torch.uint8)
    side = min(6, *size)
    words = VisualWords(1, size, 4, side)
    words.init_from_data(*learn_words(images.numpy(), 4, side), images)
    noise = torch.randint(0, 256, (2, 1, *size)).float().requires_grad_()
    found = words(noise)
    found.sum().backward()
    assert torch.isfinite(found).all()
    assert torch.isfinite(noise.grad).all()
    torch.testing.assert_close(words(images), torch.zeros(3, words.width))
