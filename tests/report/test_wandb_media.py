"""What each task has to show on W&B."""

import pytest
import torch
import wandb

from mla_train.nn import observe
from mla_train.report.wandb import attention_maps, table
from tests.explain.examples import model, own_data

SHOWN = {
    "image_classification": ({"image", "label", "predicted", "confidence"}, {"patches_over_the_picture_layer2"}),
    "text_classification": ({"text", "label", "predicted", "confidence"}, {"words_over_words_layer2"}),
    "translation": ({"source", "reference", "output"}, {"source_over_source_layer2", "target_over_source_layer2"}),
    "forecasting": ({"from", "series", "forecast", "measured", "quantiles.0.5"}, {"patches_over_patches_layer2"}),
    "multimodal_sentiment": ({"image", "text", "label", "predicted"}, {"text_over_image_layer1"}),
}


@pytest.mark.parametrize("name", SHOWN)
def test_each_task_has_tables_and_maps(name, tmp_path):
    columns, maps = SHOWN[name]
    data, task = model(own_data(name, tmp_path))
    batch = data.collate([data.test[i] for i in range(2)], training=False)
    with torch.no_grad():
        predictions = {"index": batch.index.numpy()} | task.predict(task(batch), batch)
    rows = task.records(predictions, data)
    shown = table(task, data, rows)
    assert {*columns, "index", "error"} <= set(shown.columns)
    assert len(shown.data) == len(rows) > 0
    pictures = [column for column in shown.columns if isinstance(shown.get_column(column)[0], wandb.Image)]
    assert pictures == [column for column in shown.columns if column == "image"]
    found = attention_maps(task, data, [0, 1], tmp_path)
    assert {f"attention_maps/{key}" for key in (*maps, "heads")} <= found.keys()
    assert all(len(images) == 2 for images in found.values())


def test_a_translation_that_begins_with_a_blank_is_looked_at(tmp_path, monkeypatch):
    data, task = model(own_data("translation", tmp_path))
    monkeypatch.setattr(task, "translate", lambda source, beams: [" a  b"])
    explanation = task.explain(task.raw(data, 0))
    target = explanation.attention[1]
    with torch.no_grad(), observe(target.layers, "weights") as seen:
        task(explanation.batch)
    assert seen[0].weights[0].size(2) == len(target.query_units)


def test_where_there_is_nothing_to_see_nothing_is_shown(tmp_path):
    data, task = model([*own_data("forecasting", tmp_path), "task.residual=false"])
    assert attention_maps(task, data, [0], tmp_path) == {}
