"""The command that draws: files that are named, and mistakes that are answered in a line."""

import json
import shutil
import sys

import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.helpers import ROOT, SMALL, loaded_by, python, train


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("attention")
    train("run_dir=run", "debug=fast", *SMALL, cwd=folder)
    return folder / "run"


def attention(*words, cwd, check=True):
    return python("scripts/attention.py", *map(str, words), cwd=cwd, check=check)


@pytest.mark.slow
def test_maps_statistics_and_attributions_of_a_picture(run, tmp_path):
    Image.fromarray(load_digits().images[0].astype("uint8") * 15).save(tmp_path / "digit.png")
    words = ("--input", "digit.png", "--method", "attention", "occlusion", "--layer", "1", "--out", "seen")
    done = attention("--run", run, *words, cwd=tmp_path)
    files = [tmp_path / line for line in done.stdout.splitlines()[1:]]
    assert [file.name for file in files] == [
        "image_over_image_layer1.png", "heads.png", "heads.json", "attribution.png", "attribution.json"
    ]  # fmt: skip
    assert {file.parent.name for file in files} == {"seen"}
    for file in files:
        assert Image.open(file).width > 300 if file.suffix == ".png" else json.loads(file.read_text())
    (layers,) = json.loads((tmp_path / "seen" / "heads.json").read_text()).values()
    assert [len(layer["entropy"]) for layer in layers] == [2, 2]
    content = json.loads((tmp_path / "seen" / "attribution.json").read_text())
    assert len(content["units"]) == len(content["occlusion"]) == 16


@pytest.mark.parametrize(
    ("method", "kept", "folder", "is_said"),
    [
        ("attention", True, ".", True),
        ("attention", True, "model", True),
        ("attention", False, ".", False),
        ("occlusion", True, ".", False),
    ],
)
def test_maps_of_a_run_that_kept_its_start_explain_nothing(
    method, kept, folder, is_said, run, tmp_path, monkeypatch, capsys
):
    shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    file = tmp_path / "run" / "results.json"
    results = json.loads(file.read_text())
    file.write_text(json.dumps(results | {"start": {"kept": kept, "name": "linear"}}))
    words = [
        "--run",
        str(tmp_path / "run" / folder),
        "--index",
        "0",
        "--method",
        method,
        "--out",
        str(tmp_path / "out"),
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["attention.py", *words])
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import attention as script

    script.main()
    said = capsys.readouterr()
    assert ("The start (linear) is the model: attention maps are of an encoder" in said.err) == is_said
    assert all((tmp_path / line).is_file() for line in said.out.splitlines()[1:])  # files alone, after the prediction


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--index", "3", "--run", "nowhere"], "nowhere holds no finished model"),
        ([], "--input, or --index"),
        (["--index", "9999"], "the test split has examples 0 to"),
        (["--index", "0", "--layer", "7"], "there are layers 1 to 2"),
        (["--index", "0", "--method", "shapp"], "Did you mean shap?"),
        (["--input", "nowhere.png"], "nowhere.png"),
        (["--index", "0", "--out", "file"], "file"),
    ],
)
def test_mistakes_are_answered_in_a_line(words, message, run, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["attention.py", "--run", str(run), *words])
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import attention as script

    with pytest.raises(SystemExit) as stopped:
        script.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert said.startswith("error: ")
    assert message in said
    assert said.count("\n") == 1


def test_nothing_is_imported_before_it_is_asked_for():
    modules = "mla_train.explain.attribution, mla_train.explain.attribution_figures"
    assert loaded_by(modules, ["captum", "shap", "lime", "numba"]) == []
