"""A damaged run folder is one clear line at resume=auto, and blocks no other run."""

import os
import shutil

import pytest
import torch

from mla_train.errors import UserError
from mla_train.training.checkpoint_files import require_kept
from mla_train.training.run_folder import RunFolder, find_run
from tests.helpers import SMALL, config, run_here

BINARY = bytes(range(128, 256)) * 20
WORDS = ["debug=fast"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished") / "run"
    run_here(folder, *WORDS)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("results.json", b'{"task": ', "Remove it, and resume"),
        ("results.json", b"{}", "it has no task"),
        ("results.json", b"[]", "it has no task"),
        ("results.json", BINARY, "Remove it, and resume"),
        ("config.yaml", b"[1]", "no options of a run"),
        ("config.yaml", BINARY, "cannot be read"),
        ("config.yaml", b"a: [", "cannot be read"),
        ("metrics.csv", BINARY, "Remove it to continue"),
        ("metrics.csv", b"x,y\n1,2\n", "Remove it to continue"),
        ("metrics.csv", b"step,epoch,val/loss\n1,0,2,5\n", "Remove it to continue"),
        ("metrics.csv", b"step,epoch,val/loss\n1,0\n", "Remove it to continue"),
        ("checkpoints/best.ckpt", b"", "Remove .*checkpoints to start"),
        ("checkpoints/last.ckpt", b"", "Remove .*checkpoints to start"),
    ],
)
@pytest.mark.parametrize("with_checksums", [True, False])
def test_a_damaged_file_is_one_line_that_names_it(name, content, message, with_checksums, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    if name != "results.json":
        (run / "results.json").unlink()
    if not with_checksums:  # as in folders of earlier versions
        (run / "checkpoints" / "SHA256SUMS").unlink()
    (run / name).write_bytes(content)
    with pytest.raises(UserError, match=f"{name}.*{message}") as error:
        run_here(run, *WORDS, "resume=auto")
    assert "\n" not in str(error.value)


def test_a_damaged_run_among_others_is_skipped(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "image_classification"
    for name, content in (("2026-01-03", b"[1]"), ("2026-01-02", BINARY), ("2026-01-01", None)):
        run = shutil.copytree(finished, folder / name)
        (run / "results.json").unlink()
        if content:
            (run / "config.yaml").write_bytes(content)
    settings = config("encoder=tiny", "encoder.dim=16", "encoder.num_heads=2", "baselines=quick", *WORDS, "resume=auto")
    assert find_run(settings).path.name == "2026-01-01"
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert all("not resumed: " in line and "cannot be read" in line for line in lines)


@pytest.mark.parametrize(
    ("name", "put", "message"),
    [
        ("metrics.csv", lambda file: file.mkdir(), "no regular file"),
        ("checkpoints/last.ckpt", lambda file: file.mkdir(), "no regular file"),
        ("log.txt", os.mkfifo, "no regular file"),  # a pipe would wait for a reader
        ("predictions.jsonl", lambda file: file.mkdir(), "no regular file"),
        ("figures", lambda file: file.touch(), "no folder"),
        ("model", lambda file: file.touch(), "no folder"),
        ("log.txt", lambda file: file.symlink_to("log.txt"), "no regular file"),
        ("model", lambda file: file.symlink_to("nowhere"), "no folder"),
    ],
)
def test_what_lies_in_the_place_of_a_file_of_the_run_is_said_before_training(name, put, message, finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "results.json").unlink()
    file = run / name
    shutil.rmtree(file) if file.is_dir() else file.unlink()
    put(file)
    with pytest.raises(UserError, match=f"{name} is {message}"):
        run_here(run, *WORDS, "resume=auto")


def test_a_run_of_an_earlier_version_goes_on_where_new_options_have_their_defaults(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    text = (run / "config.yaml").read_text()
    settings = config(*SMALL, "baselines=quick", *WORDS, f"run_dir={run}", "resume=auto")
    (run / "config.yaml").write_text(text.replace("  skip_nonfinite: 0\n", ""))
    assert find_run(settings).path == run
    settings.optimizer.skip_nonfinite = 3
    with pytest.raises(UserError, match=r"optimizer\.skip_nonfinite \(0 there, 3 now\)"):
        find_run(settings)
    (run / "config.yaml").write_text(text + "newer: 1\n")
    with pytest.raises(UserError, match=r"newer \(1 there"):
        find_run(settings)


def test_options_that_changed_in_the_folder_are_no_options_of_its_checkpoint(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "results.json").unlink()
    text = (run / "config.yaml").read_text()
    assert "dropout: 0.1\n" in text
    (run / "config.yaml").write_text(text.replace("dropout: 0.1\n", "dropout: 0.9\n"))
    with pytest.raises(
        UserError, match=r"config\.yaml is not as it was.*regularization\.dropout \(0\.1 there, 0\.9 now\)"
    ):
        run_here(run, *WORDS, "regularization.dropout=0.9", "resume=auto")


def test_a_missing_start_is_said_before_training(finished, tmp_path):
    folder = shutil.copytree(finished, tmp_path / "run")
    run = RunFolder(folder)
    state = {"best_score": 0.5, "best_epoch": 1, "start": "linear"}
    with pytest.raises(UserError, match=r"start\.ckpt is missing\. Restore it, or remove .*checkpoints to start"):
        require_kept({"callbacks": {"Checkpoints": state}}, run)
    (run.checkpoints / "start.ckpt").touch()
    require_kept({"callbacks": {"Checkpoints": state, "other": {}}}, run)
    (run.checkpoints / "best.ckpt").unlink()
    with pytest.raises(UserError, match=r"best\.ckpt is missing"):
        require_kept({"callbacks": {"Checkpoints": state}}, run)
    early_stopping = {"best_score": torch.tensor(0.5), "wait_count": 0}  # which says nothing about files
    require_kept({"callbacks": {"EarlyStopping": early_stopping}}, run)
