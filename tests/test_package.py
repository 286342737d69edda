"""The wheel: library, tasks and choices; the console command trains and predicts from any folder."""

import json
import os
import subprocess
import sys
import zipfile

import pytest

from tests.helpers import ROOT, write_reviews


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_all_that_the_checkout_reads(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(
        ["git", "ls-files", "mla_train", "tasks", "conf"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    expected = {f"mla_train/{file}" if file.startswith("conf/") else file for file in listed if (ROOT / file).exists()}
    assert expected <= names
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]


@pytest.mark.slow
def test_an_installed_wheel_trains_and_predicts_in_an_empty_folder(wheel, tmp_path):
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(installed)]
    subprocess.run([*pip, str(wheel)], check=True, capture_output=True)

    def mla_train(*words):
        environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(installed / "bin" / "mla-train"), *words]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=300)

    assert "  predict " in mla_train().stdout
    assert "Did you mean train?" in mla_train("trian").stderr
    write_reviews(work / "x.csv", 30)
    options = ["task=text_classification", "data=text_files", "data.train=x.csv", "epochs=1", "encoder.dim=16"]
    trained = mla_train("train", *options, "run_dir=runs/mine")
    assert trained.returncode == 0, trained.stderr
    results = json.loads((work / "runs" / "mine" / "results.json").read_text())
    assert results["environment"]["command"].startswith("mla-train train task=text_classification")
    answer = mla_train("predict", "--run", "runs/mine", "--text", "a fine film")
    assert json.loads(answer.stdout)["prediction"] in ("bad", "good", "0", "1")
    assert mla_train("train", *options, "run_dir=runs/mine").stderr.count("resume=auto") == 1
