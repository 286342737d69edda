"""One run in this process: what it leaves behind, what it logs, what stops it."""

import csv
import errno
import json
import logging
import os
import shlex
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import torch.nn.functional as F

from mla_train.config.overrides import parse_overrides
from mla_train.dataset import Split
from mla_train.errors import UserError
from mla_train.heads import Classification
from mla_train.inference.artifact import load_model
from mla_train.locks import lock
from mla_train.training.averaging import moving_average
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.run import log_file
from mla_train.training.run_folder import RunFolder, resume_command
from mla_train.training.scores import read_score
from tests.helpers import ROOT, SMALL, batch_of, build, randomize, read_jsonl, run_here, stop_in_epoch, train


def go(folder, *words, figures=False):
    return run_here(folder, "epochs=2", *words, figures=figures)


def test_a_run_leaves_what_the_design_names(tmp_path):
    folder = tmp_path / "run"
    results = go(folder, "baselines=standard", figures=True)
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "metrics.csv", "results.json", "checkpoints", "model", "figures", "predictions.jsonl", "log.txt",
    }  # fmt: skip
    checkpoints = {"best.ckpt", "last.ckpt", "previous.ckpt", "SHA256SUMS"}
    assert {path.name for path in (folder / "checkpoints").iterdir()} == checkpoints
    figures = {path.name for path in (folder / "figures").iterdir()}
    assert figures == {"calibration.png", "confusion.png", "mistakes.png", "curves.png"}
    stored = json.loads((folder / "results.json").read_text())
    assert stored == results
    expected = ("task", "data", "attention", "seed", "metrics", "directions", "monitor", "baselines", "model", "speed")
    assert stored.keys() >= {*expected, "environment"}
    assert (stored["task"], stored["data"], stored["attention"]) == ("image_classification", "digits", "mla")
    assert set(stored["baselines"]) == {"majority", "linear", "rbf_svm", "cnn"}
    sizes = stored["model"]
    assert sizes["parameters"] == sum(sizes[name] for name in ("encoder", "side_paths", "inputs", "head"))
    assert stored["baselines"]["linear"]["accuracy"] > 0.94
    assert stored["monitor"]["best"] == pytest.approx(stored["metrics"]["val"]["accuracy"])
    assert stored["attention"] == "mla"
    # tiny: 2 layers, latent 16/4 and rotary part 8/2, four bytes each
    assert stored["model"]["cache_bytes_per_token"] == 2 * (4 + 4) * 4
    assert stored["speed"]["tokens_per_second"] == pytest.approx(16 * stored["speed"]["examples_per_second"], rel=1e-2)
    with (folder / "metrics.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["step"] for row in rows] == ["20", "40"]
    assert all(row["train/loss"] and row["val/accuracy"] and row["speed/examples_per_second"] for row in rows)


def test_the_test_split_is_read_once_after_training(tmp_path, monkeypatch):
    seen = []
    original = Split.__getitem__

    def watch(self, index):
        if len(self) == 359:
            seen.append(index)
        return original(self, index)

    monkeypatch.setattr(Split, "__getitem__", watch)
    go(tmp_path / "run")
    assert sorted(seen) == list(range(359))


def test_a_run_can_leave_the_test_split_alone(tmp_path, monkeypatch, capsys):
    """test=false: nothing is read of it, and the score that is shown is called what it is."""

    def refuse(*args, **kwargs):
        raise AssertionError("test was looked at")

    for name in ("baselines", "figures", "prediction_rows", "details"):
        monkeypatch.setattr("tasks.image_classification.task.ImageClassification." + name, refuse)
    monkeypatch.setattr("mla_train.training.module.TrainingModule.test_step", refuse)
    results = go(tmp_path / "run", "test=false", figures=True)
    assert list(results["metrics"]) == ["val"]
    assert results["baselines"] == results["details"] == {}
    assert "on digits, validation split" in capsys.readouterr().out
    assert read_score(results).metric == "val/accuracy"
    assert read_score(results).value == results["metrics"]["val"]["accuracy"]
    assert not list((tmp_path / "run" / "figures").iterdir())


def test_a_diverging_run_stops_with_step_and_rate_and_keeps_the_last_good_state(tmp_path):
    folder = tmp_path / "run"
    words = ["optimizer.name=sgd", "lr=1e30", "optimizer.gradient_clip=0", "optimizer.warmup=0"]
    words += ["optimizer.schedule=constant", "checkpoint.every_minutes=0"]
    with pytest.raises(UserError, match=r"the loss became (nan|inf) at step \d+ \(learning rate 1e\+30\)"):
        go(folder, *words)
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] >= 1
    assert not (folder / "results.json").exists()


def test_results_count_the_whole_training_where_an_early_epoch_becomes_the_model(tmp_path, monkeypatch):
    loss, offer = Classification.loss, Checkpoints._offer

    def once_infinite(self, outputs, batch):
        total, count = loss(self, outputs, batch)
        return (total * float("nan") if torch.is_grad_enabled() and best else total), count

    def offer_first(self, trainer, module):
        if not best:
            offer(self, trainer, module)
        best.append(trainer.current_epoch)

    monkeypatch.setattr(Classification, "loss", once_infinite)
    monkeypatch.setattr(Checkpoints, "_offer", offer_first)
    best = []
    words = ("checkpoint.keep=best", "batch_size=256", "optimizer.skip_nonfinite=100")
    results = go(tmp_path / "run", *words, "epochs=2")
    assert results["monitor"]["epoch"] == 1
    assert any(note.startswith("5 of 10 steps were left out") for note in results["notes"])
    best = []
    results = go(tmp_path / "timed", *words, "budget_minutes=0.02", "optimizer.skip_nonfinite=100000")
    assert results["monitor"]["epoch"] == 1
    assert results["epochs"] >= len(best) - 1 > 1  # the last may be validated twice, when its time is over


def test_steps_whose_loss_is_not_finite_are_left_out_as_often_as_is_allowed(tmp_path, monkeypatch, capsys):
    loss, calls = Classification.loss, []

    def sometimes_infinite(self, outputs, batch):
        total, count = loss(self, outputs, batch)
        calls.append(count)
        return (total * float("nan") if torch.is_grad_enabled() and len(calls) % 3 == 0 else total), count

    monkeypatch.setattr(Classification, "loss", sometimes_infinite)
    words = ("debug.overfit=32", "batch_size=8", "epochs=1", "logger.every=1")
    results = go(tmp_path / "run", *words, "optimizer.skip_nonfinite=10")
    skipped = capsys.readouterr().out.count(" is left out: its loss or gradients are not finite")
    assert 1 <= skipped <= 2  # of four steps
    assert any(note.startswith(f"{skipped} of 4 steps were left out") for note in results["notes"])
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        losses = [row["train/loss"] for row in csv.DictReader(stream) if row["train/loss"]]
    assert len(losses) == 4 - skipped
    checkpoint = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["skipped_steps"] == skipped
    assert all(torch.isfinite(weight).all() for weight in checkpoint["state_dict"].values())
    calls.clear()
    with pytest.raises(UserError, match=r"the loss became nan at step \d .*optimizer\.skip_nonfinite=10"):
        go(tmp_path / "other", *words)


@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_gradients_are_clipped_under_mixed_precision(tmp_path, monkeypatch, precision):
    clipped = []
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(
        torch.nn.utils, "clip_grad_norm_", lambda parameters, norm: (clipped.append(norm), clip(parameters, norm))[1]
    )
    go(tmp_path / "run", f"hardware.precision={precision}", "debug=fast", "optimizer.gradient_clip=0.5")
    assert clipped
    assert set(clipped) == {0.5}


def test_a_full_disk_is_said_and_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    save, calls = torch.save, []

    def fails_later(content, path):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(content, path)

    monkeypatch.setattr(torch, "save", fails_later)
    with pytest.raises(
        UserError, match=r"No space left on device.*Free some space, then continue with: python .*resume="
    ):
        go(folder)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt", "SHA256SUMS"}
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 20


def test_overfit_learns_by_heart_and_fast_runs_through(tmp_path):
    heart = go(tmp_path / "heart", "debug=overfit", "encoder.dim=64", "epochs=60", "lr=3e-3")
    assert heart["metrics"]["val"]["accuracy"] == 1.0
    assert heart["examples"] == {"train": 64, "val": 64, "test": 64}
    go(tmp_path / "fast", "debug=fast")
    go(tmp_path / "profile", "debug=profile", "epochs=1")
    assert list((tmp_path / "profile").glob("*.json"))


def test_early_stopping_stops_and_stays_stopped_after_resumption(tmp_path):
    folder = tmp_path / "run"
    words = ["epochs=30", "regularization.early_stopping=2", "lr=1e-9", "regularization.ema_decay=0"]
    results = go(folder, *words)
    rows = (folder / "metrics.csv").read_text().splitlines()
    assert len(rows) - 1 < 10
    (folder / "results.json").unlink()
    again = go(folder, *words, "resume=auto")
    assert again["metrics"] == results["metrics"]
    assert len((folder / "metrics.csv").read_text().splitlines()) == len(rows)


def test_the_average_of_weights_follows_closely_at_first():
    update = moving_average(0.99)
    averaged, current = [torch.zeros(3)], [torch.ones(3)]
    update(averaged, current, torch.tensor(0))
    torch.testing.assert_close(averaged[0], torch.full((3,), 0.9))
    averaged = [torch.zeros(3)]
    update(averaged, current, torch.tensor(10_000))
    torch.testing.assert_close(averaged[0], torch.full((3,), 0.01))


def test_average_of_the_last_epochs_is_the_mean_of_their_weights(tmp_path, monkeypatch):
    """Also when the run is cut between two of them."""
    from mla_train.training.checkpoints import Checkpoints

    seen = []
    write = Checkpoints._write

    def note(self, trainer, name):
        write(self, trainer, name)
        if name == "last.ckpt":
            seen.append({key: value.clone() for key, value in trainer.lightning_module.state_dict().items()})

    monkeypatch.setattr(Checkpoints, "_write", note)
    words = ["epochs=5", "regularization.ema_decay=0", "regularization.average_epochs=3", "batch_size=256"]
    whole = go(tmp_path / "whole", *words)
    assert len(seen) == 5
    assert whole["monitor"]["epoch"] >= 3  # an epoch before the average is no candidate
    kept = torch.load(tmp_path / "whole" / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    for key, value in kept.items():
        torch.testing.assert_close(value, torch.stack([weights[key] for weights in seen[2:]]).mean(0))
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_start", stop_in_epoch(3))
        with pytest.raises(RuntimeError, match="interrupted"):
            go(tmp_path / "cut", *words)
    again = go(tmp_path / "cut", *words, "resume=auto")
    assert again["metrics"] == whole["metrics"]


def test_r_drop_adds_the_divergence_of_two_passes(tmp_path):
    """Without dropout both passes are the same and the term is nothing."""
    module, data = build(*SMALL, "regularization=none", "regularization.dropout=0.3", "regularization.r_drop=5")
    randomize(module.model)
    module.train()
    module.trainer = L.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False)
    batch, head = batch_of(data, count=8), module.model.head
    torch.manual_seed(0)
    first, second = module(batch), module(batch)
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    divergence = sum(F.kl_div(*pair, log_target=True, reduction="sum") for pair in ((p, q), (q, p)))
    expected = (head.loss(first, batch)[0] + head.loss(second, batch)[0]) / 2 + 5 * divergence / 4
    torch.manual_seed(0)
    torch.testing.assert_close(module.training_step(batch, 0), expected)
    quiet = ["regularization=none", "epochs=1"]
    assert go(tmp_path / "a", *quiet)["metrics"] == go(tmp_path / "b", *quiet, "regularization.r_drop=5")["metrics"]
    loud = ["regularization=none", "regularization.dropout=0.3", "epochs=1"]
    assert go(tmp_path / "c", *loud)["metrics"] != go(tmp_path / "d", *loud, "regularization.r_drop=5")["metrics"]


def test_a_command_that_cannot_work_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="cannot be divided into 100 parts"):
        go(tmp_path / "run", "hardware.accumulate_grad_batches=100")
    assert not (tmp_path / "run").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be divided into 100 parts"):
        go(tmp_path / "empty", "hardware.accumulate_grad_batches=100")
    assert not list((tmp_path / "empty").iterdir())


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    go(folder, "debug=fast")
    (folder / "results.json").unlink()
    with lock(folder / ".lock"), pytest.raises(UserError, match=r"being trained by another process \(process \d+ on"):
        go(folder, "debug=fast", "resume=auto")
    assert go(folder, "debug=fast", "resume=auto")["debug"] == ["fast"]


def test_a_lost_best_checkpoint_is_said(tmp_path):
    folder = tmp_path / "run"
    go(folder, "debug=fast")
    (folder / "results.json").unlink()
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"best\.ckpt is missing"):
        go(folder, "debug=fast", "resume=auto")


def test_the_last_epoch_is_the_model_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Classification, "directions", dict.fromkeys(Classification.directions, "min")
    )  # so learning never pays
    epochs = {}
    for keep in ("best", "last"):
        epochs[keep] = go(tmp_path / keep, "epochs=3", "lr=3e-3", f"checkpoint.keep={keep}")["monitor"]["epoch"]
        last = torch.load(tmp_path / keep / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        model = load_model(tmp_path / keep).model.state_dict()
        assert all(torch.equal(value, last[f"model.{key}"]) for key, value in model.items()) is (keep == "last")
    assert epochs == {"best": 1, "last": 3}


def test_seconds_are_those_of_the_whole_run_whichever_epoch_was_best(tmp_path, capfd):
    results = go(tmp_path / "run", "epochs=3", "lr=1e-9", "regularization.ema_decay=0")
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
    lines = [line for line in capfd.readouterr().out.splitlines() if line.startswith("epoch ")]
    assert lines[-1].startswith("epoch 3/3  step ")  # however short a run is
    assert " val accuracy " in lines[-1]
    # Another rate is that of the last epoch's end: nothing was taken back when the best weights were loaded.
    assert results["speed"]["examples_per_second"] == pytest.approx(float(last["speed/examples_per_second"]), abs=0.1)


def test_the_command_to_go_on_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py", "--config-dir", "my tasks", "seed=1"])
    command = shlex.split(resume_command(RunFolder(Path("runs/it's mine"))))
    assert command[:4] == ["python", "train.py", "--config-dir", "my tasks"]
    (override,) = parse_overrides(command[4:])
    assert override.value() == "runs/it's mine"


class Burglar:
    """Unpickled, it leaves a trace."""

    def __init__(self, trace):
        self.trace = str(trace)

    def __reduce__(self):
        return open, (self.trace, "w")


def test_checkpoints_hold_data_only_and_no_other_is_loaded(tmp_path):
    folder = tmp_path / "run"
    go(folder, "debug=fast", "regularization=strong")
    for name in ("best.ckpt", "last.ckpt"):
        torch.load(folder / "checkpoints" / name, weights_only=True)
    (folder / "results.json").unlink()
    checksums = (folder / "checkpoints" / "SHA256SUMS").read_bytes()
    for content in ({"state_dict": {}, "burglar": Burglar(tmp_path / "trace")}, None):
        if content is None:
            (folder / "checkpoints" / "last.ckpt").write_bytes(b"broken")
        else:
            torch.save(content, folder / "checkpoints" / "last.ckpt")
        (folder / "checkpoints" / "SHA256SUMS").write_bytes(checksums)
        with pytest.raises(UserError, match=r"last\.ckpt is damaged.*Remove .*checkpoints to start this run again"):
            go(folder, "debug=fast", "regularization=strong", "resume=auto")
        (folder / "checkpoints" / "SHA256SUMS").unlink()
        with pytest.raises(UserError, match=r"last\.ckpt cannot be read.*Remove .*checkpoints to start this run again"):
            go(folder, "debug=fast", "regularization=strong", "resume=auto")
    assert not (tmp_path / "trace").exists()


@pytest.mark.slow
def test_a_log_without_room_is_no_error(tmp_path, capsys):
    with log_file(Path("/dev/full")):
        logging.getLogger("mla_train").warning("a message")
    assert not capsys.readouterr().err


def test_a_disk_without_room_is_one_line(tmp_path):
    # The limit on the size of a file stands for the full disk: writing the first checkpoint fails for real.
    command = f"ulimit -f 40; exec {sys.executable} {ROOT / 'train.py'} encoder=tiny epochs=1 run_dir=run"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Free some space, then continue with: python" in done.stderr
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


COUNTER = """
from lightning.pytorch.callbacks import Callback


class Counter(Callback):
    def __init__(self, file):
        self.file, self.batches = file, 0

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.batches += 1

    def on_train_end(self, trainer, module):
        open(self.file, "w").write(f"{self.batches} of {type(module.task).__name__}")
"""


def test_callbacks_and_arguments_of_ones_own(tmp_path):
    """At the command line, from a file beside the user's YAMLs."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "my_callbacks.py").write_text(COUNTER)
    words = [
        "trainer.limit_train_batches=2",
        "trainer.limit_test_batches=1",
        "epochs=2",
        "batch_size=32",
        "run_dir=run",
    ]
    callback = "trainer.callbacks=[{_target_: my_callbacks.Counter, file: counted}]"
    train("--config-dir", "mine", *SMALL, *words, callback, cwd=tmp_path)
    assert (tmp_path / "counted").read_text() == "4 of ImageClassification"
    assert len(read_jsonl(tmp_path / "run" / "predictions.jsonl")) < 70
    assert torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.parametrize("words", ["trainer.enable_progress_bar=false", "trainer.enable_model_summary=true"])
def test_arguments_that_silence_or_tell_more(tmp_path, words):
    go(tmp_path / "run", words, "debug=fast")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.max_epochs=2"], "use epochs"),
        (["trainer.devices=2"], r"use hardware\.devices"),
        (["trainer.limit_trian_batches=2"], r"Did you mean limit_train_batches\?"),
        (["trainer.callbacks=[{_target_: os.getcwd}]"], r"os\.getcwd must be a subclass of Callback"),
    ],
)
def test_what_the_run_owns_is_refused(tmp_path, words, message):
    with pytest.raises(UserError, match=message):
        go(tmp_path / "run", *words)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_made_is_said(tmp_path, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("mla_train.training.run_lock.write_atomically", fail)
    with pytest.raises(
        UserError, match=rf"cannot write to .*: {os.strerror(number)}\. Make room or allow it, then start again"
    ):
        go(tmp_path / "run", "debug=fast")
