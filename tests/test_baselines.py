"""Simple models to beat: what they predict, and that they are those of scikit-learn."""

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.preprocessing import StandardScaler

from mla_train.baselines import Baseline, Limit, compute, majority_or_mean
from mla_train.baselines.classical import multimodal_baselines, text_baselines
from mla_train.baselines.images import image_baselines
from mla_train.baselines.linear import METHODS, USUAL, fit_linear, linear_of, methods_of
from mla_train.baselines.start import begin_as_linear
from mla_train.baselines.tables import text_tables
from mla_train.data.examples import Examples, RawData
from mla_train.heads import HEADS
from mla_train.modalities import Features, Image, Text
from mla_train.model import Model
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


def computed(baselines, seconds=float("inf"), quick=False):
    return compute(baselines, Limit(seconds, quick))


def metrics_of(data, predictions):
    head = SimpleNamespace(spec=data.spec.target)
    if hasattr(data.spec.head, "weighted_metrics"):
        head.weighted_metrics = partial(data.spec.head.weighted_metrics, head)
    return data.spec.head.metrics(head, predictions)


def test_what_is_most_frequent_and_what_is_the_mean():
    data = made({"features": Features}, "regression", numbers)
    ((name, mean),) = computed(majority_or_mean(data)).items()
    assert name == "mean"
    np.testing.assert_allclose(mean.test["predicted"], np.full(40, data.train.targets.mean()))
    np.testing.assert_array_equal(mean.test["label"], data.test.targets)
    assert len(mean.val["predicted"]) == 30
    data = made({"features": Features}, "classification", lambda g, n: ["no"] * (n - 5) + ["yes"] * 5)
    assert computed(majority_or_mean(data))["majority"].test["predicted"].tolist() == [0] * 40
    data = made({"features": Features}, "multilabel", label_lists)
    # Neither label is in half of the examples: the more frequent one is taken.
    expected = np.zeros(2)
    expected[data.train.targets.mean(0).argmax()] = 1
    predicted = computed(majority_or_mean(data))["most_frequent"].test["predicted"]
    np.testing.assert_array_equal(predicted, np.tile(expected, (40, 1)))


@pytest.mark.parametrize(
    ("kind", "baselines", "head", "targets", "names"),
    [
        (Text, text_baselines, "classification", classes, ["linear", "linear_svm", "nb_svm", "linear_nb_svm"]),
        (Text, text_baselines, "regression", numbers, ["linear"]),
        (Text, text_baselines, "multilabel", label_lists, ["linear"]),
        (Image, image_baselines, "classification", classes, ["linear", "rbf_svm", "cnn"]),
        (Image, image_baselines, "regression", numbers, ["linear"]),
        (Image, image_baselines, "multilabel", label_lists, ["linear"]),
    ],
)
def test_each_baseline_finds_what_there_is_to_find(kind, baselines, head, targets, names):
    data = made({kind.kind: kind}, head, targets)
    found = computed(baselines(data))
    assert list(found) == names
    (trivial,) = computed(majority_or_mean(data)).values()
    for baseline in found.values():
        for predictions, count in ((baseline.val, 30), (baseline.test, 40)):
            assert len(predictions["predicted"]) == len(predictions["label"]) == count
        scores = metrics_of(data, baseline.test)
        if head == "classification":
            assert scores["accuracy"] == 1
        elif head == "regression":
            assert scores["mae"] < 0.75 * metrics_of(data, trivial.test)["mae"]
        else:
            assert scores["micro_f1"] > metrics_of(data, trivial.test)["micro_f1"]
        assert baseline.chosen
        assert baseline.seconds >= 0


def test_the_linear_model_of_features_is_that_of_scikit_learn():
    data = made({"voice": Features}, "classification", classes)
    found = computed(multimodal_baselines(data))
    assert list(found) == ["linear_features"]
    tables = {s: np.stack(getattr(data, s).columns["voice"].values).mean(1) for s in COUNTS}
    scaler = StandardScaler().fit(tables["train"])
    scaled = {split: scaler.transform(table) / 2 for split, table in tables.items()}
    strength = found["linear_features"].chosen["strength"]
    model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(scaled["train"], data.train.targets)
    np.testing.assert_array_equal(found["linear_features"].test["predicted"], model.predict(scaled["test"]))
    # Scores are divided by a temperature, which leaves their order.
    odds = np.log(found["linear_features"].test["probability"]) @ [-1, 1]
    ratio = odds / model.decision_function(scaled["test"])
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)


def test_several_inputs_have_a_model_each_and_one_together():
    data = made({"text": Text, "image": Image, "voice": Features}, "classification", classes)
    names = ["linear_text", "linear_image", "linear_features", "linear_all"]
    assert list(multimodal_baselines(data)) == names


def noisy_table(count, features=20, outputs=3, seed=0):
    chance = np.random.default_rng(seed)
    table = chance.normal(size=(count, features))
    truth = np.random.default_rng(9).normal(size=(features, outputs))
    return table, (table @ truth + 3 * chance.normal(size=(count, outputs)))


@pytest.mark.parametrize("method", ["linear", "linear_svm"])
def test_the_penalty_with_the_least_loss_on_val_is_taken_and_scores_are_calibrated(method):
    (train, scores), (val, val_scores) = noisy_table(200), noisy_table(2000, seed=1)
    targets, val_targets = scores.argmax(1), val_scores.argmax(1)
    best = fit_linear(method, "classification", train, targets, val, val_targets, 3)
    _, strengths = METHODS["classification"][method]
    other = strengths[strengths.index(best.strength) - 1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(METHODS["classification"], method, (METHODS["classification"][method][0], (other,)))
        assert fit_linear(method, "classification", train, targets, val, val_targets, 3).loss > best.loss
    odds = np.exp(best.scores(val))
    probability = odds / odds.sum(1, keepdims=True)
    assert -np.log(probability[np.arange(2000), val_targets]).mean() == pytest.approx(best.loss, rel=1e-4)
    # Calibrated: mean confidence is the share of right answers.
    assert probability.max(1).mean() == pytest.approx((probability.argmax(1) == val_targets).mean(), abs=0.03)


def test_a_ridge_is_that_of_scikit_learn_and_a_label_that_all_have_is_certain():
    (train, scores), (val, val_scores) = noisy_table(100), noisy_table(100, seed=1)
    best = fit_linear("linear", "regression", train, scores[:, 0], val, val_scores[:, 0], 1)
    expected = Ridge(1 / best.strength).fit(train, scores[:, 0]).predict(val)
    np.testing.assert_allclose(best.scores(val)[:, 0], expected, rtol=1e-4, atol=1e-5)
    labels = (scores > 0).astype(np.float32)
    labels[:, 1] = 1
    best = fit_linear("linear", "multilabel", train, labels, val, labels, 3)
    assert (best.scores(val)[:, 1] > 2).all()


def test_the_threshold_of_a_rare_class_is_tuned_on_val():
    chance = np.random.default_rng(0)

    def rare(_, count):
        return (chance.random(count) < 0.08).astype(int)

    data = made({"voice": Features}, "classification", rare)
    found = computed(multimodal_baselines(data))["linear_features"]
    probability, hits = found.val["probability"][:, 1], found.val["label"] == 1
    best = max(f1_score(hits, probability >= threshold) for threshold in probability)
    assert f1_score(hits, found.val["predicted"]) == pytest.approx(best)
    assert found.chosen["threshold"] > 0
    np.testing.assert_array_equal(found.test["predicted"], found.test["probability"][:, 1] >= found.chosen["threshold"])


def test_time_is_a_limit_and_quick_leaves_out_what_is_dear():
    tried = []

    def slow(limit):
        for number in range(5):
            tried.append(number)
            if limit.is_over:
                break
        return Baseline({}, {})

    compute({"slow": slow}, Limit(0.0))
    assert tried == [0]  # the first candidate always
    compute({"slow": slow}, Limit(60.0))
    assert tried == [0, 0, 1, 2, 3, 4]
    data = made({"image": Image}, "classification", classes)
    found = computed(image_baselines(data), quick=True)
    assert list(found) == ["linear", "rbf_svm"]
    assert found["linear"].chosen == {"strength": 1.0}


def test_texts_without_features_of_the_network_have_those_that_it_would_have():
    with_features = made({"text": Text}, "classification", classes)
    without = made({"text": Text}, "classification", classes, ["data.tfidf_features=0"])
    for expected, table in zip(text_tables(with_features, "text"), text_tables(without, "text"), strict=True):
        np.testing.assert_allclose(table.toarray(), expected.toarray(), rtol=1e-6)


STARTS = [
    ({"text": Text}, "classification", classes, []),
    ({"text": Text}, "regression", numbers, []),
    ({"text": Text}, "multilabel", label_lists, []),
    ({"text": Text, "image": Image}, "classification", classes, ["task.visual_words=8"]),
    ({"image": Image}, "classification", classes, ["task.visual_words=8"]),
]


@pytest.mark.parametrize(("kinds", "head", "targets", "words"), STARTS)
def test_a_network_begins_as_the_linear_model(kinds, head, targets, words):
    data = made(kinds, head, targets, words)
    model = Model(config("task=multimodal_sentiment", "encoder=tiny", *words), data.spec).eval()
    for name, embedding in model.embeddings.items():
        embedding.init_from_data(data.train.columns[name])
    name, linear = begin_as_linear(model, data)
    assert name in methods_of(head)
    places = range(len(data.test))
    batch = data.collate([data.test[place] for place in places], training=False)
    predicted = model.predict(batch)
    tables = [model.embeddings[each].side_table(data.test.columns[each]) for each in kinds]
    joined = np.concatenate([table if isinstance(table, np.ndarray) else table.toarray() for table in tables], 1)
    scores = linear.scores(joined)
    if head == "regression":
        np.testing.assert_allclose(predicted["predicted"], scores[:, 0], rtol=1e-4, atol=1e-4)
        return
    odds = np.log(predicted["probability"])
    if head == "multilabel":
        expected = 1 / (1 + np.exp(-scores))
        np.testing.assert_allclose(predicted["probability"], expected, atol=1e-5)
        return
    np.testing.assert_allclose(odds - odds.mean(1, keepdims=True), scores - scores.mean(1, keepdims=True), atol=1e-3)


def test_a_quick_start_has_the_usual_penalty():
    data = made({"image": Image}, "classification", classes, words := ["task.visual_words=8"])
    model = Model(config("task=multimodal_sentiment", "encoder=tiny", *words), data.spec)
    model.embeddings["image"].init_from_data(data.train.columns["image"])
    strengths = [begin_as_linear(model, data, quick)[1].strength for quick in (False, True)]
    assert strengths[0] != strengths[1] == USUAL


def test_without_a_side_path_for_it_there_is_no_linear_start():
    data = made({"text": Text}, "classification", classes)
    for words in (["task.tfidf_dim=0"], ["task.side_paths=false"], ["task.tfidf_dim=1"]):
        model = Model(config("task=multimodal_sentiment", "encoder=tiny", *words), data.spec)
        assert begin_as_linear(model, data) is None


def test_the_mean_of_two_linear_models_is_their_mean():
    data = made({"text": Text}, "classification", classes)
    tables = text_tables(data, "text")
    one, two, mean = (linear_of(method, tables, data) for method in ("linear", "nb_svm", "linear_nb_svm"))
    assert one is not None
    assert two is not None
    assert mean is not None
    halves, scores = (one.scores(tables[2]) + two.scores(tables[2])) / 2, mean.scores(tables[2])
    np.testing.assert_allclose(scores, halves * (scores[0, 0] / halves[0, 0]), rtol=1e-3, atol=1e-4)
    assert mean.loss <= max(one.loss, two.loss) + 1e-3


def test_the_linear_model_is_not_fitted_where_it_would_take_minutes(monkeypatch):
    data = made({"text": Text}, "classification", classes)
    monkeypatch.setattr("mla_train.baselines.linear.MOST_WORK", 1)
    assert linear_of("linear", text_tables(data, "text"), data) is None
    assert list(computed(text_baselines(data))) == []
