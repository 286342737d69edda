"""One run in this process: what it leaves behind, what it logs, what stops it."""

import csv
import errno
import fcntl
import json
import shlex
import subprocess
import sys
from pathlib import Path

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from mla_train.training.build import build_data, build_task, moving_average
from mla_train.training.classification import Classification
from mla_train.training.model_folder import load_model

from mla_train.config.overrides import parse_overrides
from mla_train.errors import UserError
from mla_train.training.run import run
from mla_train.training.run_folder import RunFolder, find_run, resume_command
from mla_train.training.scores import read_score
from tests.helpers import ROOT, SMALL, config


@pytest.fixture(autouse=True)
def as_from_a_shell(monkeypatch):
    monkeypatch.delenv("MLA_TRAIN_RUN_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py"])


def go(folder, *words):
    settings = config(*SMALL, "epochs=2", f"run_dir={folder}", *words)
    return run(settings, find_run(settings))


def test_a_run_leaves_what_the_design_names(tmp_path):
    folder = tmp_path / "run"
    results = go(folder)
    assert {path.name for path in folder.iterdir()} == {
        "config.yaml", "metrics.csv", "results.json", "checkpoints", "model", "figures", "predictions.jsonl", "log.txt",
    }  # fmt: skip
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert {path.name for path in (folder / "figures").iterdir()} == {"confusion.png", "mistakes.png", "curves.png"}
    stored = json.loads((folder / "results.json").read_text())
    assert stored == results
    expected = ("task", "data", "attention", "seed", "metrics", "directions", "monitor", "baselines", "model", "speed")
    assert stored.keys() >= {*expected, "environment"}
    assert (stored["task"], stored["data"], stored["attention"]) == ("image_classification", "digits", "mla")
    assert set(stored["baselines"]) == {"majority", "linear"}
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


def test_the_kept_model_predicts_what_the_run_predicted(tmp_path):
    folder = tmp_path / "run"
    go(folder)
    task = load_model(folder)
    data = build_data(task.config)
    data.setup()
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    with torch.no_grad():
        said = task.predict(task(batch), batch)["predicted"]
    written = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert [row["predicted"] for row in written] == [task.facts.classes[i] for i in said]


def test_the_test_split_is_read_once_after_training(tmp_path, monkeypatch):
    seen = []
    from tasks.image_classification.data import ImageSplit

    original = ImageSplit.__getitem__

    def watch(self, index):
        if len(self) == 359:
            seen.append(index)
        return original(self, index)

    monkeypatch.setattr(ImageSplit, "__getitem__", watch)
    go(tmp_path / "run")
    assert sorted(seen) == list(range(359))


def test_a_run_can_leave_the_test_split_alone(tmp_path, monkeypatch, capsys):
    """test=false: nothing is read of it, and the score that is shown is called what it is."""

    def refuse(*args, **kwargs):
        raise AssertionError("test was looked at")

    for name in ("test_step", "baselines", "figures", "records", "details"):
        monkeypatch.setattr("tasks.image_classification.ImageClassificationTask." + name, refuse)
    results = go(tmp_path / "run", "test=false")
    assert list(results["metrics"]) == ["val"]
    assert results["baselines"] == results["details"] == {}
    assert "on digits, validation split" in capsys.readouterr().out
    assert read_score(results).metric == "val/accuracy"
    assert read_score(results).value == results["metrics"]["val"]["accuracy"]
    assert not list((tmp_path / "run" / "figures").iterdir())


def test_splits_do_not_follow_the_seed():
    sets = []
    for words in (["seed=0"], ["seed=1"], ["data.split_seed=1"]):
        data = build_data(config(*words))
        data.setup()
        sets.append(data.test.images)
    assert torch.equal(sets[0], sets[1])
    assert not torch.equal(sets[0], sets[2])


def test_a_diverging_run_stops_with_step_and_rate_and_keeps_the_last_good_state(tmp_path):
    folder = tmp_path / "run"
    words = ["optimizer.name=sgd", "lr=1e30", "optimizer.gradient_clip=0", "optimizer.warmup=0"]
    words += ["optimizer.schedule=constant", "checkpoint.every_minutes=0"]
    with pytest.raises(UserError, match=r"the loss became (nan|inf) at step \d+ \(learning rate 1e\+30\)"):
        go(folder, *words)
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert checkpoint["global_step"] >= 1
    assert not (folder / "results.json").exists()


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
    save, calls = L.Trainer.save_checkpoint, []

    def fails_later(self, path, *args, **kwargs):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half a checkpoint")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, path, *args, **kwargs)

    monkeypatch.setattr(L.Trainer, "save_checkpoint", fails_later)
    with pytest.raises(UserError, match=r"No space left on device.*Make room, then go on with: python .*resume="):
        go(folder)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 20


def test_overfit_learns_by_heart_and_fast_runs_through(tmp_path):
    heart = go(tmp_path / "heart", "debug=overfit", "encoder.dim=64", "epochs=60", "lr=3e-3")
    assert heart["metrics"]["val"]["accuracy"] == 1.0
    assert heart["examples"]["train"] == 1258
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


def test_wandb_writes_offline_under_one_id_and_tensorboard_beside(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb_config"))
    import wandb

    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        go(folder, "logger=[wandb,tensorboard]", "logger.wandb.mode=offline", "debug=fast")
        assert wandb.run is None  # finished
        name = (folder / "wandb" / "run_id").read_text()
        assert len(list(folder.glob(f"wandb/offline-run-*-{name}/run-{name}.wandb"))) == 1
        assert list(folder.glob("tensorboard/events.out.tfevents.*"))
        assert (folder / "metrics.csv").is_file()
    assert len({(folder / "wandb" / "run_id").read_text() for folder in folders}) == 2
    # A resumed run goes on under its id.
    (folders[0] / "results.json").unlink()
    go(folders[0], "logger=[wandb,tensorboard]", "logger.wandb.mode=offline", "debug=fast", "resume=auto")
    name = (folders[0] / "wandb" / "run_id").read_text()
    assert {file.stem for file in folders[0].glob("wandb/offline-run-*/*.wandb")} == {f"run-{name}"}


def test_without_login_wandb_stays_offline(tmp_path, monkeypatch):
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    go(tmp_path / "run", "logger=wandb", "debug=fast")
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*"))


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
        with pytest.raises(RuntimeError, match="cut"):
            go(tmp_path / "cut", *words)
    again = go(tmp_path / "cut", *words, "resume=auto")
    assert again["metrics"] == whole["metrics"]


def stop_in_epoch(number):
    def on_train_epoch_start(self, trainer, task):
        if trainer.current_epoch == number:
            raise RuntimeError("cut")
        self.sampler.set_position(trainer.current_epoch)

    return on_train_epoch_start


def test_r_drop_adds_the_divergence_of_two_passes(tmp_path):
    """Without dropout both passes are the same and the term is nothing."""
    settings = config(*SMALL, "regularization=none", "regularization.dropout=0.3", "regularization.r_drop=5")
    data = build_data(settings)
    data.setup()
    task = build_task(settings, data.facts).train()
    batch = data.collate([data.train[i] for i in range(8)], training=False)
    torch.manual_seed(0)
    first, second = task(batch), task(batch)
    expected = (task.loss(first, batch)[0] + task.loss(second, batch)[0]) / 2
    p, q = first.log_softmax(-1), second.log_softmax(-1)
    expected = (
        expected
        + 5 * (F.kl_div(p, q, log_target=True, reduction="sum") + F.kl_div(q, p, log_target=True, reduction="sum")) / 4
    )
    torch.manual_seed(0)
    torch.testing.assert_close(task.training_step(batch, 0), expected)
    quiet = ["regularization=none", "epochs=1"]
    assert go(tmp_path / "a", *quiet)["metrics"] == go(tmp_path / "b", *quiet, "regularization.r_drop=5")["metrics"]
    loud = ["regularization=none", "regularization.dropout=0.3", "epochs=1"]
    assert go(tmp_path / "c", *loud)["metrics"] != go(tmp_path / "d", *loud, "regularization.r_drop=5")["metrics"]


def test_a_command_that_cannot_work_leaves_nothing_behind(tmp_path):
    with pytest.raises(UserError, match="cannot be cut into 100 parts"):
        go(tmp_path / "run", "hardware.accumulate_grad_batches=100")
    assert not (tmp_path / "run").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="cannot be cut into 100 parts"):
        go(tmp_path / "empty", "hardware.accumulate_grad_batches=100")
    assert not list((tmp_path / "empty").iterdir())


def test_a_run_is_trained_by_one_process_at_a_time(tmp_path):
    folder = tmp_path / "run"
    go(folder, "debug=fast")
    (folder / "results.json").unlink()
    with (folder / "config.yaml").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="being trained by another process"):
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
    monkeypatch.setattr(Classification, "directions", {"accuracy": "min", "macro_f1": "min"})  # so learning never pays
    epochs = {}
    for keep in ("best", "last"):
        epochs[keep] = go(tmp_path / keep, "epochs=3", "lr=3e-3", f"checkpoint.keep={keep}")["monitor"]["epoch"]
        last = torch.load(tmp_path / keep / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        model = load_model(tmp_path / keep).state_dict()
        assert all(torch.equal(model[key], value) for key, value in last.items()) is (keep == "last")
    assert epochs == {"best": 1, "last": 3}


def test_seconds_are_those_of_the_whole_run_whichever_epoch_was_best(tmp_path):
    results = go(tmp_path / "run", "epochs=3", "lr=1e-9", "regularization.ema_decay=0")
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
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
    for content in ({"state_dict": {}, "burglar": Burglar(tmp_path / "trace")}, None):
        if content is None:
            (folder / "checkpoints" / "last.ckpt").write_bytes(b"broken")
        else:
            torch.save(content, folder / "checkpoints" / "last.ckpt")
        with pytest.raises(UserError, match=r"last\.ckpt cannot be read.*Remove it to begin this run anew"):
            go(folder, "debug=fast", "regularization=strong", "resume=auto")
    assert not (tmp_path / "trace").exists()


@pytest.mark.slow
def test_a_disk_without_room_is_one_line(tmp_path):
    # The limit on the size of a file stands for the full disk: writing the first checkpoint fails for real.
    command = f"ulimit -f 40; exec {sys.executable} {ROOT / 'train.py'} encoder=tiny epochs=1 run_dir=run"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "Make room, then go on with: python" in done.stderr
    assert not list((tmp_path / "run" / "checkpoints").iterdir())
