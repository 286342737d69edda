"""Stratified cuts, and the parts that baselines share."""

import numpy as np
import pytest

from mla_train.data.baselines import logistic_regression, majority
from mla_train.data.cache import cached
from mla_train.data.splits import stratified_cut
from mla_train.errors import UserError


def test_every_class_has_its_share():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    stay, off = stratified_cut(labels, 0.2, 0)
    assert sorted([*stay, *off]) == list(range(160))
    assert np.bincount(labels[off]).tolist() == [20, 10, 2]


def test_the_cut_follows_its_own_seed():
    labels = np.repeat([0, 1], 50)
    assert (stratified_cut(labels, 0.2, 0)[1] == stratified_cut(labels, 0.2, 0)[1]).all()
    assert (stratified_cut(labels, 0.2, 0)[1] != stratified_cut(labels, 0.2, 1)[1]).any()


def test_too_few_examples_are_named():
    with pytest.raises(UserError, match="class number 1 has 1"):
        stratified_cut([0] * 20 + [1], 0.2, 0)


def test_baselines_find_what_there_is_to_find():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, 4))
    labels = (features[:, 0] > 0).astype(int)
    predicted = logistic_regression(features[:200], labels[:200], features[200:])
    assert (predicted == labels[200:]).mean() > 0.95
    assert majority(np.array([2, 2, 1]), 4).tolist() == [2, 2, 2, 2]


def test_cached_results_come_from_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path))
    data = np.eye(4)
    first = cached(logistic_regression)(data, np.array([0, 1, 0, 1]), data)
    assert list(tmp_path.rglob("output.pkl"))
    assert (cached(logistic_regression)(data, np.array([0, 1, 0, 1]), data) == first).all()
