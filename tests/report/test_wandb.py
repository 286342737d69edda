"""What is logged to W&B, read back from the files of offline runs."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import mla_train
from mla_train.commands.train import main
from mla_train.report.wandb import TABLE_ROWS, WandbTracker, flat, run_id, run_name, spread
from mla_train.training.checkpoints import Checkpoints
from mla_train.training.run import model_weights, run
from mla_train.training.run_folder import find_run
from scripts import wandb_workspace
from tests.helpers import SMALL, config, stop_in_epoch
from tests.wandb_files import runs

BOTH = ["logger=[wandb,tensorboard]", "logger.wandb.mode=offline"]


def go(folder, *words):
    settings = config(*SMALL, "epochs=3", f"run_dir={folder}", *words)
    return run(settings, find_run(settings), WandbTracker())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with all loggers and an auxiliary loss, in the folder of a group."""
    folder = tmp_path_factory.mktemp("study") / "variant" / "0"
    study = folder.parent.parent.name
    words = ["regularization=[light,diverse_heads]", f"logger.wandb.group={study}", "logger.wandb.tags=[mine]"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", "api_key=canary-5f1e"])
        go(folder, *BOTH, *words, "logger.wandb.job_type=compare", "encoder.depth=3")
    return folder


@pytest.fixture(scope="module")
def logged(folder):
    (run,) = runs(folder)
    return run


def test_no_secret_of_the_command_is_logged(folder):
    assert not [file for file in folder.rglob("*") if file.is_file() and b"canary-5f1e" in file.read_bytes()]


def rows(folder):
    with (folder / "metrics.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_all_loggers_have_the_same_scalars(folder, logged):
    table = {
        (name, int(row["step"])): float(value)
        for row in rows(folder)
        for name, value in row.items()
        if value and "/" in name
    }
    assert logged.scalars() == pytest.approx(table, rel=1e-12)
    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    board = {
        (name, event.step): event.value
        for name in events.Tags()["scalars"]
        if "/" in name
        for event in events.Scalars(name)
    }
    assert board == pytest.approx(table, rel=1e-5)
    assert {name.partition("/")[0] for name, _ in table} == {
        "train", "val", "test", "speed", "attention", "regularization",
    }  # fmt: skip
    assert {name for name, _ in table if name.startswith("attention/")} == {
        f"attention/{kind}_{layer}" for kind in ("entropy", "redundancy", "effective_rank") for layer in (1, 2, 3)
    }
    assert {"regularization/diverse_heads", "val/diverse_heads"} <= {name for name, _ in table}


def test_the_summary_has_the_best_of_validation_and_the_last_of_the_rest(folder, logged):
    results = json.loads((folder / "results.json").read_text())
    curves = {name: [float(row[name]) for row in rows(folder) if row[name]] for name in rows(folder)[0]}
    assert logged.summary["val/accuracy"] == {"max": max(curves["val/accuracy"])}
    assert logged.summary["val/accuracy"]["max"] == results["monitor"]["best"]
    assert logged.summary["val/loss"] == {"min": min(curves["val/loss"])}
    assert logged.summary["test/accuracy"] == results["metrics"]["test"]["accuracy"]
    assert logged.summary["train/loss"] == curves["train/loss"][-1]
    assert logged.summary["baselines"] == results["baselines"]
    assert logged.summary["monitor"]["epoch"] == results["monitor"]["epoch"]
    defined = {metric.name: metric for metric in logged.kinds["metric"]}
    assert defined["val/accuracy"].summary.max
    assert not defined["val/accuracy"].summary.min
    assert defined["val/accuracy"].step_metric == "trainer/global_step"


def test_the_run_has_its_names_tags_and_config(folder, logged):
    (about,) = logged.kinds["run"]
    assert about.run_id == (folder / "wandb" / "run_id").read_text()
    assert (about.project, about.job_type) == ("mla-train", "compare")
    assert about.run_group == folder.parent.parent.name
    assert about.display_name == "variant/0"
    assert set(about.tags) == {"image_classification", "digits", "mla", "mine"}
    assert logged.config["encoder"]["depth"] == 3
    assert logged.config["lr"] == config().lr
    assert [end.exit_code for end in logged.kinds["exit"]] == [0]


def test_figures_and_attention_maps_are_logged(folder, logged):
    (row,) = (row for row in logged.history if "samples" in row)
    keys = {name for name, value in row.items() if isinstance(value, dict)}
    figures = {f"figures/{file.stem}" for file in (folder / "figures").glob("*.png")}
    assert "figures/confusion" in figures
    maps = {"attention_maps/image_over_image_layer3", "attention_maps/heads"}
    assert keys == {"samples", "mistakes", *figures, *maps}
    (files,) = folder.glob("wandb/offline-run-*/files")
    for name in figures:
        with Image.open(files / row[name]["path"]) as image:
            assert image.size == (row[name]["width"], row[name]["height"])
    for name in maps:
        assert row[name]["count"] == 4
        assert all((files / file).stat().st_size > 1000 for file in row[name]["filenames"])
    assert len(row["attention_maps/heads"]["captions"]) == 4


def test_tables_show_images_and_the_worst_mistakes_first(folder, logged):
    tables = {artifact.name.rpartition("-")[2]: artifact for artifact in logged.kinds["artifact"]}
    for name in ("samples", "mistakes"):
        files = {entry.path: Path(entry.local_path) for entry in tables[name].manifest.contents}
        assert all(file.is_relative_to(folder) for file in files.values())  # nothing waits in the home directory
        table = json.loads(files[f"{name}.table.json"].read_text())
        assert table["columns"] == ["image", "index", "label", "prediction", "probability", "error"]
        assert 1 < len(table["data"]) <= TABLE_ROWS
        with Image.open(files[table["data"][0][0]["path"]]) as image:
            assert image.size == (8, 8)
        if name == "mistakes":
            assert all(row[2] != row[3] for row in table["data"])
            errors = [row[-1] for row in table["data"]]
            assert errors == sorted(errors, reverse=True)


def test_the_best_and_the_last_model_are_versions_that_load(folder, logged, tmp_path):
    versions = [artifact for artifact in logged.kinds["artifact"] if artifact.type == "model"]
    assert [set(version.aliases) for version in versions] == [{"last", "latest"}, {"best", "latest"}]
    assert len({version.name for version in versions}) == 1
    for version, name in zip(versions, ("last", "best"), strict=True):
        for entry in version.manifest.contents:  # as a download lays them out
            (tmp_path / name / entry.path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(entry.local_path, tmp_path / name / entry.path)
        network = mla_train.load(tmp_path / name).network
        weights = model_weights(folder / "checkpoints" / f"{name}.ckpt")
        for key, value in network.state_dict().items():
            torch.testing.assert_close(value, weights[key])


def test_a_resumed_run_goes_on_under_its_id(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setenv("WANDB_API_KEY", "")
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_start", stop_in_epoch(1))
        with pytest.raises(RuntimeError, match="interrupted"):
            go(tmp_path / "run", *BOTH, "debug.overfit=64")
    go(tmp_path / "run", *BOTH, "debug.overfit=64", "resume=auto")
    first, second = runs(tmp_path / "run")
    assert first.kinds["run"][0].run_id == second.kinds["run"][0].run_id
    assert [part.kinds["exit"][0].exit_code for part in (first, second)] == [1, 0]
    steps = [{step for name, step in part.scalars() if name == "val/accuracy"} for part in (first, second)]
    assert steps == [{1}, {2, 3}]


def test_rows_become_columns():
    row = {"index": 1, "contribution": {"text": 0.5, "image": -0.5}}
    assert flat(row) == {"index": 1, "contribution.text": 0.5, "contribution.image": -0.5}
    assert spread(range(1000), 3) == [0, 499, 999]
    assert spread("ab", 100) == ["a", "b"]


def test_the_id_is_that_of_the_sweep_and_names_lead_from_the_group(tmp_path, monkeypatch):
    for name, sweep in (("mine", None), ("theirs", "s1")):
        (tmp_path / name).mkdir()
        monkeypatch.setenv("WANDB_RUN_ID", "chosen")
        monkeypatch.delenv("WANDB_SWEEP_ID", raising=False)
        if sweep:
            monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
        assert (run_id(tmp_path / name) == "chosen") == (sweep is not None)
    assert run_name(Path("runs/sweeps/s/trials/0003"), "s") == "trials/0003"
    assert run_name(Path("runs/mine"), None) == "mine"
    assert run_name(Path("runs/mine"), "mine") == "mine"


@pytest.mark.slow
def test_a_multirun_makes_separate_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    words = ["-m", *SMALL, "seed=0,1", "debug=fast", "logger=wandb", "run_dir=many"]
    monkeypatch.setattr(sys, "argv", ["train.py", *words])
    main()
    (first,), (second,) = (runs(tmp_path / "many" / str(number)) for number in range(2))
    assert first.kinds["run"][0].run_id != second.kinds["run"][0].run_id
    assert [run.config["seed"] for run in (first, second)] == [0, 1]
    assert all({"samples", "test/accuracy", "attention_maps/heads"} <= run.summary.keys() for run in (first, second))


def keys(value):
    """All texts in the definition of a panel."""
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from keys(item)
    elif isinstance(value, str):
        yield value


def workspace(monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["wandb_workspace.py", *map(str, words)])
    wandb_workspace.main()


def test_the_dashboard_shows_what_was_logged(folder, logged, monkeypatch, capsys):
    workspace(monkeypatch, "--run", folder, "--dry-run")
    view = json.loads(capsys.readouterr().out)
    assert (view["project"], view["displayName"]) == ("mla-train", "image_classification on digits")
    sections = {part["name"]: part["panels"] for part in view["spec"]["section"]["panelBankConfig"]["sections"]}
    assert list(sections) == ["overview", *wandb_workspace.GROUPS, "media"]
    curves = {name for name, _ in logged.scalars()}
    for group in ("train", "val", "speed", "attention", "regularization"):
        names = [name for panel in sections[group] for name in panel["config"]["metrics"]]
        assert sorted(names) == sorted(name for name in curves if name.startswith(f"{group}/"))
    tests = {name.removeprefix("summary_metrics.") for panel in sections["test"] for name in panel["config"]["metrics"]}
    assert tests == {name for name in logged.summary if name.startswith("test/")}
    assert {panel["viewType"] for panel in sections["overview"]} >= {"Parallel Coordinates Plot", "Run Comparer"}
    assert "summary:val/accuracy.max" in keys(sections["overview"])
    assert "max" in logged.summary["val/accuracy"]
    (row,) = (row for row in logged.history if "samples" in row)
    media = [name for panel in sections["media"] for name in panel["config"].get("mediaKeys", [])]
    assert {*media, "samples", "mistakes"} == {name for name, value in row.items() if isinstance(value, dict)}
    assert {"samples", "mistakes"} <= set(keys(sections["media"]))


def test_a_dashboard_that_cannot_be_sent_is_one_line(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for words, message in (
        (["--run", folder], "wandb login"),
        (["--run", tmp_path], "--run"),
    ):
        with pytest.raises(SystemExit) as stopped:
            workspace(monkeypatch, *words)
        assert message in str(stopped.value.code)
        assert "\n" not in str(stopped.value.code)
