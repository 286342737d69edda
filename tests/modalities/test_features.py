"""Feature vectors: widths, missing values, scaling."""

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.inference.export.runtime import infer_onnx
from mla_train.modalities import Features, Series
from mla_train.modalities.features import FeatureSpec
from mla_train.modalities.series.spec import SeriesSpec
from tests.helpers import SMALL, config

VALUES = [np.arange(6.0).reshape(3, 2), np.array([7.0, 8.0]), None, np.zeros((0, 2))]
NAMES = ["row 0", "row 1", "row 2", "row 3"]


def load(values):
    return Features.load(values, [f"row {i}" for i in range(len(values))], None, [])


def test_vectors_are_sequences_of_one_step_and_empty_ones_are_missing():
    column = load(VALUES)
    assert column.lengths().tolist() == [3, 1, 0, 0]
    assert column.is_missing().tolist() == [False, False, True, True]
    assert column[2] is None
    assert column[1].tolist() == [[7, 8]]
    assert column.select(np.array([1, 2])).lengths().tolist() == [1, 0]


def test_the_spec_holds_mean_and_deviation_of_all_steps():
    column = load(VALUES)
    spec = Features.fit(column, None).spec
    steps = np.concatenate([np.atleast_2d(value) for value in VALUES[:2]])
    np.testing.assert_allclose(spec.mean, steps.mean(0))
    np.testing.assert_allclose(spec.std, steps.std(0))
    assert Features.fit(load([[1.0, 5.0], [1.0, 7.0]]), None).spec.std == [1.0, 1.0]


def test_training_and_prediction_read_features_alike():
    column = load(VALUES)
    modality = Features.fit(column, None)
    prepared = modality.prepare(column, [])
    again = modality.preprocess([VALUES[0].tolist(), [7, 8], None, None])
    for place in range(4):
        one, other = prepared[place], again[place]
        assert (one is None and other is None) or np.array_equal(one, other)
    batch = modality.collate([again[place] for place in range(3)])
    assert batch.values.shape == (3, 3, 2)
    assert batch.padding.sum(1).tolist() == [0, 2, 3]
    embedding = modality.embedding(config(*SMALL))
    scaled = embedding.scaled(batch.values)[0]
    np.testing.assert_allclose(scaled, (VALUES[0] - modality.spec.mean) / modality.spec.std, rtol=1e-5)
    target = embedding.reconstruction_target(batch)
    assert torch.equal(target.known, (~batch.padding).unsqueeze(-1).expand(3, 3, 2))


def test_a_vector_of_zeros_is_no_padding_and_stays_one_when_it_is_read_again():
    column = load([np.zeros(2), np.zeros((3, 2)), np.array([[0, 0], [1, 2], [0, 0]])])
    again = Features(FeatureSpec([0.0, 0.0], [1.0, 1.0])).preprocess([column.raw(place) for place in range(3)])
    assert column.lengths().tolist() == again.lengths().tolist() == [1, 0, 1]


def test_a_value_without_finite_numbers_is_broken_and_missing():
    column = load([[1.0, 2.0], [np.nan, 1.0], [[1.0, 2.0], [np.inf, 0.0]], [1e300, 0.0]])
    assert column.broken == [1, 2, 3]
    assert column.is_missing().tolist() == [False, True, True, True]


def test_widths_must_agree():
    with pytest.raises(UserError, match=r"row 1 has 3 features.*have 2"):
        load([[1.0, 2.0], [1.0, 2.0, 3.0]])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0], "1 features are given: this model reads 2"),
        (["a", "b"], "numbers are needed"),
        ([[1.0, 2.0], [1.0]], "numbers are needed"),
        ([1.0, float("nan")], "no finite number"),
    ],
)
def test_values_that_the_model_does_not_read_are_refused(value, message):
    modality = Features(FeatureSpec([0.0, 0.0], [1.0, 1.0]))
    with pytest.raises(UserError, match=message):
        modality.preprocess([value])
    with pytest.raises(ValueError, match=message if "numbers" not in message else ""):
        infer_onnx.read_features([value], {"mean": [0.0, 0.0]})


@pytest.mark.parametrize("value", [[1.0, 2.0, 3.0], [[1.0], [2.0]], [[1.0, 2.0, 3.0]]])
def test_series_of_another_number_of_channels_are_refused_and_not_repeated(value):
    with pytest.raises(UserError, match="are given: this model reads 2 a step"):
        Series(SeriesSpec(["a", "b"], [0.0, 0.0], [1.0, 1.0])).preprocess([value])
    with pytest.raises(ValueError, match="are given: this model reads 2 a step"):
        infer_onnx.read_series([value], {"horizon": 0, "mean": [0.0, 0.0], "patch": 1})
