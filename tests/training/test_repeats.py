"""A run repeats bit for bit: again, with processes that load data, with and without a cache."""

import os
import signal

import pytest
import torch
from safetensors.torch import load_file

from mla_train.task import build_task
from mla_train.training.loaders import evaluation_loader
from tests.helpers import config, example_data, run_here

SHORT = ("epochs=2", "task.start=none", "trainer.limit_train_batches=3", "baselines=none", "regularization=strong")
TASKS = {
    "images": ("task=image_classification", *SHORT),
    "texts": ("task=text_classification", "batch_size=64", *SHORT),
}


@pytest.fixture(scope="module", params=TASKS)
def first(request, tmp_path_factory):
    """Options of a short run, and its folder."""
    folder = tmp_path_factory.mktemp(request.param) / "run"
    run_here(folder, *TASKS[request.param])
    return TASKS[request.param], folder


@pytest.mark.parametrize("words", [[], ["hardware.workers=2"], ["data.cache=false"]], ids=str)
def test_it_ends_with_the_same_bits(first, words, tmp_path):
    known, folder = first
    results = run_here(tmp_path / "run", *known, *words)
    one, other = (load_file(run / "model" / "model.safetensors") for run in (folder, tmp_path / "run"))
    assert one.keys() == other.keys()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert (folder / "predictions.jsonl").read_bytes() == (tmp_path / "run" / "predictions.jsonl").read_bytes()
    assert results["metrics"]["test"]


def test_another_seed_ends_with_other_bits(first, tmp_path):
    known, folder = first
    run_here(tmp_path / "run", *known, "seed=1")
    assert (folder / "predictions.jsonl").read_bytes() != (tmp_path / "run" / "predictions.jsonl").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_to_all_processes_leave_those_that_load_data_to_their_run(number):
    settings = config("task=image_classification", "hardware.workers=1", "data.image_size=28", "batch_size=1")
    batches = iter(evaluation_loader(example_data(build_task(settings)), settings, "train"))
    (worker,) = batches._workers
    assert next(batches)
    os.kill(worker.pid, number)
    assert len(list(batches)) > 4  # more than are prepared already
