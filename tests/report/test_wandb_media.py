"""Tables and attention maps that each task has on W&B."""

import pytest
import torch
import wandb

from mla_train.errors import UserError
from mla_train.inference.artifact import Artifact
from mla_train.report.wandb import attention_maps, prediction_tables
from mla_train.task import build_task
from tests.helpers import SMALL, config, example_data

CLASS = {"label", "prediction", "probability"}
EXPECTED = {
    "image_classification": ({"image", *CLASS}, {"image_over_image_layer2"}),
    "speech_classification": ({"audio", *CLASS}, {"audio_over_audio_layer2"}),
    "text_classification": ({"text", *CLASS}, {"text_over_text_layer2"}),
    "translation": (
        {"source", "label", "prediction", "score"},
        {"source_over_source_layer2", "target_over_source_layer2", "target_over_target_layer2"},
    ),
    "forecasting": (
        {"from", "series", "forecast", "measured", "quantiles.0.1", "quantiles.0.5", "quantiles.0.9"},
        {"series_over_series_layer2"},
    ),
    "multimodal_sentiment": (
        {"text", "image", *CLASS},
        {"text_over_text_layer2", "image_over_image_layer2", "text_over_image_layer1"},
    ),
}


@pytest.fixture(params=EXPECTED)
def example(request):
    """A model with random weights, its data, and what is expected of it."""
    torch.manual_seed(0)
    settings = config(*SMALL, f"task={request.param}")
    task = build_task(settings)
    data = example_data(task)
    return Artifact(settings, task, task.build_model(data.spec).eval()), data, EXPECTED[request.param]


def prediction_rows(artifact, data):
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    columns = {"index": batch.index.numpy()} | artifact.model.head.labels(batch) | artifact.model.predict(batch)
    return artifact.task.prediction_rows(artifact.model, columns, data)


def test_tables_show_inputs_and_the_worst_mistakes_first(example):
    artifact, data, (columns, _) = example
    rows = prediction_rows(artifact, data)
    tables = prediction_tables(artifact.model.head, data, rows)
    samples, mistakes = tables["samples"], tables["mistakes"]
    assert {*columns, "index", "error"} == set(samples.columns)
    assert samples.get_column("index") == [row["index"] for row in rows]
    images = [column for column in samples.columns if isinstance(samples.get_column(column)[0], wandb.Image)]
    assert images == [column for column in samples.columns if column in ("image", "audio")]
    errors = [artifact.model.head.example_error(row) for row in rows]
    if "probability" in columns:
        assert errors == [row["probability"] * (row["label"] != row["prediction"]) for row in rows]
    assert mistakes.get_column("error") == sorted((error for error in errors if error > 0), reverse=True)


def test_each_example_has_its_attention_maps(example, tmp_path):
    artifact, data, (_, names) = example
    maps = attention_maps(artifact, data, [0, 1], tmp_path)
    assert maps.keys() == {f"attention_maps/{name}" for name in (*names, "heads")}
    assert all(len(images) == 2 for images in maps.values())


def test_a_model_without_attention_has_no_maps(tmp_path, monkeypatch):
    settings = config(*SMALL)
    task = build_task(settings)
    data = example_data(task)

    def explain(*_):
        raise UserError("this model has no attention maps")

    monkeypatch.setattr(task, "explain", explain)
    assert attention_maps(Artifact(settings, task, task.build_model(data.spec)), data, [0], tmp_path) == {}
