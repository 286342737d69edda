"""Ranks and metrics are those of a naive reference; all places of a history are trained; what was seen is not recommended."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.data.examples import Examples, RawData
from mla_train.heads import Ranking
from mla_train.heads.ranking_metrics import NO_ITEM, metrics_of, ranked
from mla_train.modalities.items import Items
from mla_train.preparation import prepare
from tests.helpers import SMALL, batch_of, config, randomize


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 30), st.integers(1, 9))
def test_ranks_are_those_of_a_sorted_list_and_metrics_those_of_torchmetrics(seed, size, rows):
    from torchmetrics.functional.retrieval import (
        retrieval_hit_rate,
        retrieval_normalized_dcg,
        retrieval_reciprocal_rank,
    )

    generator = np.random.default_rng(seed)
    scores = np.stack([generator.permutation(size) for _ in range(rows)]).astype(float)
    scores[generator.random(scores.shape) < 0.2] = -np.inf
    targets = generator.integers(0, size + 1, rows)
    scores[np.arange(rows), (targets - 1).clip(min=0)] = generator.random(rows) * size  # not seen
    columns = ranked(scores, targets)
    naive = []
    for row, target in zip(scores, targets, strict=True):
        order = sorted((item for item in range(size) if row[item] > -np.inf), key=lambda item: (-row[item], item))
        naive.append(order.index(target - 1) if target else size)
        best = columns["predicted"][len(naive) - 1]
        assert [item for item in best if item != NO_ITEM] == order[:10]
    assert columns["rank"].tolist() == naive
    found = targets > 0
    if found.all():
        expected = {"ndcg@10": [], "hr@10": [], "mrr": []}
        for row, target in zip(scores, targets, strict=True):
            pair = torch.tensor(row).clamp(min=-1.0), torch.arange(size) == target - 1
            expected["ndcg@10"].append(retrieval_normalized_dcg(*pair, top_k=10))
            expected["hr@10"].append(retrieval_hit_rate(*pair, top_k=min(10, size)))
            expected["mrr"].append(retrieval_reciprocal_rank(*pair))
        for name, value in metrics_of(columns["rank"]).items():
            assert value == pytest.approx(float(torch.stack(expected[name]).mean()), abs=1e-6)


def test_metrics_of_known_ranks():
    metrics = metrics_of(np.array([0, 1, 9, 10]))
    assert metrics["hr@10"] == 0.75
    assert metrics["ndcg@10"] == pytest.approx((1 + 1 / np.log2(3) + 1 / np.log2(11)) / 4)
    assert metrics["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 10 + 1 / 11) / 4)


def test_ties_do_not_flatter():
    assert ranked(np.zeros((1, 5)), np.array([1]))["rank"].tolist() == [4]


HISTORIES = [[f"i{(user + 2 * step) % 9}" for step in range(2 + user % 4)] for user in range(18)]


def made(*words):
    """A small network and its data: histories with the item that follows."""
    from mla_train.task import build_task

    settings_ = config("task=recommendation", *SMALL, *words)
    splits = {
        split: Examples({"history": HISTORIES[start::3]}, [f"i{number % 9}" for number in range(6)])
        for start, split in enumerate(("train", "val", "test"))
    }
    data = prepare(RawData(splits), {"history": Items}, Ranking, settings_)
    torch.manual_seed(0)
    task = build_task(settings_)
    model = task.build_model(data.spec)
    task.init_from_data(model, data)
    return data, randomize(model)


def test_every_place_is_trained_and_only_the_last_is_answered():
    data, model = made("task.neighbours=0", "regularization=none")
    batch = batch_of(data, training=True)
    model.train()
    total, count = model.head.loss(model(batch), batch)
    tensors = batch.inputs["history"]
    assert count == (~tensors.padding).sum()
    model.eval()
    whole = torch.cat([tensors.items, torch.zeros_like(tensors.items[:, :1])], 1)
    expected = 0.0
    for row, target in enumerate(batch.targets):  # each beginning as a history of its own
        length = int((~tensors.padding[row]).sum())
        whole[row, length] = target
        for end in range(1, length + 1):
            names = [data.spec.inputs["history"].spec.catalogue[n - 1] for n in whole[row, :end]]
            column = data.spec.inputs["history"].preprocess([names])
            one = batch_of(data, count=1)
            one.inputs["history"] = data.spec.inputs["history"].collate([column[0]])
            expected -= F.log_softmax(model(one)[0], -1)[0, whole[row, end] - 1]
    assert total.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_window_ends_with_the_item_that_follows_it_in_the_history():
    data, model = made("data.max_length=2", "task.neighbours=0")
    vary = data.train.augmentations["history"]
    example = max((data.train.columns["history"][place] for place in range(6)), key=lambda each: len(each.items))
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        window = vary(example)
        seen.add(tuple(window.items))
        (start,) = [i for i in range(len(example.items) - 1) if (example.items[i : i + 2] == window.items).all()]
        assert window.after == (example.items[start + 2] if start + 2 < len(example.items) else 0)
        assert (window.seen == example.seen).all()
    assert len(seen) == len(example.items) - 1
    batch = batch_of(data, training=True)
    following = model.head.following(batch.inputs["history"], batch.targets)
    assert ((following > 0) == ~batch.inputs["history"].padding).all()


def test_what_was_seen_is_not_recommended_and_new_users_get_what_is_popular():
    data, model = made("data.max_length=2")
    model.eval()
    names = data.spec.inputs["history"].spec.catalogue
    counts = data.spec.inputs["history"].spec.counts
    assert counts == sorted(counts, reverse=True)
    from mla_train.dataset import raw_batch

    histories = [["i0", "i1", "i2", "i3", "i4"], [], ["nothing known"], "i1 | i2 | what", [1, 2.0]]
    records = model.head.decode(model.predict(raw_batch(data.spec, [{"history": each} for each in histories])))
    assert not set(records[0]["prediction"]) & set(histories[0])
    assert set(records[0]["prediction"]) == set(names) - set(histories[0])
    for record in records[1:3]:
        assert (record["based_on"], record["prediction"]) == ("popularity", names[:10])
    assert "unknown" not in records[1]
    assert records[2]["unknown"] == ["nothing known"]
    assert (records[3]["based_on"], records[3]["unknown"]) == ("history", ["what"])
    assert records[4]["unknown"] == ["1", "2"]
    for record in records:
        assert list(record["probabilities"]) == record["prediction"]
        assert sum(record["probabilities"].values()) <= 1.001


def test_val_chooses_the_weight_of_the_encoder():
    _, model = made()
    ranks = np.full((4, 7), 99)
    ranks[:, 3] = [0, 1, 99, 99]
    predicted = np.arange(4 * 7 * 10).reshape(4, 7, 10)
    columns = {
        "rank": ranks[:, 0],
        "rank_by_weight": ranks,
        "predicted_by_weight": predicted,
        "predicted": predicted[:, 0],
    }
    tuned = model.head.tune(columns)
    assert model.head.spec.encoder_weight == 0.3
    assert tuned["rank"].tolist() == [0, 1, 99, 99]
    assert (tuned["predicted"] == predicted[:, 3]).all()
