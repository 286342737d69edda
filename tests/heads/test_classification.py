"""Classes: labels of any kind, loss, metrics, records, figures."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads import Classification, ClassSpec
from mla_train.heads.figures import draw_confusion, draw_mistakes, write_mistakes
from tests.helpers import SMALL, config

OPTIONS = config("task=text_classification", "data=text_files").data


def load(train, options=OPTIONS, **others):
    return Classification.load_targets({"train": train, **others}, options, [])


def head(*words, classes=("a", "b", "c")):
    return Classification(config(*SMALL, *words), ClassSpec(list(classes)), {})


def binary(*words, counts=(990, 10), **spec):
    return Classification(config(*SMALL, *words), ClassSpec(["no", "yes"], list(counts), **spec), {})


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        ([10, 9, -1, 10], ["-1", "9", "10"]),
        (["b", "10", "9", "a"], ["9", "10", "a", "b"]),
        (["b", 2, "10", "a"], ["2", "10", "a", "b"]),
        (["nan", "2", "inf", "1"], ["1", "2", "inf", "nan"]),
        ([True, False], ["False", "True"]),
        (np.array([3, 1, 3]), ["1", "3"]),
        (np.array(["x", "y"]), ["x", "y"]),
    ],
)
def test_classes_in_order(labels, classes):
    spec, targets = load(labels)
    assert spec.classes == classes
    assert [classes[number] for number in targets["train"]] == [str(label) for label in labels]


def test_labels_can_be_named():
    options = config("task=text_classification", "data=text_files", "data.labels=[no,yes]").data
    assert load([1, 0, 1], options)[0].classes == ["no", "yes"]
    with pytest.raises(UserError, match=r"data\.labels names 2 classes.*0, 1, 2"):
        load([0, 1, 2], options)


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": ["a", "b"], "test": ["a", "c"]}, r"test has label c, which train lacks: .*data\.unseen=wrong"),
        ({"train": ["a", "a"]}, r"single class \(a\)"),
        ({"train": [1, "1", 1.0, " 1 "]}, r"single class \(1\)"),
    ],
)
def test_labels_that_cannot_be_meant(splits, message):
    with pytest.raises(UserError, match=message):
        load(**splits)


def test_classes_that_look_alike_are_said_and_named_where_train_lacks_one():
    notes = []
    Classification.load_targets({"train": ["Good", "good", "very bad", "very  bad", "odd"]}, OPTIONS, notes)
    assert len(notes) == 1
    assert "Good|good" in notes[0]
    assert "very  bad|very bad" in notes[0]
    with pytest.raises(UserError, match=r"test has label true, which train lacks \(train spells one of them True\)"):
        load([True, False], test=["true"])


def test_loss_is_a_sum_and_smoothed_in_training_only():
    layer = head("regularization.label_smoothing=0.3")
    scores, labels = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    batch = Batch(torch.arange(4), {}, labels)
    total, count = layer.eval().loss(scores, batch)
    assert count == 4
    torch.testing.assert_close(total, F.cross_entropy(scores, labels, reduction="sum"))
    smoothed, _ = layer.train().loss(scores, batch)
    torch.testing.assert_close(smoothed, F.cross_entropy(scores, labels, label_smoothing=0.3, reduction="sum"))


def test_metrics_are_what_they_say():
    predictions = {"label": np.array([0, 0, 0, 1]), "predicted": np.array([0, 0, 1, 1])}
    # F1 of class 0 is 4/5, of class 1 is 2/3.
    metrics = head().metrics(predictions)
    assert metrics == {
        "accuracy": 0.75,
        "macro_f1": pytest.approx((4 / 5 + 2 / 3) / 2),
        "weighted_f1": pytest.approx((3 * 4 / 5 + 2 / 3) / 4),
        "balanced_accuracy": pytest.approx((2 / 3 + 1) / 2),
        "mcc": pytest.approx((2 * 1 - 0 * 1) / (3 * 2 * 1 * 2) ** 0.5),
    }
    # The rarer class, 1, is ranked first and third: above 3 and 2 of the 3 others.
    label, probability = np.array([0, 1, 0, 0, 1]), np.array([0.8, 0.9, 0.3, 0.2, 0.5])
    columns = {"label": label, "predicted": label, "probability": np.stack([1 - probability, probability], 1)}
    metrics = binary(counts=[30, 20]).metrics(columns)
    assert metrics.keys() == Classification.directions.keys()
    assert metrics["auroc"] == pytest.approx(5 / 6)
    assert metrics["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # As the rarer class, 0 is the positive one: ranked first, second and fourth.
    metrics = binary(counts=[20, 30]).metrics(columns)
    assert metrics["auroc"] == pytest.approx(5 / 6)
    assert metrics["average_precision"] == pytest.approx((1 + 1 + 3 / 4) / 3)


def naive_loss(scores, targets, weights, gamma, smoothing):
    """Written out for each example and class."""
    total = 0
    for row, target in zip(scores, targets, strict=True):
        probability = row.exp() / row.exp().sum()
        for number, weight in enumerate(weights):
            share = (1 - smoothing) * target[number] + smoothing / len(weights)
            total = total - weight * share * (1 - probability[number]) ** gamma * probability[number].log()
    return total


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("option", ["none", "balanced", [1, 2, 5]])
@pytest.mark.parametrize("mixed", [False, True])
def test_weighted_and_focal_loss_are_what_they_say(gamma, option, mixed):
    counts = torch.tensor([60.0, 30.0, 10.0])
    layer = Classification(
        config(
            *SMALL, f"task.class_weight={option}", f"task.focal_gamma={gamma}", "regularization.label_smoothing=0.1"
        ),
        ClassSpec(["a", "b", "c"], [60, 30, 10]),
        {},
    )
    weights = {"none": torch.ones(3), "balanced": 100 / 3 / counts}.get(
        str(option), torch.tensor([1.0, 2.0, 5.0]) / 1.7
    )
    assert float(weights @ counts / 100) == pytest.approx(1)  # the scale of the loss stays
    labels = torch.tensor([0, 1, 2, 0])
    shares = torch.rand(4, 3).softmax(-1) if mixed else F.one_hot(labels, 3).float()
    scores, copy = (torch.randn(4, 3, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    total, count = layer.train().loss(scores, Batch(torch.arange(4), {}, shares if mixed else labels))
    expected = naive_loss(copy, shares, weights, gamma, 0.1)
    torch.testing.assert_close(total, expected)
    total.backward()
    expected.backward()
    torch.testing.assert_close(scores.grad, copy.grad)
    assert count == 4
    torch.testing.assert_close(  # outside of training it is the plain cross-entropy
        layer.eval().loss(scores, Batch(torch.arange(4), {}, labels))[0],
        F.cross_entropy(scores, labels, reduction="sum"),
    )


def test_focal_loss_of_a_certain_answer_has_a_gradient():
    scores = torch.tensor([[100.0, 0.0]], requires_grad=True)
    layer = binary("task.focal_gamma=0.5").train()
    layer.loss(scores, Batch(torch.arange(1), {}, torch.tensor([0])))[0].backward()
    assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["task.class_weight=[1,2,3]"], r"task\.class_weight has 3 weights for 2 classes.*no, yes"),
        (["task.class_weight=[1,-2]"], r"task\.class_weight=\[1, -2\]: none, balanced, or a positive number"),
        (["task.class_weight=even"], r"task\.class_weight=even: none, balanced"),
        (["task.threshold=1.5"], r"task\.threshold=1\.5: tune, or a number between 0 and 1"),
        (["task.threshold=best"], r"task\.threshold=best: tune, or a number"),
    ],
)
def test_options_of_classes_that_cannot_be_meant(words, message):
    with pytest.raises(UserError, match=message):
        binary(*words)


def test_a_threshold_is_for_two_classes():
    with pytest.raises(UserError, match=r"task\.threshold=0\.3 is for two classes, and there are 3"):
        head("task.threshold=0.3")


def test_a_threshold_decides_between_two_classes():
    outputs = torch.tensor([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]).log()
    assert binary(counts=[5, 5]).read_outputs(outputs)["predicted"].tolist() == [0, 0, 1]
    layer = binary("task.threshold=0.3")
    predictions = layer.read_outputs(outputs)
    assert predictions["predicted"].tolist() == [1, 0, 1]
    assert layer.threshold == {"class": "yes", "probability": 0.3}
    assert [(r["prediction"], r["probability"]) for r in layer.decode(predictions)] == [
        ("yes", 0.4),
        ("no", 0.9),
        ("yes", 0.8),
    ]
    explained = layer.explain(outputs, Batch(torch.arange(3), {}))
    assert explained.prediction == "yes, 40.0%"
    # The rarer class may be the first.
    assert binary("task.threshold=0.3", counts=[5, 95]).read_outputs(outputs)["predicted"].tolist() == [0, 0, 1]


def test_a_threshold_is_tuned_on_val_where_classes_differ_by_more_than_ten_times():
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.95, 0.05], [0.7, 0.3]], dtype=np.float32)
    columns = {"label": np.array([0, 1, 0, 1]), "predicted": np.zeros(4, dtype=int), "probability": probability}
    for counts, words, threshold in [
        ((990, 10), [], 0.15),
        ((100, 10), [], None),
        ((100, 10), ["task.threshold=tune"], 0.15),
        ((990, 10), ["task.threshold=0.5"], 0.5),
    ]:
        layer = binary(*words, counts=counts)
        tuned = layer.tune(columns)
        assert layer.spec.threshold == (threshold and pytest.approx(threshold))
        assert tuned["predicted"].tolist() == ([0, 1, 0, 1] if threshold == 0.15 else [0, 0, 0, 0])
    assert head().tune(columns | {"probability": np.eye(3)}) == columns | {"probability": pytest.approx(np.eye(3))}


@pytest.mark.parametrize(
    ("counts", "words", "monitor"),
    [
        ((990, 10), [], "macro_f1"),
        ((100, 10), [], "accuracy"),
        ((990, 10), ["task.monitor=average_precision"], "average_precision"),
    ],
)
def test_the_monitor_follows_the_sizes_of_the_classes_and_the_option(counts, words, monitor):
    layer = binary(counts=counts)
    layer.choose_monitor(words[0].partition("=")[2] if words else None)
    assert layer.monitor == monitor
    notes = layer.choices()
    assert bool(notes) == (counts == (990, 10))
    if notes:
        assert "class yes has 10 training examples" in notes[0]
        assert f"val/{monitor} (task.monitor)" in notes[0]
        assert "task.threshold" in notes[1]
    with pytest.raises(UserError, match=r"task\.monitor=acuracy: must be one of accuracy, .*average_precision"):
        layer.choose_monitor("acuracy")


def test_classes_that_train_lacks_are_mistakes_by_option(tmp_path):
    options = config("task=text_classification", "data=text_files", "data.unseen=wrong").data
    notes = []
    splits = {"train": ["b", "c", "b"], "val": ["a", "b"], "test": ["c", "z", "a"]}
    spec, targets = Classification.load_targets(splits, options, notes)
    assert (spec.classes, spec.unseen) == (["b", "c"], ["a", "z"])
    assert [spec.names[number] for number in targets["test"]] == splits["test"]
    assert notes == [
        "1 of 2 examples of val are of classes that train lacks (a): they count as mistakes (data.unseen=wrong)",
        "2 of 3 examples of test are of classes that train lacks (a, z): they count as mistakes (data.unseen=wrong)",
    ]
    with pytest.raises(UserError, match=r"single class \(a\)"):
        Classification.load_targets({"train": ["a", "a"], "test": ["b"]}, options, [])
    spec = Classification.fit_targets(spec, targets["train"])
    assert spec.counts == [2, 1]
    layer = Classification(config(*SMALL), spec, {}).eval()
    outputs, label = torch.tensor([[0.0, 2.0], [1.0, 0.0], [3.0, 0.0]]), torch.tensor(targets["test"])
    batch = Batch(torch.arange(3), {}, label)
    torch.testing.assert_close(layer.loss(outputs, batch)[0], F.cross_entropy(outputs[:1], label[:1], reduction="sum"))
    columns = {"index": np.arange(3)} | layer.labels(batch) | layer.read_outputs(outputs)
    metrics = layer.metrics(columns)
    assert metrics["accuracy"] == pytest.approx(1 / 3)
    assert metrics["balanced_accuracy"] == pytest.approx(1 / 3)
    assert metrics["auroc"] == 1  # they are negatives of the rarer class
    assert layer.decode_labels(columns) == ["c", "z", "a"]
    assert layer.details(columns)["never_predicted"] == ["a", "z"]
    layer.figures(columns, tmp_path)
    write_mistakes(columns, ["one", "two", "three"], spec.names, tmp_path / "mistakes.md")
    assert "| b | z | two |" in (tmp_path / "mistakes.md").read_text()
    numbers, known = Classification.read_targets(spec, ["z", "b", "q"], options, [])
    assert (numbers.tolist(), known.tolist()) == ([3, 0, -1], [True, True, False])


def test_predictions_as_records():
    layer, outputs = head(), torch.tensor([[0.0, 2.0, 1.0]])
    predictions = layer.read_outputs(outputs)
    shares = outputs.softmax(-1)[0].tolist()
    (record,) = layer.decode(predictions)
    assert record == {
        "prediction": "b",
        "probability": round(shares[1], 4),
        "probabilities": dict(zip("abc", (round(share, 4) for share in shares), strict=True)),
    }
    assert layer.decode_labels({"label": np.array([2])}) == ["c"]
    assert layer.example_error(record | {"label": "b"}) == 0
    assert layer.example_error(record | {"label": "a"}) == record["probability"]


def test_details_of_each_class():
    label, predicted = np.array([0, 0, 1]), np.array([0, 1, 1])
    rows = head().details({"label": label, "predicted": predicted})["per_class"]
    assert rows["a"] == {"precision": 1.0, "recall": 0.5, "f1-score": pytest.approx(2 / 3), "support": 2.0}
    assert rows["c"]["support"] == 0


def test_a_class_that_is_never_predicted_is_named():
    label = np.array([0, 1, 2])
    assert head().details({"label": label, "predicted": np.array([0, 1, 1])})["never_predicted"] == ["c"]
    assert "never_predicted" not in head().details({"label": label, "predicted": label})


def test_what_is_explained_are_the_log_odds_of_the_prediction():
    outputs = torch.tensor([[0.0, 2.0, 1.0]])
    explained = head().explain(outputs, Batch(torch.arange(1), {}))
    probability = outputs.softmax(-1)[0, 1]
    torch.testing.assert_close(explained.score(outputs)[0], (probability / (1 - probability)).log())
    assert explained.prediction.startswith("b, 66.5")
    assert "log odds of b" in explained.name


def test_r_drop_is_a_quarter_of_both_divergences():
    first, second = torch.randn(5, 3), torch.randn(5, 3)
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    expected = sum(F.kl_div(*pair, log_target=True, reduction="sum") for pair in ((p, q), (q, p))) / 4
    torch.testing.assert_close(head().r_drop_loss(first, second, None), expected)
    assert head().r_drop_loss(first, first, None) == 0


@pytest.mark.parametrize("classes", [3, 40])
@pytest.mark.parametrize("right", [True, False])
def test_figures_are_drawn_for_few_and_many_classes_with_and_without_mistakes(tmp_path, classes, right):
    label = np.arange(classes).repeat(2)
    predicted = label if right else label[::-1].copy()
    names = [f"class {i}" for i in range(classes)]
    columns = {
        "index": np.arange(len(label)),
        "label": label,
        "predicted": predicted,
        "probability": np.eye(classes)[predicted],
    }
    draw_confusion(label, predicted, names, tmp_path / "confusion.png")
    draw_mistakes(columns, torch.zeros(len(label), 1, 8, 8), names, tmp_path / "mistakes.png")
    for name in ("confusion", "mistakes"):
        assert min(Image.open(tmp_path / f"{name}.png").size) > 200
    texts = [f"a | pipe and\ttab {i}" for i in range(len(label))]
    write_mistakes(columns, texts, names, tmp_path / "mistakes.md")
    rows = (tmp_path / "mistakes.md").read_text().splitlines()
    assert rows[0].count("|") == 5
    assert all(row.replace(r"\|", "").count("|") == 5 for row in rows if row.startswith("|"))


def test_labels_of_new_data_are_those_of_the_training_data_or_names_of_classes():
    spec = ClassSpec(["1", "2", "3"], unseen=["9"], written=["0", "1", "2", "8"])
    for labels in ([0, 1.0, "2", "8"], ["1", "2", "3", "9"]):
        numbers, known = Classification.read_targets(spec, labels, None, [])
        assert numbers.tolist() == [0, 1, 2, 3]
        assert known.all()
