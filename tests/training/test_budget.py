"""A training that lasts a given time: the schedule ends with it, and what is left is kept over an interruption."""

import csv
import json

import pytest

from mla_train.config import OptimizerConfig
from mla_train.errors import UserError
from mla_train.training.optimizers import learning_rate_factor
from tests.helpers import SMALL, config, train

WORDS = [*SMALL, "baselines=none", "logger.every=1", "hardware.threads=1", "budget_minutes=0.05", "run_dir=run"]


def test_a_run_ends_with_its_time_and_goes_no_further_when_resumed(tmp_path):
    done = train(*WORDS, cwd=tmp_path)
    assert "of 0.05" in done.stdout
    folder = tmp_path / "run"
    results = json.loads((folder / "results.json").read_text())
    assert 2.9 < results["speed"]["seconds"] < 10
    assert results["epochs"] == results["monitor"]["epoch"] >= 1
    with (folder / "metrics.csv").open(newline="") as stream:
        rates = [float(row["train/lr"]) for row in csv.DictReader(stream) if row["train/lr"]]
    peak = rates.index(max(rates))
    assert 0 < peak < len(rates) - 1
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 0.3 * max(rates)  # a step of this network is a part of 3 seconds
    (folder / "results.json").unlink()
    train(*WORDS, "resume=auto", cwd=tmp_path)
    with (folder / "metrics.csv").open(newline="") as stream:
        assert [float(row["train/lr"]) for row in csv.DictReader(stream) if row["train/lr"]] == rates


def test_the_schedule_is_that_of_steps():
    factor = learning_rate_factor(OptimizerConfig(warmup=0.1), 10_000)
    assert factor(0) < factor(500) < factor(1000) == pytest.approx(1)
    assert factor(9_999) == pytest.approx(OptimizerConfig().final_lr)


def test_averaged_epochs_are_not_counted_by_a_clock():
    with pytest.raises(UserError, match=r"regularization\.average_epochs .* budget_minutes"):
        config(*SMALL, "regularization=none", "budget_minutes=1", "regularization.average_epochs=3")
