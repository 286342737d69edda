"""Time, disk and memory that are not enough: what is said, and what is kept."""

import os
import shutil
import signal
import sys
from collections import namedtuple

import pytest
import torch

from mla_train.errors import Interrupted, UserError
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.resources import is_out_of_memory, out_of_memory_reported, require_room
from mla_train.training.run_folder import RunFolder
from tests.helpers import SMALL, batch_of, build, run_here

Usage = namedtuple("Usage", "total used free")


def test_a_run_stops_when_its_time_is_over_and_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    words = ["epochs=1", "debug.overfit=200", "batch_size=100", "hardware.max_minutes=1e-6"]
    with pytest.raises(Interrupted, match=r"Stopped in epoch 1 after step 1;.*resume=") as stopped:
        run_here(tmp_path / "run", *words)
    assert stopped.value.exit_code == 128 + signal.SIGTERM
    results = run_here(tmp_path / "run", *words, "resume=auto")  # one step was left
    assert "val" in results["metrics"]


def test_a_scheduler_that_gives_notice_gets_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    start = Checkpoints.on_train_start

    def with_notice(self, trainer, module):
        start(self, trainer, module)
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(Checkpoints, "on_train_start", with_notice)
    with pytest.raises(Interrupted, match=r"after step 1;.*resume=") as stopped:
        run_here(tmp_path / "run", "epochs=1", "debug.overfit=200", "batch_size=100")
    assert stopped.value.exit_code == 128 + signal.SIGUSR1
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


def test_a_disk_without_room_is_said_before_training(tmp_path, monkeypatch):
    module, _ = build(*SMALL)
    require_room(RunFolder(tmp_path), module)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100e9, 99.96e9, 40e6))
    with pytest.raises(UserError, match=r"40 MB of free.*5\d MB.*run_dir="):
        require_room(RunFolder(tmp_path), module)


def test_memory_that_is_not_enough_names_the_batch_and_what_makes_it_smaller():
    module, data = build(*SMALL)
    batch = batch_of(data, "test")

    def step():
        with out_of_memory_reported(64, module.model):
            module.model(batch)
            torch.empty(10**15)

    with pytest.raises(UserError, match=rf"{len(batch)} examples of image 3 x 20 x 20.*batch_size=.*accumulate"):
        step()
    with pytest.raises(RuntimeError, match="another"), out_of_memory_reported(64, module.model):
        raise RuntimeError("another fault")
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA"))
    assert not module.model._forward_pre_hooks
