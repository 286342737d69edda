"""Series that are not below zero, and those that are transformed before they are scaled: forecasts in original units."""

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.heads.forecast_metrics import errors_by_series, forecast_metrics
from mla_train.inference.export.graphs import AnswerGraph
from mla_train.inference.export.inputs import graph_inputs, to_graph
from mla_train.modalities.series.future import read_windows
from tests.helpers import build_forecaster, hourly_table, randomize

FORWARD = {"log": np.log, "log1p": np.log1p, "asinh": np.arcsinh}
BACK = {"log": np.exp, "log1p": np.expm1, "asinh": np.sinh}


def sales():
    """Two series of positive numbers of very different size."""
    frame, noise = hourly_table(), np.random.default_rng(0).normal(size=(2, 400))
    return frame.assign(load=np.exp(frame["load"] + 0.3 * noise[0]), price=(frame["price"] + noise[1]).abs())


def build(folder, frame, *words):
    """Data and network of two series, the same from the same numbers."""
    return build_forecaster(folder, frame, "data.targets=[load,price]", *words)[1:]


def predict(data, model):
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    with torch.no_grad():
        return model.head.read_outputs(model(batch)) | model.head.labels(batch)


@pytest.mark.parametrize("transform", ["log", "log1p", "asinh"])
def test_a_transform_is_that_of_the_table(tmp_path, transform):
    frame = sales()
    by_hand = frame.assign(**{name: FORWARD[transform](frame[name]) for name in ("load", "price")})
    data, model = build(tmp_path, frame, f"task.transform={transform}")
    other, same = build(tmp_path, by_hand)
    np.testing.assert_allclose(data.test.targets.series.values, other.test.targets.series.values, rtol=1e-5, atol=1e-6)
    ours, theirs = predict(data, model), predict(other, same)
    np.testing.assert_allclose(ours["quantiles"], theirs["quantiles"], rtol=1e-3, atol=1e-4)
    records = model.head.decode(ours)
    for record, expected in zip(records, same.head.decode(theirs), strict=True):
        for name in ("load", "price"):
            np.testing.assert_allclose(
                record["prediction"][name], BACK[transform](expected["prediction"][name]), rtol=1e-3
            )
            for level in ("0.1", "0.9"):
                np.testing.assert_allclose(
                    record["quantiles"][level][name], BACK[transform](expected["quantiles"][level][name]), rtol=1e-3
                )
    table = data.test.targets
    for row, label in enumerate(model.head.decode_labels(ours)[:3]):
        now = table[row].now
        np.testing.assert_allclose(label["load"], frame["load"][now : now + table.horizon], rtol=1e-5)


def test_errors_in_original_units_are_those_of_what_is_written(tmp_path):
    data, model = build(tmp_path, sales(), "task.transform=log1p")
    predictions = predict(data, model)
    records, labels = model.head.decode(predictions), model.head.decode_labels(predictions)
    rows = errors_by_series(predictions, data.spec.target)
    for name in ("load", "price"):
        written = np.array([each["prediction"][name] for each in records])
        measured = np.array([each[name] for each in labels])
        assert rows[name]["mae_original"] == pytest.approx(np.abs(written - measured).mean(), rel=1e-4)
        assert rows[name]["rmse_original"] == pytest.approx(((written - measured) ** 2).mean() ** 0.5, rel=1e-4)
    assert forecast_metrics(predictions, data.spec.target, [0.1, 0.5, 0.9])["mse"] == pytest.approx(
        np.mean((predictions["forecast"] - predictions["future"]) ** 2)
    )
    row = {"series": "load", "forecast": records[0]["prediction"]["load"], "measured": labels[0]["load"]}
    expected = np.mean((predictions["forecast"][0, 0] - predictions["future"][0, 0]) ** 2)
    assert model.head.example_error(row) == pytest.approx(expected, rel=1e-3)
    assert model.head.example_error(row | {"measured": [None] * len(row["measured"])}) == 0
    assert "after log1p" in model.head.units_note


def test_a_table_to_forecast_is_transformed_as_training_was(tmp_path):
    frame = sales()
    data, _ = build(tmp_path, frame, "task.transform=log1p")
    spec = data.spec.inputs["series"].spec
    (window,) = read_windows(tmp_path / "a.csv", spec, backtest=1)
    np.testing.assert_array_equal(window.series.values, data.test.targets.series.values)
    expected = (np.log1p(frame["load"]) - spec.mean[0]) / spec.std[0]
    np.testing.assert_allclose(window.series.values[:, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "words", [[], ["task.transform=log1p", "task.nonnegative=true"], ["task.transform=asinh"], ["task.transform=log"]]
)
def test_a_graph_answers_in_original_units(tmp_path, words):
    still = hourly_table()["load"] * 0 + ("task.transform=log" in words)
    data, model = build(tmp_path, sales().assign(price=still), *words)
    randomize(model)
    batch = data.collate([data.test[i] for i in range(4)], training=False)
    tensors = to_graph(model, batch)
    column = data.test.targets
    past = column.series.table.values[column[0].now - column.look_back : column[0].now]
    np.testing.assert_allclose(tensors["series.past"][0], past.T, rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        forecast, quantiles = AnswerGraph(model, graph_inputs(model))(*tensors.values())
        records = model.head.decode(model.head.read_outputs(model(batch)))
    for row, record in enumerate(records):
        np.testing.assert_allclose(forecast[row, 0], record["prediction"]["load"], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(quantiles[row, 0, :, 0], record["quantiles"]["0.1"]["load"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("asked", "least"), [("null", (None, 0)), ("true", (0, 0)), ("false", (None, None))])
def test_forecasts_not_below_zero(tmp_path, asked, least):
    counts = np.maximum(0, np.random.default_rng(0).poisson(0.5, 400) * 3.0)
    data, model = build(tmp_path, hourly_table(load=counts, price=counts), f"task.nonnegative={asked}")
    randomize(model, 3.0)
    predictions = predict(data, model)
    record = model.head.decode(predictions)
    forecast = np.array([each["prediction"]["load"] for each in record])
    low = np.array([each["quantiles"]["0.1"]["load"] for each in record])
    for values, bound in zip((forecast, low), least, strict=True):
        assert values.min() == 0 if bound == 0 else values.min() < 0
    if least[0] == 0:  # scores are those of what is written
        scaled = (forecast - data.spec.target.mean[0]) / data.spec.target.std[0]
        np.testing.assert_allclose(predictions["forecast"][:, 0], scaled, atol=1e-4)


def test_values_that_do_not_allow_it_are_named(tmp_path):
    frame = sales()
    frame.loc[7, "price"] = -1.0
    with pytest.raises(
        UserError, match=r"task.transform=log1p: price is -1 at 2024-01-01 07:00:00.*task.transform=asinh"
    ):
        build(tmp_path, frame, "task.transform=log1p")
    with pytest.raises(UserError, match=r"task.nonnegative=true: price below zero in the training rows"):
        build(tmp_path, frame, "task.nonnegative=true")
    data, _ = build(tmp_path, sales(), "task.transform=log1p")
    frame.to_csv(tmp_path / "later.csv", index=False)
    with pytest.raises(UserError, match=r"task.transform=log1p: price is -1"):
        read_windows(tmp_path / "later.csv", data.spec.inputs["series"].spec)


def test_measured_values_are_those_of_the_table(tmp_path):
    counts = np.random.default_rng(0).poisson(0.5, 400).astype(float)
    task, data, model = build_forecaster(
        tmp_path, hourly_table(load=counts), "data.targets=[load]", "task.transform=log1p"
    )
    predictions = predict(data, model) | {"index": np.arange(len(data.test))}
    written = task.prediction_rows(model, predictions, data)
    measured = np.concatenate([row["measured"] for row in written])
    assert set(measured.tolist()) <= set(counts.tolist())
