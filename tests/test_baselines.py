"""Simple models to beat: what they predict, and that they are those of scikit-learn."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from mla_train.baselines import best_linear, image_linear, majority_or_mean, multimodal_linear, text_linear, text_tables
from mla_train.data.cache import cached
from mla_train.data.examples import Examples, RawData
from mla_train.heads import HEADS
from mla_train.modalities import Features, Image, Text
from mla_train.preparation import prepare
from tests.helpers import config

COUNTS = {"train": 80, "val": 30, "test": 40}


def made(kinds, head, targets, words=()):
    """A data set with three splits of made inputs."""
    generator = np.random.default_rng(0)
    splits = {}
    for split, count in COUNTS.items():
        labels = targets(generator, count)
        inputs = {}
        for name in kinds:
            # The first number tells the label.
            signal = np.array([len(label) if isinstance(label, list | str) else label for label in labels], dtype=float)
            if name == "text":
                inputs[name] = [f"{'very ' * int(value > 0)}day {i % 7}" for i, value in enumerate(signal)]
            elif name == "image":
                noise = torch.from_numpy(generator.integers(0, 50, (count, 1, 6, 6))).to(torch.uint8)
                inputs[name] = noise + torch.from_numpy(signal > 0).view(-1, 1, 1, 1).to(torch.uint8) * 150
            else:
                value = generator.normal(size=(count, 3, 4)).astype(np.float32)
                value[:, :, 0] += signal[:, None]
                inputs[name] = list(value)
        splits[split] = Examples(inputs, labels)
    return prepare(RawData(splits), kinds, HEADS[head], config("task=multimodal_sentiment", *words))


def numbers(generator, count):
    return generator.normal(size=count)


def classes(generator, count):
    return generator.integers(0, 2, count)


def label_lists(generator, count):
    return [
        [name for name, chosen in zip("ab", generator.random(2) < 0.4, strict=True) if chosen] for _ in range(count)
    ]


def test_what_is_most_frequent_and_what_is_the_mean():
    data = made({"features": Features}, "regression", numbers)
    (mean,) = majority_or_mean(data).items()
    assert mean[0] == "mean"
    np.testing.assert_allclose(mean[1]["predicted"], np.full(40, data.train.targets.mean()))
    np.testing.assert_array_equal(mean[1]["label"], data.test.targets)
    data = made({"features": Features}, "classification", lambda g, n: ["no"] * (n - 5) + ["yes"] * 5)
    assert majority_or_mean(data)["majority"]["predicted"].tolist() == [0] * 40
    data = made({"features": Features}, "multilabel", label_lists)
    # Neither label is in half of the examples: the more frequent one is taken.
    expected = np.zeros(2)
    expected[data.train.targets.mean(0).argmax()] = 1
    np.testing.assert_array_equal(majority_or_mean(data)["most_frequent"]["predicted"], np.tile(expected, (40, 1)))


@pytest.mark.parametrize(
    ("kind", "linear", "head", "targets"),
    [
        (Text, text_linear, "classification", classes),
        (Text, text_linear, "regression", numbers),
        (Text, text_linear, "multilabel", label_lists),
        (Image, image_linear, "classification", classes),
        (Image, image_linear, "regression", numbers),
        (Image, image_linear, "multilabel", label_lists),
    ],
)
def test_a_linear_model_finds_what_there_is_to_find_for_each_answer(kind, linear, head, targets):
    data = made({kind.kind: kind}, head, targets)
    (found,) = linear(data).values()
    metrics = partial(data.spec.head.metrics, SimpleNamespace(spec=data.spec.target))
    scores = metrics(found)
    (trivial,) = majority_or_mean(data).values()
    if head == "classification":
        assert scores["accuracy"] == 1
    elif head == "regression":
        assert scores["mae"] < 0.75 * metrics(trivial)["mae"]
    else:
        assert found["predicted"].shape == (40, 2)
        assert scores["micro_f1"] > metrics(trivial)["micro_f1"]


def test_the_linear_model_of_features_is_that_of_scikit_learn():
    data = made({"voice": Features}, "classification", classes)
    found = multimodal_linear(data)
    assert list(found) == ["linear_features"]
    tables = {s: np.stack(getattr(data, s).columns["voice"].values).mean(1) for s in COUNTS}
    scaler = StandardScaler().fit(tables["train"])
    scaled = {split: scaler.transform(table) / 2 for split, table in tables.items()}
    scores = {}
    for strength in (0.001, 0.01, 0.1, 1.0, 10.0):
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(scaled["train"], data.train.targets)
        scores[strength] = model.score(scaled["val"], data.val.targets), model.predict(scaled["test"])
    best = max(scores, key=lambda strength: scores[strength][0])
    np.testing.assert_array_equal(found["linear_features"]["predicted"], scores[best][1])


def test_several_inputs_have_a_model_each_and_one_together():
    data = made({"text": Text, "image": Image, "voice": Features}, "classification", classes)
    assert list(multimodal_linear(data)) == ["linear_text", "linear_image", "linear_features", "linear_all"]


def test_validation_chooses_the_strength_of_ridge():
    generator = np.random.default_rng(0)
    train, val, test = (generator.normal(size=(30, 20)) for _ in range(3))
    weights = generator.normal(size=20)
    labels = [part @ weights + generator.normal(size=30) for part in (train, val)]
    predicted = best_linear([[train, val, test]], *labels, "regression", [0.01, 1.0, 100.0])["predicted"]
    errors = {s: np.abs(Ridge(1 / s).fit(train, labels[0]).predict(val) - labels[1]).mean() for s in (0.01, 1.0, 100.0)}
    best = min(errors, key=errors.__getitem__)
    np.testing.assert_allclose(predicted, Ridge(1 / best).fit(train, labels[0]).predict(test))


def test_signs_are_words_in_tables_of_texts():
    words, pieces, both = text_tables([["is it ?", "it is", "is it ?"], ["?"], ["it"]])
    assert words[1].nnz == 1
    assert both[0].shape[1] == words[0].shape[1] + pieces[0].shape[1]


def test_cached_results_come_from_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path))
    arguments = [[[np.eye(4)] * 3], np.array([0, 1, 0, 1]), np.array([0, 1, 0, 1]), "classification", (1.0,)]
    first = cached(best_linear)(*arguments)
    assert list(tmp_path.rglob("output.pkl"))
    again = cached(best_linear)(*arguments)
    assert all((again[name] == first[name]).all() for name in ("predicted", "probability"))


def test_the_threshold_of_a_rare_class_is_tuned_on_val():
    generator = np.random.default_rng(0)
    labels = [(generator.random(400) < 0.05).astype(int) for _ in range(3)]
    tables = [label[:, None] + generator.normal(size=(400, 1)) for label in labels]
    found = best_linear([tables], *labels[:2], "classification", (1.0,), 1)
    model = LogisticRegression(C=1.0, max_iter=300, tol=1e-6).fit(tables[0], labels[0])
    on_val, on_test = (model.predict_proba(table)[:, 1] for table in tables[1:])
    best = max(f1_score(labels[1], on_val >= threshold) for threshold in on_val)
    threshold = next(t for t in on_val if f1_score(labels[1], on_val >= t) == best)
    np.testing.assert_allclose(found["probability"][:, 1], on_test)
    assert (found["predicted"] != (on_test >= threshold)).mean() < 0.01  # between two examples of val
    assert f1_score(labels[2], found["predicted"]) > f1_score(labels[2], model.predict(tables[2]))
