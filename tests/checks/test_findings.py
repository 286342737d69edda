"""Checks of plain values, each with exact numbers on a small input."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from mla_train.checks.confident_learning import confident_errors, find_label_errors
from mla_train.checks.near_duplicates import equal_pairs, jaccard, near_images, near_texts, normalized
from mla_train.checks.telling_inputs import telling_columns, telling_lead, telling_tokens

SENTENCE = "the quick brown fox jumps over the lazy dog and runs away from the old hunter"


def test_equal_examples_repeat_the_first():
    assert equal_pairs(["a", "b", "a", "c", "a", "b"]).tolist() == [[0, 2], [0, 4], [1, 5]]
    assert equal_pairs([]).shape == equal_pairs(["a"]).shape == (0, 2)


def test_texts_that_differ_in_signs_or_a_word_are_near():
    texts = [
        SENTENCE,
        "something else entirely, of the same length, about ships and the sea",
        SENTENCE.upper() + "!!!",
        "",
        "",
    ]
    texts += [SENTENCE.replace("hunter", "farmer"), SENTENCE[:30]]
    assert near_texts(texts).tolist() == [[0, 2], [0, 5]]
    assert near_texts(["", "abc", "a"]).shape == near_texts([]).shape == (0, 2)
    assert jaccard("abcdef", "abcdeg") == pytest.approx(1 / 3)
    assert normalized("A  Cat, a dog!") == "a cat a dog"
    assert normalized("(^_^)/ o") == "(^_^)/ o"  # mostly signs


def test_each_of_many_near_texts_is_found():
    generator = np.random.default_rng(0)
    originals = [" ".join(generator.choice(list("abcdefghijklmnop"), (12, 5)).view("<U5").ravel()) for _ in range(500)]
    copies = [text[:-3] + "xyz" for text in originals]
    pairs = near_texts(originals + copies)
    assert sum(second - first == 500 for first, second in pairs.tolist()) >= 495
    assert len(pairs) <= 500


def test_images_that_are_brighter_or_noisy_are_near():
    generator = torch.Generator().manual_seed(0)
    images = torch.nn.functional.interpolate(torch.rand(40, 3, 6, 6, generator=generator) * 200, 32, mode="bilinear")
    noisy = images[:5] + torch.randn(5, 3, 32, 32, generator=generator) * 2
    flat = torch.full((2, 3, 32, 32), 7.0)
    everything = torch.cat([images, images[5:8] * 1.2, noisy, flat]).byte()
    assert sorted(near_images(everything).tolist()) == [*([i, 43 + i] for i in range(5)), [5, 40], [6, 41], [7, 42]]


def test_a_token_that_tells_a_class_is_named():
    texts = [f"{'Reuters ' if i % 2 else ''}news number {i} of the day" for i in range(100)]
    texts[0] += " reuters"
    (token,) = telling_tokens(texts, np.arange(100) % 2)
    assert token == ("reuters", 1, pytest.approx(50 / 51), 1.0)
    assert telling_tokens(texts, np.arange(100) // 2 % 2) == []
    assert telling_tokens(["", ""], np.array([0, 1])) == []


def test_a_column_that_tells_the_target_is_numbered():
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    table = np.c_[generator.normal(size=200), labels * 10 + generator.normal(size=200), np.ones(200)]
    assert telling_columns(table, labels) == {1: 1.0}
    target = generator.normal(size=200)
    assert list(telling_columns(np.c_[table[:, 0], np.exp(target)], target, is_number=True)) == [1]
    assert telling_columns(np.ones((200, 2)), labels) == telling_columns(np.ones((200, 2)), target, True) == {}


def test_a_covariate_that_runs_ahead_of_a_series_is_found():
    series = np.random.default_rng(0).normal(size=400).cumsum() + np.random.default_rng(1).normal(size=400) * 5
    ahead = np.r_[series[3:], np.zeros(3)]
    assert telling_lead(ahead, series, 6) == 3
    assert telling_lead(ahead, series, 2) is None
    wave = np.sin(np.arange(400) / 50)  # known ahead from its own past
    assert telling_lead(np.r_[wave[1:], wave[0]], wave, 6) is None


def test_labels_off_the_confident_joint_are_suspected():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.2, 0.8], [0.15, 0.85], [0.4, 0.6]])
    errors = confident_errors(probabilities, np.array([0, 0, 0, 1, 1, 1]))
    assert errors.places.tolist() == [2]
    assert errors.labels.tolist() == [1]
    assert errors.scores.tolist() == pytest.approx([0.9])
    assert len(confident_errors(probabilities, np.array([0, 0, 1, 1, 1, 1])).places) == 0


def test_flipped_digits_are_at_the_top_of_the_list():
    pixels, truth = load_digits(return_X_y=True)
    pixels, truth = pixels[:600], truth[:600]
    generator = np.random.default_rng(0)
    flipped = generator.choice(600, 30, replace=False)
    labels = truth.copy()
    labels[flipped] = (labels[flipped] + generator.integers(1, 10, 30)) % 10
    errors = find_label_errors([], [pixels], labels)
    top = errors.places[:30]
    assert np.isin(top, flipped).mean() >= 0.8
    assert (errors.labels[:30] == truth[top]).mean() >= 0.8
    assert (np.diff(errors.scores) <= 0).all()


def test_texts_with_a_wrong_label_are_suspected():
    generator = np.random.default_rng(0)
    words = {0: ["good", "fine", "great", "nice"], 1: ["bad", "poor", "awful", "dull"]}
    labels = np.arange(120) % 2
    texts = [" ".join(generator.choice([*words[label], "film", "book"], 8)) for label in labels]
    labels[[3, 50]] = 1 - labels[[3, 50]]
    errors = find_label_errors([texts], [], labels)
    assert set(errors.places[:2].tolist()) == {3, 50}
