"""Secrets of commands and of the environment stand in no file that a run, a sweep or a comparison leaves."""

import html
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest

from mla_train.commands import command_parser, sweep, train
from mla_train.config import stored
from mla_train.data.sampling import DataPosition
from mla_train.errors import UserError
from mla_train.masking import mask, mask_command, mask_options, mask_values
from mla_train.studies import compare
from mla_train.studies.launch import Running
from mla_train.studies.search_space import SweepOptions
from mla_train.studies.sweep import Goal, Sweep
from mla_train.studies.sweep_page import write_page, write_trials
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.run_folder import CHOSEN, RunFolder
from tests.helpers import SMALL
from tests.helpers import config as settings

CANARY = "canary-5f1e"
CALLBACK = """
import logging

from lightning import Callback


class Quiet(Callback):
    def __init__(self, api_key):
        logging.getLogger("mla_train").info("going to https://me:%s@host/", api_key)
"""


def files_with(folder, text):
    return [file for file in Path(folder).rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


@pytest.mark.parametrize(
    "text",
    [
        f"storage=postgresql://user:{CANARY}@host:5432/db",
        f"storage='postgresql+psycopg://user:p@{CANARY}/x@host/db'",
        f"https://{CANARY}@github.com/x",
        f"https://host/file?a=1&X-Amz-Signature={CANARY}&b=2",
        f"http://host/?access_token={CANARY}",
        f"https://host/#access_token={CANARY}",
        f"{Path(f'https://user:{CANARY}@host/x.csv')}: no such file",
        f"https://host/file?jwt={CANARY}",
        f"postgresql://user@server:{CANARY}@host/db",
        f"postgresql://user:{'A' * 900}{CANARY}@host/db",
        f"https://{'A' * 900}{CANARY}@host/x",
        f"https://user:123456/{CANARY}@host/x",
        f"mssql+pyodbc://host/?odbc_connect=UID%3Du%3BPWD%3D{CANARY}",
        f"postgresql://host/db?user=u&passwd={CANARY}",
        f"https://host/file?X-Amz-Credential={CANARY}&AWSAccessKeyId={CANARY}",
        f"postgresql://user:it's{CANARY}@host/db",
    ],
)
def test_addresses_are_masked(text):
    assert CANARY not in mask(text)
    assert "host" in mask(text) or "github.com" in mask(text)
    assert CANARY not in str(UserError(text))


@pytest.mark.parametrize(
    "text",
    [
        f"trainer.x={{api_key: {CANARY}}}",
        f"password='{CANARY}'",
        f'{{"password": "of two {CANARY}"}}',
        f"api_key: 'it''s {CANARY}'",
    ],
)
def test_named_options_are_masked(text):
    assert CANARY not in mask_options(text)
    assert CANARY not in mask_command(["train.py", text])


@pytest.mark.parametrize("sign", ["'", '"', "<", " ", "/"])
def test_a_password_with_odd_signs_is_masked(sign):
    address = f"postgresql://user:p{sign}{CANARY}@host/db"
    assert CANARY not in mask_command(["sweep.py", f"storage={address}"])
    assert mask_values({"path": [address]}) == {"path": ["postgresql://(hidden)@host/db"]}


def test_words_that_a_command_does_not_know_are_masked(capsys):
    with pytest.raises(SystemExit):
        command_parser("Predicts.").parse_args([f"data.test=https://user:{CANARY}@host/x.csv", f"api_key={CANARY}"])
    error = capsys.readouterr().err
    assert "unrecognized arguments: data.test=https://(hidden)@host/x.csv" in error
    assert CANARY not in error


@pytest.mark.parametrize("path", ["s3://bucket/a@2.csv", "https://host:8080/me@home.csv", "https://host/me@home.csv"])
def test_a_path_with_an_at_sign_stays(path):
    assert mask_values(path) == mask(path) == path


def test_the_value_of_a_word_is_masked_to_its_end():
    masked = mask_command(["train.py", f"trainer.password=of two, {CANARY}", "data.tokens=bpe", "a=b c"])
    assert masked == "train.py 'trainer.password=(hidden)' data.tokens=bpe 'a=b c'"


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:8000/a@b",
        "https://github.com/a/b",
        "data.tokens=bpe data.max_length=100",
        "me@host.org",
        '"cache_bytes_per_token": 1280, "password": 0.5',
        "sqlite:///study.db",
    ],
)
def test_other_texts_stay(text):
    assert mask(text) == text


def test_values_of_named_options_are_masked():
    config = {
        "a": [{"api_key": CANARY, "b": f"https://{CANARY}@host"}],
        "secret": {"f1": 0.5},
        "tokens": "bpe",
        "n": None,
    }
    masked = mask_values(config)
    assert masked["a"] == [{"api_key": "(hidden)", "b": "https://(hidden)@host"}]
    assert {**masked, "a": 0} == {**config, "a": 0}


def test_secrets_of_the_environment_are_masked(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", CANARY)
    monkeypatch.setenv("SHORT_KEY", "abc")
    assert mask(f"a {CANARY} abc") == "a (hidden) abc"
    for value in ("a<b>&'c'def", 'back\\slash"ü"'):
        monkeypatch.setenv("MY_SERVICE_TOKEN", value)
        assert value not in html.unescape(mask(html.escape(value)))
        assert json.loads(mask(json.dumps([value]))) == ["(hidden)"]


def test_a_run_leaves_no_secret(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(stored, "_folders", list(stored._folders))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "canary_callback.py").write_text(CALLBACK)
    monkeypatch.setenv("WANDB_API_KEY", f"{CANARY}-wandb")
    monkeypatch.setenv("MY_TOKEN", f"{CANARY}-environment")
    monkeypatch.delenv(CHOSEN, raising=False)
    words = ["--config-dir", "mine", *SMALL, "debug=fast", "baselines=none", "run_dir=run"]
    words += [
        "data.name=${oc.env:MY_TOKEN}",
        f"trainer.callbacks=[{{_target_: canary_callback.Quiet, api_key: {CANARY}}}]",
    ]
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    train.main()
    assert (tmp_path / "run" / "report.html").is_file()
    assert "going to https://(hidden)@host/" in (tmp_path / "run" / "log.txt").read_text()
    assert not files_with(tmp_path / "run", CANARY)
    os.environ.pop(CHOSEN, None)
    monkeypatch.setattr(sys, "argv", ["train.py", *words, "resume=auto"])
    capsys.readouterr()
    train.main()  # the masked config is that of the same command
    assert "is finished already" in capsys.readouterr().out


def test_a_checkpoint_has_no_secret_of_where_its_weights_are_from(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_TOKEN", CANARY)
    checkpoints = Checkpoints(
        RunFolder(tmp_path), settings(), DataPosition(), init={"from": f"runs/{CANARY}", "loaded": {}}
    )
    assert checkpoints.state_dict()["init"] == {"from": "runs/(hidden)", "loaded": {}}


def test_a_sweep_leaves_no_secret(tmp_path, capsys):
    address = f"postgresql://user:{CANARY}@127.0.0.1:1/db"
    command = sweep.read_command([*SMALL, "sweep=quick", f"storage={address}", f"run_dir={tmp_path / 's'}"])
    assert command.options.storage == address
    options = SweepOptions(storage=address)
    search = Sweep(
        options, command.space, {}, [f"trainer.x={{password: {CANARY}}}"], Goal("val/loss", "min"), tmp_path / "s"
    )
    with pytest.raises(UserError, match="storage=postgresql:") as caught:
        search.open()
    assert CANARY not in str(caught.value)
    options.storage = None
    study = search.open()
    study.add_trial(optuna.trial.create_trial(value=1.0))
    (tmp_path / "log").write_text(f"no {address}")
    error = Running(SimpleNamespace(exitcode=1), tmp_path / "log").last_line()
    (tmp_path / "log").unlink()
    failed = optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL, user_attrs={"error": error})
    study.add_trial(failed)
    write_trials(study, tmp_path / "s" / "trials.csv")
    write_page(study, "a sweep", tmp_path / "s", [command.resume])
    assert "no postgresql://(hidden)@127.0.0.1" in (tmp_path / "s" / "trials.csv").read_text()
    assert "storage=postgresql://(hidden)@127.0.0.1" in (tmp_path / "s" / "sweep.html").read_text()
    assert not files_with(tmp_path, CANARY)


def test_a_comparison_leaves_no_secret(tmp_path, monkeypatch):
    variant = SimpleNamespace(name="a", overrides=(f"data.root=https://me:{CANARY}@host/x",))
    checked = SimpleNamespace(variant=variant, config=SimpleNamespace(hardware=SimpleNamespace(threads=1)))
    plan = SimpleNamespace(run_dir=tmp_path / "c", n_jobs=1)
    monkeypatch.setattr(compare, "_run", lambda *_: None)
    for _ in range(2):  # the second time it is the same comparison
        compare.compare(plan, [checked], tmp_path, f"compare.py data.root=https://me:{CANARY}@host/x")
    assert "(hidden)@host" in (tmp_path / "c" / "comparison.yaml").read_text()
    assert not files_with(tmp_path, CANARY)
