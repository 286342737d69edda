"""Stored configs are data: they name no code of strangers, and nothing in them is resolved."""

import json
import shutil
import sys

import pytest

import mla_train
from mla_train.commands import train as train_command
from mla_train.config import stored
from mla_train.config.stored import check_targets, read_stored, trust
from mla_train.errors import UserError
from tests.helpers import run_here, write_reviews

CANARY = "from pathlib import Path\n\nPath(__file__).with_name('ran').touch()\n"
CODE = """
from dataclasses import dataclass

from tasks.text_classification.config import TextClassificationConfig
from tasks.text_classification.task import TextClassification


@dataclass
class HelperConfig(TextClassificationConfig):
    _target_: str = "helper.Task"


class Task(TextClassification):
    pass
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    write_reviews(folder / "reviews.csv")
    data = ("data=text_files", f"data.train={folder / 'reviews.csv'}")
    run_here(folder / "run", "task=text_classification", *data, "debug=fast", "baselines=none")
    return folder / "run"


@pytest.fixture
def forged(finished, tmp_path, monkeypatch):
    """The run of a stranger, with code beside it, in the folder that Python is started in."""
    shutil.copytree(finished, tmp_path / "run")
    for module in ("helper", "tasks"):
        (tmp_path / module).mkdir()
        (tmp_path / module / "__init__.py").write_text(CANARY + CODE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(stored, "_folders", list(stored._folders))
    yield tmp_path
    sys.modules.pop("helper", None)


def change(run, node, **values):
    """Changes options of a node in both configs of a run."""
    file = run / "model" / "config.json"
    config = json.loads(file.read_text())
    config[node] |= values
    file.write_text(json.dumps(config))
    (run / "config.yaml").write_text(json.dumps(config))  # which is YAML, too
    (run / "model" / "SHA256SUMS").unlink(missing_ok=True)  # as whoever forges a model does


@pytest.mark.parametrize(
    ("node", "values"),
    [
        ("task", {"_target_": "helper.Task"}),
        ("data", {"_target_": "helper.read"}),
        ("trainer", {"callbacks": [{"_target_": "helper.Task"}]}),
        ("data", {"_target_": ".helper"}),
        ("task", {"_target_": ""}),
        ("task", {"_target_": "os.system"}),
    ],
)
def test_the_code_of_a_stranger_is_not_imported(forged, node, values):
    change(forged / "run", node, **values)
    with pytest.raises(UserError, match=rf"{node}\..*(--config-dir|names code)"):
        mla_train.load(forged / "run")
    assert "helper" not in sys.modules
    assert not list(forged.glob("*/ran"))


def test_a_run_that_is_resumed_names_no_code_either(forged, monkeypatch, capsys):
    change(forged / "run", "trainer", callbacks=[{"_target_": "helper.Task"}])
    (forged / "run" / "results.json").unlink()
    monkeypatch.setattr(sys, "argv", ["train.py", "resume=run"])
    with pytest.raises(SystemExit):
        train_command.main()
    assert "run_dir=... resume=auto" in capsys.readouterr().err
    assert not list(forged.glob("*/ran"))


def test_code_of_a_folder_that_the_user_trusts_is_imported(forged, capsys):
    change(forged / "run", "task", _target_="helper.Task")
    (forged / "mine").mkdir()
    shutil.move(forged / "helper", forged / "mine" / "helper")
    with pytest.raises(UserError, match="trust=FOLDER"):
        mla_train.load(forged / "run")
    assert type(mla_train.load(forged / "run", trust=forged / "mine").task).__module__ == "helper"
    assert f"note: the code in {forged / 'mine'} runs: helper/__init__.py" in capsys.readouterr().err
    with pytest.raises(UserError, match="nowhere: there is no such folder"):
        mla_train.load(forged / "run", trust="nowhere")


def test_another_folder_of_the_name_of_the_project_is_not_the_project(forged, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tasks"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"task\._target_=tasks"):
        mla_train.load(forged / "run")


def test_interpolations_are_refused_and_their_values_not_shown(forged, monkeypatch):
    monkeypatch.setenv("SECRET", "canary-17")
    change(forged / "run", "data", name="${oc.env:SECRET}")
    for read in (lambda: mla_train.load(forged / "run"), lambda: read_stored(forged / "run" / "config.yaml")):
        with pytest.raises(UserError, match=r"data\.name .*interpolation") as caught:
            read()
        assert "canary-17" not in str(caught.value)
        assert "oc.env" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: !!python/object/apply:os.getcwd []", "constructor"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "alias"),
        ("a: &a\n  b: *a", "alias"),
        ("- a", "no options"),
        ("", "no options"),
        ("a: [", "cannot be read"),
        ("a: \x00", "cannot be read"),
        ("[" * 3000, "cannot be read"),
        ("a: '" + "x" * stored.LARGEST + "'", "larger"),
    ],
)
def test_a_config_is_only_values(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=said):
        read_stored(tmp_path / "config.yaml")


def test_a_module_must_lie_in_a_trusted_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "_folders", list(stored._folders))
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "loose").mkdir()  # without __init__.py
    trust(tmp_path)
    check_targets({"task": {"_target_": "loose.module.Task"}}, tmp_path)
    for name in ("sys.x", "json.x", "__main__.x", "nowhere.x", "."):
        with pytest.raises(UserError, match="names code"):
            check_targets({"task": {"_target_": name}}, tmp_path)
