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
        ({"train": ["a", "b"], "test": ["a", "c"]}, "test has label c, which train lacks"),
        ({"train": ["a", "a"]}, r"single class \(a\)"),
        ({"train": [1, "1", 1.0, " 1 "]}, r"single class \(1\)"),
    ],
)
def test_labels_that_cannot_be_meant(splits, message):
    with pytest.raises(UserError, match=message):
        load(**splits)


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
    }
    assert metrics.keys() == Classification.directions.keys()


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
