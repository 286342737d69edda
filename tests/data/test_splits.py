"""Cutting splits: shares, seeds, and what is too small to be cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mla_train.data.splits import random_cut, stratified_cut
from mla_train.errors import UserError


def test_every_class_has_its_share():
    labels = np.repeat([0, 1, 2], [100, 50, 10])
    off = stratified_cut(labels, 0.2, 0)
    assert len(set(off.tolist())) == len(off)
    assert np.bincount(labels[off]).tolist() == [20, 10, 2]


@given(
    counts=st.lists(st.integers(2, 40), min_size=2, max_size=5), share=st.floats(0.1, 0.9), seed=st.integers(0, 1000)
)
def test_a_stratified_cut_is_a_partition_with_every_class_on_both_sides_or_refused(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    try:
        off = stratified_cut(labels, share, seed)
    except UserError:
        cut = round(len(labels) * share)
        assert cut < len(counts) or len(labels) - cut < len(counts)
        return
    assert len(set(off.tolist())) == len(off) == round(len(labels) * share)
    for part in (np.delete(np.arange(len(labels)), off), off):
        taken = np.bincount(labels[part], minlength=len(counts))
        assert (np.abs(taken - np.array(counts) * len(part) / len(labels)) < 1.5).all()


@given(count=st.integers(2, 200), share=st.floats(0.05, 0.95), seed=st.integers(0, 1000))
def test_a_random_cut_has_its_share_or_is_refused(count, share, seed):
    wanted = round(count * share)
    if not 0 < wanted < count:
        with pytest.raises(UserError, match="give that split yourself"):
            random_cut(count, share, seed, "examples")
        return
    cut = random_cut(count, share, seed, "examples")
    assert len(set(cut.tolist())) == len(cut) == wanted
    assert (random_cut(count, share, seed, "examples") == cut).all()
    assert set(cut.tolist()) <= set(range(count))


def test_the_cut_follows_its_own_seed():
    labels = np.repeat([0, 1], 50)
    assert (stratified_cut(labels, 0.2, 0) == stratified_cut(labels, 0.2, 0)).all()
    assert (stratified_cut(labels, 0.2, 0) != stratified_cut(labels, 0.2, 1)).any()
    assert (random_cut(100, 0.2, 0, "examples") != random_cut(100, 0.2, 1, "examples")).any()


def test_what_is_too_small_is_named():
    with pytest.raises(UserError, match=r"class number 1 has 1.*give that split yourself"):
        stratified_cut([0] * 20 + [1], 0.2, 0)
    with pytest.raises(UserError, match="class glad has 1"):
        stratified_cut([0] * 20 + [1], 0.2, 0, ["sad", "glad"])
    with pytest.raises(UserError, match="between 0 and 1"):
        stratified_cut([0, 1] * 20, 1.0, 0)
    with pytest.raises(UserError, match="10% of 3 sequences"):
        random_cut(3, 0.1, 0, "sequences")


def test_a_column_that_is_different_in_each_row_is_no_label():
    with pytest.raises(UserError, match=r"in 600 classes .*data\.label_column="):
        stratified_cut(list(range(600)), 0.2, 0)
    with pytest.raises(UserError, match=r"raise the share \(data\.val_share, data\.test_share\)"):
        stratified_cut([0] * 10 + [1], 0.1, 0)
