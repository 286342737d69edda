"""One process, two, or several accumulation steps: the same losses."""

import csv
import json

import pytest

from tests.helpers import SMALL, train
from tests.wandb_files import runs

pytestmark = pytest.mark.slow
WORDS = [*SMALL, "regularization=none", "epochs=2", "batch_size=100", "logger.every=1", "run_dir=run"]
WAYS = {
    "two_processes": ["hardware=ddp", "hardware.accelerator=cpu", "hardware.devices=2", "logger=wandb"],
    "accumulation": ["hardware.accumulate_grad_batches=4"],
}  # fmt: skip


def losses(run):
    with (run / "metrics.csv").open() as stream:
        return [float(row["train/loss"]) for row in csv.DictReader(stream) if row["train/loss"]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    folder = tmp_path_factory.mktemp("alone")
    train(*WORDS, cwd=folder)
    return folder / "run"


@pytest.mark.parametrize("way", WAYS)
def test_the_curve_does_not_depend_on_how_a_batch_is_cut(way, alone, tmp_path):
    train(*WORDS, *WAYS[way], cwd=tmp_path)
    run = tmp_path / "run"
    curve, expected = losses(run), losses(alone)
    assert len(curve) == len(expected) == 26
    assert max(abs(a - b) for a, b in zip(curve, expected, strict=True)) < 1e-5
    # Every example is scored once: as many predictions as test examples, the same scores.
    results, whole = (json.loads((r / "results.json").read_text()) for r in (run, alone))
    assert results["metrics"]["test"]["accuracy"] == pytest.approx(whole["metrics"]["test"]["accuracy"], abs=0.006)
    assert len((run / "predictions.jsonl").read_text().splitlines()) == results["examples"]["test"] == 359
    assert len(list(tmp_path.glob("*"))) == 1  # no second folder from the second process
    if way == "two_processes":  # and W&B is told by one of them
        (logged,) = runs(run)
        assert [value for (name, _), value in logged.scalars().items() if name == "train/loss"] == curve
        assert logged.summary["val/accuracy"]["max"] == results["monitor"]["best"]
