"""Curves of attention: they read the weights that are validated, and change nothing."""

import csv
import sys

import pytest

from mla_train.inference.artifact import load_model
from mla_train.task import build_task
from mla_train.training.attention_callback import attention_statistics
from mla_train.training.run import run
from mla_train.training.run_folder import find_run
from tests.helpers import SMALL, config, example_data


def go(folder, *overrides):
    settings = config(*SMALL, "epochs=3", "debug.overfit=64", "regularization=strong", f"run_dir={folder}", *overrides)
    results = run(settings, find_run(settings))
    with (folder / "metrics.csv").open(newline="") as stream:
        return results, list(csv.DictReader(stream))


def test_they_change_nothing_and_are_off_by_default(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    without, no_curves = go(tmp_path / "without")
    observed, curves = go(tmp_path / "observed", "logger=tensorboard")
    assert without["metrics"] == observed["metrics"]
    assert not any(name.startswith("attention/") for name in no_curves[0])
    # The observed weights are those of the selected checkpoint, averaged as they are saved.
    artifact = load_model(tmp_path / "observed")
    data = artifact.task.load_data().overfit(64)
    places = (0, 9, 18, 27, 36, 45, 54, 63)
    batches = [data.collate([data.val[place]], training=False) for place in places]
    statistics = attention_statistics(artifact.model, batches)
    row = curves[observed["monitor"]["epoch"] - 1]
    assert {name: float(row[name]) for name in statistics} == pytest.approx(statistics, rel=1e-4)


def test_queries_of_zero_attend_uniformly():
    task = build_task(config(*SMALL))
    data = example_data(task)
    model = task.build_model(data.spec).eval()
    for name, parameter in model.named_parameters():
        if ".attention.q" in name:
            parameter.data.zero_()
    statistics = attention_statistics(model, [data.collate([data.val[0]], training=False)])
    assert statistics["attention/entropy_1"] == pytest.approx(1)
    assert 0 < statistics["attention/redundancy_1"] < 1
