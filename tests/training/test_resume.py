"""A run that is cut ends where the uninterrupted run ends: bit for bit, averaged weights and best score included."""

import csv
import json
import re
import signal
import time

import pytest
import torch

from tests.helpers import ROOT, SMALL, train
from tests.warm import started

pytestmark = pytest.mark.slow
WORDS = [*SMALL, "regularization=strong", "regularization.early_stopping=0", "epochs=4", "batch_size=128"]
WORDS += ["baselines=none"]  # they are compared nowhere here


def weights(run, name="last.ckpt"):
    return torch.load(run / "checkpoints" / name, weights_only=True)


def assert_same_end(one, other):
    for name in ("last.ckpt", "best.ckpt"):
        first, second = weights(one, name), weights(other, name)
        for part in ("state_dict", "current_model_state"):
            assert first[part].keys() == second[part].keys()
            for key in first[part]:
                assert torch.equal(first[part][key], second[part][key]), (name, part, key)
        assert first["global_step"] == second["global_step"]
    results = [json.loads((run / "results.json").read_text()) for run in (one, other)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["monitor"] == results[1]["monitor"]


def start(*words, cwd):
    return started(ROOT / "train.py", words, cwd)


def wait_for_step(run, wanted, process):
    """Waits until last.ckpt was written in the middle of an epoch, at or after a step."""
    deadline = time.monotonic() + 120
    file = run / "checkpoints" / "last.ckpt"
    while time.monotonic() < deadline:
        if file.is_file():
            step = torch.load(file, weights_only=True, mmap=False)["global_step"]
            if step >= wanted and step % 10:
                return step
        assert process.poll() is None, process.said()
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(*WORDS, "run_dir=run", cwd=folder)
    return folder / "run"


def test_killed_run_goes_on_bit_for_bit(uninterrupted, tmp_path):
    # Two cuts in the middle of epochs; minutes=0 writes last.ckpt at every step, so that a cut has somewhere to fall.
    words = [*WORDS, "run_dir=run", "resume=auto", "checkpoint.every_minutes=0"]
    run = tmp_path / "run"
    for wanted in (13, 25):
        with start(*words, cwd=tmp_path) as process:
            wait_for_step(run, wanted, process)
            process.kill()
        assert not (run / "results.json").exists()
    train(*words, cwd=tmp_path)
    assert_same_end(uninterrupted, run)
    curves = []
    for folder in (run, uninterrupted):
        with (folder / "metrics.csv").open() as stream:
            rows = list(csv.DictReader(stream))
        curves.append([{name: value for name, value in row.items() if "speed" not in name} for row in rows])
    assert curves[0] == curves[1]  # to the last digit
    assert [row["step"] for row in curves[0] if row["train/loss"]] == ["20", "40"]
    # A finished run is only shown.
    again = train(*words, cwd=tmp_path)
    assert "finished already" in again.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_asked_to_stop_the_run_says_how_to_go_on(number, uninterrupted, tmp_path):
    words = [*WORDS, "run_dir=run"]
    with start(*words, "checkpoint.every_minutes=0", cwd=tmp_path) as process:
        wait_for_step(tmp_path / "run", 7, process)
        process.send_signal(number)
        assert process.wait(60) == 128 + number
        said = process.said()
    assert "Traceback" not in said
    assert "resume=" in said.splitlines()[-1]
    command = re.search(r"python \S*train\.py (.*)", said)[1].split()
    train(*command, cwd=tmp_path)  # nothing but resume=FOLDER: the rest stands in the run's config
    assert_same_end(uninterrupted, tmp_path / "run")


def test_asked_to_stop_before_the_first_step_it_does_not_end_as_a_success(tmp_path):
    stop = "    def on_validation_start(self, trainer, module):\n        os.kill(os.getpid(), signal.SIGTERM)\n"
    (tmp_path / "early.py").write_text(f"import os, signal\nimport lightning as L\n\nclass Stop(L.Callback):\n{stop}")
    words = [
        "--config-dir",
        ".",
        "task=forecasting",
        *SMALL,
        "trainer.callbacks=[{_target_: early.Stop}]",
        "run_dir=run",
    ]
    done = train(*words, cwd=tmp_path, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert "Continue with: python" in done.stderr


def test_ctrl_c_ends_a_whole_multirun(tmp_path):
    with start(*SMALL, "-m", "seed=0,1", "epochs=200", "run_dir=runs", cwd=tmp_path) as process:
        deadline = time.monotonic() + 120
        while not (tmp_path / "runs" / "0" / "checkpoints" / "last.ckpt").is_file():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert "resume=" in process.said()
    assert not (tmp_path / "runs" / "1").exists()


def test_another_config_is_refused_with_the_differing_keys(uninterrupted):
    done = train(*WORDS, "lr=0.5", f"run_dir={uninterrupted}", "resume=auto", cwd=uninterrupted.parent, check=False)
    assert done.returncode == 2
    assert re.search(r"lr \(0\.002 .*0\.5 ", done.stderr)
    occupied = train(*WORDS, f"run_dir={uninterrupted}", cwd=uninterrupted.parent, check=False)
    assert occupied.returncode == 2
    assert "add resume=auto" in occupied.stderr


def test_auto_without_a_folder_takes_the_newest_unfinished_run_of_this_config(tmp_path):
    words = [*SMALL, "epochs=2", "baselines=none", "resume=auto"]
    with start(*words, "checkpoint.every_minutes=0", cwd=tmp_path) as process:
        deadline = time.monotonic() + 120
        while not (found := list(tmp_path.glob("runs/*/*/checkpoints/last.ckpt"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.kill()
    run = found[0].parent.parent
    done = train(*words, "checkpoint.every_minutes=0", cwd=tmp_path)
    assert f"resuming {run.relative_to(tmp_path)}" in done.stdout
    other = train(*words, "checkpoint.every_minutes=0", "seed=1", "debug=fast", cwd=tmp_path)
    assert "run folder runs" in other.stdout
    assert len(list(tmp_path.glob("runs/*/*/results.json"))) == 2


def test_a_killed_run_with_muon_goes_on_bit_for_bit(tmp_path):
    words = [*WORDS, "optimizer.name=muon", "optimizer.schedule=wsd", "epochs=2"]
    train(*words, "run_dir=whole", cwd=tmp_path)
    words += ["run_dir=run", "resume=auto", "checkpoint.every_minutes=0"]
    with start(*words, cwd=tmp_path) as process:
        wait_for_step(tmp_path / "run", 7, process)
        process.kill()
    train(*words, cwd=tmp_path)
    assert_same_end(tmp_path / "whole", tmp_path / "run")
