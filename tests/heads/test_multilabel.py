"""Several labels: lists and separated cells, loss, metrics, records."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from mla_train.data.batch import Batch
from mla_train.data.tables.cells import as_label, is_missing
from mla_train.errors import UserError
from mla_train.heads import ClassSpec, MultilabelClassification
from mla_train.heads.multilabel import _label_set
from tests.helpers import SMALL, config


def options(*words):
    return config("task=text_classification", "data=text_files", *words).data


def load(train, *words, **others):
    return MultilabelClassification.load_targets({"train": train, **others}, options(*words), [])


def head(*words):
    return MultilabelClassification(config(*SMALL, *words), ClassSpec(["a", "b", "c"]), {})


def test_lists_and_separated_cells_are_the_same_labels():
    expected = [[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    for cells, words in (
        ([["a", "b"], ["c"], [], ["b"]], []),
        ([("b", "a", "a"), {"c"}, np.array([]), np.array(["b"])], []),
        (["a|b", " c ", "", "b|"], ["data.label_separator=|"]),
        (["a, b", "c", None, "b"], ["data.label_separator=','"]),
        (["a|b", "c", float("nan"), ["b"]], ["data.label_separator=|"]),
    ):
        spec, targets = load(cells, *words)
        assert spec.classes == ["a", "b", "c"]
        assert targets["train"].tolist() == expected
        assert targets["train"].dtype == np.float32


labels = st.text(st.characters(exclude_characters="|[{(", exclude_categories=["Cs"]), min_size=1).filter(
    lambda label: label == as_label(label) and not is_missing(label)
)


@given(st.sets(labels))
def test_a_cell_holds_what_was_joined(names):
    assert _label_set("|".join(names), "|") == names
    assert _label_set(" | ".join(names), "|") == names
    assert _label_set(list(names), None) == names


def test_numbers_are_sorted_and_can_be_named():
    assert load([[10, 9], [2]])[0].classes == ["2", "9", "10"]
    assert load([[1], [0]], "data.labels=[no,yes]")[0].classes == ["no", "yes"]


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        ({"train": [["a"], ["b"]], "test": [["a", "c"]]}, "test has label c, which train lacks"),
        ({"train": [[1], [2]], "test": [["1", 3]]}, "test has label 3, which train lacks"),
        ({"train": [["a"], []]}, r"single label \(a\)"),
        ({"train": [[1, "1"]]}, r"single label \(1\)"),
    ],
)
def test_labels_that_cannot_be_meant(splits, message):
    with pytest.raises(UserError, match=message):
        load(**splits)


def test_a_label_that_the_cut_took_from_train_is_named():
    with pytest.raises(UserError, match=r"no example with label b.*data\.split_seed"):
        MultilabelClassification.fit_targets(ClassSpec(["a", "b"]), np.array([[1, 0], [1, 0]]))


def test_loss_is_a_sum_over_labels_and_smoothed_in_training_only():
    layer = head("regularization.label_smoothing=0.2")
    scores, targets = torch.randn(4, 3), torch.randint(0, 2, (4, 3)).float()
    batch = Batch(torch.arange(4), {}, targets)
    total, count = layer.eval().loss(scores, batch)
    assert count == 4
    torch.testing.assert_close(total, F.binary_cross_entropy_with_logits(scores, targets, reduction="sum"))
    smoothed = F.binary_cross_entropy_with_logits(scores, 0.8 * targets + 0.1, reduction="sum")
    torch.testing.assert_close(layer.train().loss(scores, batch)[0], smoothed)


def test_metrics_are_what_they_say():
    label = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0]], dtype=np.float32)
    probability = np.array([[0.9, 0.6, 0.1], [0.4, 0.7, 0.2], [0.8, 0.1, 0.3]])
    predicted = (probability > 0.5).astype(np.float32)
    metrics = head().metrics({"label": label, "predicted": predicted, "probability": probability})
    # a: ranked 1, not, 1: (1 + 2/3) / 2; b: 1, not, 1; c never occurs.
    assert metrics["mean_average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    # 2 right of 4 predicted and of 4 true; a: 1 of 2 and 2; b: 1 of 2 and 2; c: 0.
    assert metrics["micro_f1"] == pytest.approx(0.5)
    assert metrics["macro_f1"] == pytest.approx((0.5 + 0.5 + 0) / 3)
    assert metrics["exact_match"] == 0
    assert metrics.keys() == MultilabelClassification.directions.keys()
    right = head().metrics({"label": label, "predicted": label})
    assert right == pytest.approx({"mean_average_precision": 1, "micro_f1": 1, "macro_f1": 2 / 3, "exact_match": 1})
    nothing = np.zeros((2, 3), np.float32)
    assert head().metrics({"label": nothing, "predicted": nothing})["mean_average_precision"] == 0


def test_predictions_as_records(tmp_path):
    layer = head()
    predictions = layer.read_outputs(torch.tensor([[2.0, 1.0, -1.0], [-1.0, 0.0, -3.0]]))
    first, second = layer.decode(predictions)
    assert first["prediction"] == ["a", "b"]
    assert first["probabilities"]["c"] == pytest.approx(0.2689, abs=1e-4)
    assert second["prediction"] == []  # a half is not more than a half
    label = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    assert layer.decode_labels({"label": label}) == [["a"], ["b"]]
    assert layer.example_error(first | {"label": ["a", "c"]}) == 2
    rows = layer.details(predictions | {"label": label})["per_class"]
    assert rows["a"] == {"precision": 1, "recall": 1, "f1-score": 1, "support": 1}
    layer.figures(predictions | {"label": label}, tmp_path)
    assert min(Image.open(tmp_path / "labels.png").size) > 200
    explained = layer.explain(torch.tensor([[2.0, 1.0, -1.0]]), Batch(torch.arange(1), {}))
    assert explained.prediction == "a, 88.1%"
    assert explained.score(torch.tensor([[2.0, 1.0, -1.0]])).tolist() == [2.0]


def test_r_drop_is_a_quarter_of_both_divergences_of_each_label():
    first, second = torch.randn(5, 3, dtype=torch.float64), torch.randn(5, 3, dtype=torch.float64)
    p, q = (torch.distributions.Bernoulli(logits=scores) for scores in (first, second))
    divergence = torch.distributions.kl_divergence
    expected = (divergence(p, q) + divergence(q, p)).sum() / 4
    torch.testing.assert_close(head().r_drop_loss(first, second, None).double(), expected, rtol=1e-5, atol=1e-5)


def test_lists_within_lists_are_refused():
    with pytest.raises(UserError, match=r"holds more than labels.*list of words"):
        MultilabelClassification.load_targets({"train": [["a"], [["b"]]]}, config("task=text_classification").data, [])


def test_missing_labels_in_lists_are_left_out_and_counted():
    notes = []
    splits = {"train": [["bad", None, " "], ["nan", "good", float("nan")]]}
    spec, targets = MultilabelClassification.load_targets(splits, options(), notes)
    assert spec.classes == ["bad", "good"]
    assert targets["train"].tolist() == [[1, 0], [0, 1]]
    assert "4 labels in lists" in notes[0]


def test_zeros_and_ones_are_asked_for_names():
    vectors = [[1, 0], [0, 1], [1, 1]]
    with pytest.raises(UserError, match=r"2 zeros and ones.*data\.labels=\[first,second"):
        load(vectors)
    spec, targets = load(vectors, "data.labels=[sad,glad]")
    assert spec.classes == ["sad", "glad"]
    assert targets["train"].tolist() == vectors
    found, known = MultilabelClassification.read_targets(spec, [[0, 1], [1, 0]], options(), [])
    assert (found.tolist(), known.tolist()) == ([[0, 1], [1, 0]], [True, True])
    assert load([[0, 1], [1]])[0].classes == ["0", "1"]  # of no one length


def test_lists_written_as_text_are_read_with_a_separator():
    spec, targets = load(["['a', 'b']", '["c"]', "a,c"], "data.label_separator=','")
    assert spec.classes == ["a", "b", "c"]
    assert targets["train"].tolist() == [[1, 1, 0], [0, 0, 1], [1, 0, 1]]


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        *((empty, set()) for empty in ("[]", "()", "{}", "set()", "[ ]", "['']", "[null]")),
        *((several, {"a", "b's"}) for several in ("['a' \"b's\"]", "['a'\n \"b's\"]", "['a',\"b's\"]")),
        ("['a b' 'c, d' '' 'e']", {"a b", "c, d", "e"}),
        ("(a),(b)", {"(a)", "(b)"}),
        ("[a],[b]", {"[a]", "[b]"}),
    ],
)
def test_lists_are_read_as_other_programs_write_them(cell, names):
    assert _label_set(cell, ",") == names


@pytest.mark.parametrize(
    "cell", ["['a', nan]", "[nan]", "[1 2 3]", "{a,b}", "[a, b]", "[[a], [b]]", '{"choices": ["a"]}']
)
def test_what_stands_in_brackets_and_is_no_list_is_asked(cell):
    with pytest.raises(UserError, match=r"in brackets and cannot be read as a list: .*data\.label_separator"):
        load([cell, "a", "b"], "data.label_separator=','")


def test_named_labels_of_new_data_are_read_as_in_training():
    spec, trained = MultilabelClassification.load_targets(
        {"train": [["0"], ["1", "0"], []]}, options("data.labels=[good,bad]"), []
    )
    assert spec.classes == ["good", "bad"]
    for labels in ([["0"], ["1", "0"], []], [["good"], ["bad", "good"], []]):
        has_label, known = MultilabelClassification.read_targets(spec, labels, options("data.labels=[good,bad]"), [])
        assert has_label.tolist() == trained["train"].tolist() == [[1, 0], [1, 1], [0, 0]]
        assert known.all()
