"""Histories as users write them, the time between items, and item-kNN against its definition."""

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.modalities.items import Items, ItemSpec
from mla_train.modalities.items.neighbours import Neighbours, last_items
from mla_train.modalities.items.preprocess import gap_classes, read_history

SPEC = ItemSpec(["b", "a", "c"], [3, 2, 1], users=3, max_length=2)


@pytest.mark.parametrize(
    ("value", "names"),
    [
        (["a", "b"], ["a", "b"]),
        ("a | b", ["a", "b"]),
        ("a|b|", ["a", "b"]),
        ([1, 2.0, " x "], ["1", "2", "x"]),
        ([["a", 3], ("b", 4.5)], ["a", "b"]),
        ([], []),
        (None, []),
    ],
)
def test_histories_of_all_forms_are_names(value, names):
    history = read_history(value)
    assert (history if history.ndim == 1 else history[:, 0]).tolist() == names


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "a history is a list of items"),
        ({"a": 1}, "a history is a list of items"),
        ([None], "an item is a name or a number, not None"),
        ([["a", 1], "b"], "not both"),
        ([["a", "soon"]], "a number of seconds, not 'soon'"),
    ],
)
def test_what_is_no_history_is_refused(value, message):
    with pytest.raises(UserError, match=message):
        read_history(value)


def test_the_newest_items_are_read_and_all_are_seen():
    items = Items(SPEC)
    column = items.preprocess([["a", "c", "zz", "b"], [], ["zz"]])
    tensors = items.collate([column[place] for place in range(3)])
    assert tensors.items.tolist() == [[3, 1], [0, 0], [0, 0]]
    assert tensors.seen.tolist() == [[2, 3, 1], [0, 0, 0], [0, 0, 0]]
    assert tensors.padding.tolist() == [[False, False], [True, True], [True, True]]
    assert tensors.unknown == [["zz"], [], ["zz"]]
    assert tensors.gaps is None


def test_times_are_read_as_gaps_where_the_model_reads_them():
    items = Items(ItemSpec(SPEC.catalogue, SPEC.counts, 3, 5, gaps=True))
    column = items.preprocess([[("a", 100), ("zz", 100), ("b", 101), ("c", 101 + 2**9)]])
    assert column[0].gaps.tolist() == [0, 2, 10]
    assert gap_classes(np.array([0, 0, 1e30])).tolist() == [0, 1, 31]
    with pytest.raises(UserError, match="write each item as a pair of name and time"):
        items.preprocess([["a"]])


def test_neighbours_are_damped_cosines_that_decay():
    generator = np.random.default_rng(0)
    histories = [np.flatnonzero(row) + 1 for row in generator.random((12, 8)) < 0.4]
    knn = Neighbours(8, 12, lags=3, damping=2.0, decay=0.5)
    knn.learn(histories)
    has = np.array([[number + 1 in history for number in range(8)] for history in histories], float)
    counts = has.sum(0)
    similarity = (has.T @ has) / np.sqrt(np.outer(counts + 2, counts + 2))
    recent = torch.tensor([[3, 1, 8], [2, 0, 0], [0, 0, 0]])
    expected = np.zeros((3, 8))
    for row, items in enumerate(recent.tolist()):
        for lag, item in enumerate(items):
            expected[row] += 0.5**lag * similarity[item - 1] if item else 0
    expected /= expected.sum(1, keepdims=True).clip(min=1e-9)
    assert knn(recent).numpy() == pytest.approx(expected, abs=1e-6)


def test_fewer_voters_are_spread_over_the_users():
    knn = Neighbours(9, 3)
    knn.learn([np.array([user + 1]) for user in range(9)])
    assert knn.has.sum(1).tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_the_last_items_stand_newest_first():
    items = torch.tensor([[5, 6, 7, 0], [4, 0, 0, 0]])
    assert last_items(items, torch.tensor([2, 0]), 2).tolist() == [[7, 6], [4, 0]]
