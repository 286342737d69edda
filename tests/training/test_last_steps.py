"""What is validated where a training stops, or is stopped, between the ends of two epochs."""

import csv
import json
import os
import signal
from typing import Any, ClassVar

import lightning as L
import pytest
import torch

from mla_train.errors import Interrupted, UserError
from tests.helpers import SMALL, config, run_here, train
from tests.training.test_resume import assert_same_end

WORDS = [*SMALL, "regularization=strong", "regularization.early_stopping=0", "batch_size=128", "baselines=none"]
STOP = """import os, signal
import lightning as L

class AtStep(L.Callback):
    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.global_step == {step}:
            os.kill(os.getpid(), signal.SIGTERM)

class AtEnd(L.Callback):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        if trainer.should_stop:
            os.kill(os.getpid(), signal.SIGTERM)

class AtLast(L.Callback):
    def on_train_epoch_end(self, trainer, module):
        if {step} >= 0 and trainer.current_epoch + 1 == trainer.max_epochs:
            os.kill(os.getpid(), signal.SIGTERM)

class Decided(AtStep):
    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        trainer.should_stop = trainer.should_stop or trainer.global_step == 3
"""


def stopped(words, name, cwd, step=0):
    """Runs until a callback asks the run to stop, then goes on without it."""
    (cwd / "stops.py").write_text(STOP.format(step=step))
    callback = f"trainer.callbacks=[{{_target_: stops.{name}}}]"
    done = train("--config-dir", ".", *words, callback, "run_dir=run", cwd=cwd, check=False)
    assert done.returncode == 128 + signal.SIGTERM, done.stdout + done.stderr
    (cwd / "stops.py").write_text(STOP.format(step=-1).replace("if trainer.should_stop", "if False"))
    return train("--config-dir", ".", "resume=run", cwd=cwd)


def validated_steps(run):
    with (run / "metrics.csv").open(newline="") as stream:
        return [int(row["step"]) for row in csv.DictReader(stream) if row["val/loss"]]


@pytest.mark.slow
@pytest.mark.parametrize("step", [14, 15])  # a validation follows upon the first
def test_a_run_that_is_stopped_before_a_validation_within_an_epoch_does_not_leave_it_out(step, tmp_path):
    words = [*WORDS, "epochs=3", "trainer.val_check_interval=5", "checkpoint.keep=best"]
    train(*words, "run_dir=whole", cwd=tmp_path)
    assert validated_steps(tmp_path / "whole")[:4] == [5, 10, 15, 20]
    stopped(words, "AtStep", tmp_path, step)
    assert validated_steps(tmp_path / "run") == validated_steps(tmp_path / "whole")
    assert_same_end(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("averaging", ["ema_decay=0.99", "average_epochs=2"])
def test_a_run_that_is_stopped_after_its_last_step_scores_the_average(averaging, tmp_path):
    words = [
        *WORDS,
        "regularization=none",
        f"regularization.{averaging}",
        "epochs=3",
        "trainer.check_val_every_n_epoch=2",
    ]
    train(*words, "run_dir=whole", cwd=tmp_path)
    stopped(words, "AtLast", tmp_path)
    assert_same_end(tmp_path / "whole", tmp_path / "run")


@pytest.mark.slow
def test_a_stop_that_was_decided_before_the_least_number_of_epochs_outlives_an_interruption(tmp_path):
    words = [*WORDS, "epochs=5", "trainer.min_epochs=2"]
    train(*words, "run_dir=all", cwd=tmp_path)
    stopped(words, "Decided", tmp_path, 5)
    assert validated_steps(tmp_path / "run") == validated_steps(tmp_path / "all")[:2]


class Handlers(L.Callback):
    """Notes who handles SIGUSR1 while a run is validated."""

    seen: ClassVar[list[Any]] = []

    def on_validation_start(self, trainer, module):
        self.seen.append(signal.getsignal(signal.SIGUSR1))


def test_on_slurm_lightning_writes_no_checkpoint_of_its_own(tmp_path, monkeypatch):
    values = {"NTASKS": 1, "JOB_NAME": "train", "JOB_ID": 7, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "NNODES": 1}
    for name, value in values.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    Handlers.seen.clear()
    run_here(tmp_path / "run", "debug=fast", "trainer.callbacks=[{_target_: tests.training.test_last_steps.Handlers}]")
    assert Handlers.seen[-1] is signal.SIG_DFL  # of the evaluation; a checkpoint of Lightning would be evaluated then


def test_after_the_training_signals_do_what_they_did_before(tmp_path):
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)}
    after = {}
    run_here(tmp_path / "run", "debug=fast", report=lambda _: after.update({n: signal.getsignal(n) for n in before}))
    assert after == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_twice_ends_at_once_and_says_how_to_go_on(number, tmp_path, monkeypatch):
    def stop_twice(*arguments):
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)

    monkeypatch.setattr("mla_train.training.progress.RunProgress.on_train_batch_end", stop_twice)
    with pytest.raises(Interrupted, match=r"Stopped at once\. Start again with the same command") as stopped:
        run_here(tmp_path / "run", "epochs=1")
    assert stopped.value.exit_code == 128 + number


@pytest.mark.slow
def test_a_run_that_is_stopped_in_the_last_step_of_its_time_keeps_what_it_learnt(tmp_path):
    stopped([*WORDS, "budget_minutes=0.03", "trainer.check_val_every_n_epoch=1"], "AtEnd", tmp_path)
    ends = [
        torch.load(tmp_path / "run" / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("last", "best")
    ]
    assert ends[0]["global_step"] == ends[1]["global_step"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["epochs=9", "trainer.max_steps=13"], 13),
        (["epochs=2", "trainer.check_val_every_n_epoch=5"], None),
        (["budget_minutes=0.02", "trainer.check_val_every_n_epoch=1000"], None),
    ],
)
def test_weights_with_which_training_ends_between_two_validations_may_become_the_model(words, steps, tmp_path):
    train(*WORDS, *words, "checkpoint.keep=last", "run_dir=run", cwd=tmp_path)
    run = tmp_path / "run"
    ends = [torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True) for name in ("last", "best")]
    assert ends[0]["global_step"] == ends[1]["global_step"]
    assert steps in (None, ends[0]["global_step"])
    assert json.loads((run / "results.json").read_text())["monitor"]["epoch"] >= 1
    for key, value in ends[0]["state_dict"].items():  # of the average, which is what was validated
        assert torch.equal(value, ends[1]["state_dict"][key]), key


@pytest.mark.slow
def test_a_run_whose_epochs_have_one_batch_minds_the_clock(tmp_path):
    words = [*WORDS, "epochs=2000", "trainer.limit_train_batches=1", "hardware.max_minutes=0.02", "run_dir=run"]
    done = train(*words, cwd=tmp_path, check=False)
    assert done.returncode == 128 + signal.SIGTERM
    assert "hardware.max_minutes" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trainer.limit_val_batches=0"], r"trainer\.limit_val_batches=0: .* remove it"),
        (["trainer.val_check_interval='00:01'"], r"trainer\.val_check_interval=.* must be a number"),
        (
            ["regularization=none", "regularization.average_epochs=2", "trainer.max_steps=5"],
            r"regularization\.average_epochs .* trainer\.max_steps",
        ),
    ],
)
def test_what_would_leave_nothing_to_choose_from_is_refused(words, message):
    with pytest.raises(UserError, match=message):
        config(*SMALL, *words)
