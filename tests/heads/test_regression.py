"""Numbers: scale, loss, metrics counted by hand."""

import numpy as np
import pytest
import torch
from PIL import Image

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads import NumberSpec, Regression
from tests.helpers import SMALL, config

LABEL = np.array([-3.0, -1.0, 0.0, 0.0, 1.0, 2.0], dtype=np.float32)
PREDICTED = np.array([-4.0, 0.0, -1.0, 0.4, 2.5, -1.0], dtype=np.float32)


def head(mean=2.0, std=0.5):
    return Regression(config(*SMALL), NumberSpec(mean, std), {})


def load(train, **others):
    return Regression.load_targets({"train": train, **others}, None, [])


@pytest.mark.parametrize("values", [["1.5", "-2"], [1.5, -2], np.array([1.5, -2.0]), np.array([[1.5], [-2.0]])[:, 0]])
def test_numbers_in_any_writing(values):
    assert load(values)[1]["train"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize(
    ("splits", "parts"),
    [
        ({"train": ["1.5", "two"]}, ["train", "'two'", "task.head=classification"]),
        ({"train": [1.5], "test": [2.5, [1.0]]}, ["test", "[1.0]"]),
        ({"train": [1.5], "test": [2.5, None]}, ["test", "None"]),
        ({"train": [1.5, float("inf")]}, ["train", "no finite number", "example 2"]),
        ({"train": ["1.5", "nan"]}, ["no finite number", "example 2"]),
    ],
)
def test_what_is_no_number_is_named(splits, parts):
    with pytest.raises(UserError) as caught:
        load(**splits)
    assert all(part in str(caught.value) for part in parts)


def test_targets_are_scaled_by_the_training_split():
    spec = Regression.fit_targets(NumberSpec(), np.array([1.0, 3.0]))
    assert (spec.mean, spec.std) == (2, 1)
    assert Regression.collate(spec, [1.0, 5.0], True).tolist() == [-1, 3]
    assert Regression.fit_targets(NumberSpec(), np.array([4.0, 4.0])).std == 1


def test_loss_is_the_sum_of_absolute_errors_and_predictions_have_the_unit_of_the_data():
    layer, outputs = head(), torch.tensor([[1.0], [-2.0]])
    batch = Batch(torch.arange(2), {}, torch.tensor([0.0, 1.0]))
    total, count = layer.loss(outputs, batch)
    assert (float(total), count) == (4, 2)
    assert layer.read_outputs(outputs)["predicted"].tolist() == [2.5, 1.0]
    assert layer.labels(batch)["label"].tolist() == [2.0, 2.5]
    assert float(layer.r_drop_loss(outputs, outputs + 2, batch)) == 2
    assert layer.decode({"predicted": np.array([1 / 3])}) == [{"prediction": 0.333333}]
    assert layer.decode_labels({"label": np.array([0.1], np.float32)}) == [0.1]
    assert layer.example_error({"label": 2.0, "prediction": -1.0}) == 3
    explained = layer.explain(outputs[:1], batch)
    assert explained.score(outputs).tolist() == [2.5, 1.0]
    assert explained.prediction == "2.5"


def test_metrics_of_a_few_examples():
    metrics = head().metrics({"label": LABEL, "predicted": PREDICTED})
    assert all(type(value) is float for value in metrics.values())
    # Errors 1, 1, 1, 0.4, 1.5, 3.
    assert metrics["mae"] == pytest.approx(7.9 / 6)
    assert metrics["rmse"] == pytest.approx(((3 + 0.16 + 2.25 + 9) / 6) ** 0.5)
    assert metrics["r2"] == pytest.approx(1 - 14.41 / (15 - 6 / 36))
    # Sums of products about the means -1/6 and -3.1/6.
    products = 12 + 0 + 0 + 0 + 2.5 - 2 - 6 * (1 / 6) * (3.1 / 6)
    squares = (15 - 6 / 36) * (16 + 1 + 0.16 + 6.25 + 1 - 6 * (3.1 / 6) ** 2)
    assert metrics["pearson"] == pytest.approx(products / squares**0.5)
    # Ranks 1 2 3.5 3.5 5 6 and 1 4 2.5 5 6 2.5.
    ranks = np.array([1, 2, 3.5, 3.5, 5, 6]), np.array([1, 4, 2.5, 5, 6, 2.5])
    assert metrics["spearman"] == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert metrics.keys() == Regression.directions.keys()


@pytest.mark.parametrize(("label", "predicted"), [([1.0, 1.0], [0.5, 2.0]), ([1.0, -1.0], [0.5, 0.5]), ([1.0], [2.0])])
def test_nothing_correlates_with_a_constant(label, predicted):
    metrics = head().metrics({"label": np.array(label), "predicted": np.array(predicted)})
    assert metrics["pearson"] == metrics["spearman"] == 0
    assert np.isfinite(list(metrics.values())).all()


def test_the_figure_is_an_image(tmp_path):
    for predicted in (PREDICTED, np.zeros(6)):
        head().figures({"label": LABEL, "predicted": predicted}, tmp_path)
        assert min(Image.open(tmp_path / "scatter.png").size) > 300


def test_labels_of_new_data_are_read_in_the_signs_of_the_training_data():
    spec, _ = load(["1.234", "2.5", "987"])
    assert spec.signs == [".", "", ""]
    assert Regression.read_targets(spec, ["1.234", "987"], None, [])[0].tolist() == [1.234, 987]
    assert load(["1.234", "987"])[1]["train"].tolist() == [1234, 987]  # what these alone would be taken for
    fitted = Regression.fit_targets(spec, np.array([1.0, 3.0]))
    assert (fitted.mean, fitted.std, fitted.signs) == (2, 1, spec.signs)
