"""Histories as users write them, the time between items, and item-kNN against its definition."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.inference.export.runtime import item_histories
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
        ("[]", []),
        (None, []),
        (["a", "b", "a"], ["a", "b"]),
        ("b|a|b| a", ["b", "a"]),
        ([["a", 3], ["b", 4], ["a", 9]], ["a", "b"]),
        ([["a", 9], ["b", 4], ["c", 4], ["b", 3]], ["b", "c", "a"]),
        ("['a', 'b|c']", ["a", "b|c"]),
        ("[('a', 9), ('b', 4)]", ["b", "a"]),
        ("['a' \"b's\"\n 'c']", ["a", "b's", "c"]),  # as numpy writes it
    ],
)
def test_histories_of_all_forms_are_names(value, names):
    history = read_history(value)
    assert (history if history.ndim == 1 else history[:, 0]).tolist() == names
    exported = json.loads(json.dumps(value))
    assert [item_histories.name_of(item) for item in item_histories.items_of(exported)] == names


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
    newest_first = [[("c", 101 + 2**9), ("b", 101), ("zz", 100), ("a", 100)]]
    assert items.preprocess(newest_first)[0].items.tolist() == column[0].items.tolist()
    arrays = item_histories.read_histories(json.loads(json.dumps(newest_first)), asdict(items.spec))
    assert arrays["items"].tolist() == [column[0].items.tolist()]
    with pytest.raises(UserError, match="write each item as a pair of name and time"):
        items.preprocess([["a"]])
    milliseconds = [[["a", 1_600_000_000_000], ["b", 1_600_000_001_000]]]
    with pytest.raises(UserError, match="milliseconds are divided by 1000"):
        items.preprocess(milliseconds)
    with pytest.raises(ValueError, match="milliseconds are divided by 1000"):
        item_histories.read_histories(milliseconds, asdict(items.spec))


@pytest.mark.parametrize("near", [0.0, 0.4, 1.0])
def test_neighbours_are_those_of_the_definition(near):
    generator = np.random.default_rng(0)
    histories = [generator.permutation(60)[: generator.integers(3, 55)] + 1 for _ in range(12)]
    knn = Neighbours(60, 12, longest=54, lags=3)
    knn.set(damping=2.0, decay=0.5, near=near)
    knn.learn(histories)
    common, close = np.zeros((60, 60)), np.zeros((60, 60))
    for history in histories:
        for one, first in enumerate(history):
            for other, second in enumerate(history):
                common[first - 1, second - 1] += 1
                distance = abs(one - other)
                close[first - 1, second - 1] += 1 / distance if 0 < distance <= 20 else 0
    counts = np.diag(common)
    scale = np.sqrt(np.outer(counts + 2, counts + 2))
    recent = torch.tensor([[3, 1, 8], [2, 0, 0], [0, 0, 0]])
    expected = np.zeros((3, 60))
    for similarity, share in ((common / scale, 1 - near), (close / scale, near)):
        worth = np.zeros((3, 60))
        for row, items in enumerate(recent.tolist()):
            for lag, item in enumerate(items):
                worth[row] += 0.5**lag * similarity[item - 1] if item else 0
        expected += share * worth / worth.sum(1, keepdims=True).clip(min=1e-9)
    assert knn(recent).numpy() == pytest.approx(expected, abs=1e-6)


def test_fewer_histories_are_spread_over_the_users_and_keep_their_newest_items():
    knn = Neighbours(9, 3, longest=2)
    knn.learn([np.array([9, user + 1, 8]) if user == 4 else np.array([user + 1]) for user in range(9)])
    assert (knn.places > 0).sum(1).tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 1, 1]
    assert knn.sequences[:, 20:22].tolist() == [[1, 0], [5, 8], [9, 0]]


def test_the_last_items_stand_newest_first():
    items = torch.tensor([[5, 6, 7, 0], [4, 0, 0, 0]])
    assert last_items(items, torch.tensor([2, 0]), 2).tolist() == [[7, 6], [4, 0]]


@pytest.mark.parametrize("gaps", [False, True])
def test_requests_hold_names_or_pairs(gaps):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from mla_train.heads import Ranking
    from mla_train.heads.ranking import RankingSpec
    from mla_train.inference.serve.examples import ExampleReader
    from mla_train.inference.serve.limits import Limits
    from mla_train.model import ModelSpec

    items = Items(ItemSpec(SPEC.catalogue, SPEC.counts, 3, 5, gaps=gaps))
    reader = ExampleReader(ModelSpec({"history": items}, Ranking, RankingSpec()), Limits())
    history = [["a", 5.5], [7, 9]] if gaps else ["a", 7]
    assert reader.read(json.dumps({"history": history}).encode()).examples == [{"history": history}]
    assert reader.read(b'{"history": []}').examples == [{"history": []}]
    other = reader.read(json.dumps({"history": ["a"] if gaps else [["a", 1]]}).encode()).examples[0]
    assert str(other).startswith("history[0]")


def test_arrays_are_read_as_lists_and_times_are_finite():
    assert read_history(np.array([1, 2, 1])).tolist() == ["1", "2"]
    assert read_history(np.array([1, "2 ", 1.0], dtype=object)).tolist() == ["1", "2"]
    assert read_history(np.array([["1", 0.0], ["2", 5]], dtype=object)).tolist() == [["1", 0.0], ["2", 5.0]]
    for time in (float("nan"), float("inf"), 10**400, None):
        with pytest.raises(UserError, match="the time of an item is a number of seconds"):
            read_history([["1", 0], ["2", time]])
