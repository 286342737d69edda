"""Damaged checkpoints are noticed; the one before takes the place of the last."""

import shutil
from random import Random

import lightning as L
import pytest
import torch

from mla_train.errors import UserError
from mla_train.safe_files import is_whole
from tests.helpers import run_here, stop_in_epoch

WORDS = ["epochs=3", "batch_size=256", "baselines=none"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_here(tmp_path_factory.mktemp("whole") / "run", *WORDS)


@pytest.fixture(scope="module")
def cut(tmp_path_factory):
    """A run that was killed after two of three epochs."""
    folder = tmp_path_factory.mktemp("cut") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mla_train.training.checkpoints.Checkpoints.on_train_epoch_start", stop_in_epoch(2))
        with pytest.raises(RuntimeError, match="interrupted"):
            run_here(folder, *WORDS)
    return folder


@pytest.fixture
def run(cut, tmp_path):
    return shutil.copytree(cut, tmp_path / "run")


def flip(file, place):
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << place % 8
    file.write_bytes(content)


def test_every_flipped_bit_of_a_checkpoint_is_noticed(run):
    file, random = run / "checkpoints" / "last.ckpt", Random(0)
    for _ in range(100):
        place = random.randrange(file.stat().st_size)
        flip(file, place)
        assert not is_whole(file)
        flip(file, place)
    assert is_whole(file)


@pytest.mark.parametrize("damage", [lambda file: flip(file, 20_001), lambda file: file.unlink()])
def test_a_damaged_last_checkpoint_is_replaced_by_the_one_before(damage, run, whole, tmp_path, capsys):
    steps = [
        torch.load(run / "checkpoints" / name, weights_only=True)["global_step"]
        for name in ("previous.ckpt", "last.ckpt")
    ]
    assert steps == [5, 10]
    damage(run / "checkpoints" / "last.ckpt")
    results = run_here(run, *WORDS, "resume=auto")
    assert "resuming from the checkpoint before it, previous.ckpt" in capsys.readouterr().out
    assert results["metrics"] == whole["metrics"]


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_checkpoint_without_another_is_said_before_training(name, run):
    (run / "checkpoints" / "previous.ckpt").unlink()
    flip(run / "checkpoints" / name, 20_001)
    with pytest.raises(UserError, match=rf"{name} is damaged.* Remove .*checkpoints to start.*SHA256SUMS"):
        run_here(run, *WORDS, "resume=auto")


def test_finished_epochs_without_a_checkpoint_to_resume_from_are_not_written_over(run, tmp_path):
    files = run / "checkpoints"
    for name in ("last.ckpt", "previous.ckpt"):
        (files / name).unlink()
    best = (files / "best.ckpt").read_bytes()
    with pytest.raises(
        UserError, match=r"last.ckpt is missing, and best.ckpt\S* .*Restore it, or remove .*checkpoints"
    ):
        run_here(run, *WORDS, "resume=auto")
    assert (files / "best.ckpt").read_bytes() == best
    shutil.rmtree(files)
    run_here(run, *WORDS, "resume=auto")  # as the message says


def test_a_run_that_was_killed_between_its_first_best_and_its_first_last_checkpoint_starts_again(
    whole, tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("mla_train.training.checkpoints.Checkpoints._write_last", stop)
        with pytest.raises(RuntimeError, match="interrupted"):
            run_here(tmp_path / "run", *WORDS)
    assert (tmp_path / "run" / "checkpoints" / "best.ckpt").exists()
    again = run_here(tmp_path / "run", *WORDS, "resume=auto")
    assert again["metrics"] == whole["metrics"]


class Keeping(L.Callback):
    """A callback of the user's own, which keeps what it likes."""

    def state_dict(self):
        return {"data": [1, 2], "config": "mine", "init": 3, "best_epoch": 7, "best_score": 1.0, "start": "mine"}


def test_what_other_callbacks_keep_is_not_taken_for_the_runs_own(whole, tmp_path, monkeypatch):
    words = [*WORDS, f"trainer.callbacks=[{{_target_: {__name__}.Keeping}}]"]
    with monkeypatch.context() as patch:
        patch.setattr("mla_train.training.checkpoints.Checkpoints.on_train_epoch_start", stop_in_epoch(1))
        with pytest.raises(RuntimeError, match="interrupted"):
            run_here(tmp_path / "run", *words)
    assert run_here(tmp_path / "run", *words, "resume=auto")["metrics"] == whole["metrics"]


class Collecting(L.Callback):
    def state_dict(self):
        return {"seen": {1, 2}}


def test_what_could_not_be_read_again_is_refused_when_it_is_written(tmp_path):
    with pytest.raises(UserError, match=r"callback of trainer\.callbacks keeps a value .* keep numbers, texts, lists"):
        run_here(
            tmp_path / "run", *WORDS, "trainer.callbacks=[{_target_: tests.training.test_checkpoint_files.Collecting}]"
        )


def test_epochs_whose_last_step_has_fewer_micro_batches_are_averaged_at_their_ends(tmp_path):
    averaged = ["regularization.ema_decay=0", "regularization.average_epochs=2"]
    run_here(tmp_path / "run", *WORDS, *averaged, "trainer.limit_train_batches=3", "hardware.accumulate_grad_batches=2")
    last = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert (int(last["averaging_state"]["n_averaged"]), last["global_step"]) == (3, 6)


def stop(*arguments):
    raise RuntimeError("interrupted")
