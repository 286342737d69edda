"""scripts/runs.py: every run below a folder, finished or not, in one table."""

import json
import os
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mla_train.commands import runs as script
from mla_train.report.runs import COLUMNS, State, find_runs, runs_table
from tests.helpers import example_results as results

CONFIG = "# python train.py lr=1\ntask: {name: translation}\ndata: {name: pairs}\nattention: {kind: mha}\n"


def write(folder, text, name="results.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))


def compared(baseline, metric, difference):
    ends = {"low": difference - 0.01, "high": difference + 0.01}
    return {"comparison": {"baseline": baseline, "metric": metric, "difference": difference, **ends}}


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    write(root / "good", results() | compared("linear", "accuracy", 0.1))
    low = results("mae", "min", 0.5, {"naive": {"mae": 0.3}, "ridge": {"mae": 0.4}})
    write(root / "deep" / "er" / "low", low | compared("naive", "mae", 0.2))
    write(root / "good", "<html>", "report.html")
    write(root / "alone", results(baselines={}))
    write(root / "cut", CONFIG, "config.yaml")
    write(root / "cut", "2026-01-01 10:00:00,123 INFO mla_train: command: x\n", "log.txt")
    write(root / "lost", CONFIG, "config.yaml")
    log = "2026-01-01 10:00:00,123 INFO mla_train: command: x\n2026-01-01 10:00:09,1 ERROR mla_train: the loss\n more\n"
    write(root / "lost", log, "log.txt")
    write(root / "broken", '{"task": ')
    write(root / "old", {"task": "x"})
    write(root / "other", "a: 1\n", "config.yaml")
    write(root / "good" / "wandb" / "files", CONFIG, "config.yaml")  # inside a run
    return root


def test_all_runs_are_found_with_their_states(root):
    runs = {run.folder.name: run for run in find_runs(root)}
    states = {name: run.state for name, run in runs.items()}
    assert states == {
        "good": State.finished,
        "low": State.finished,
        "alone": State.finished,
        "cut": State.unfinished,
        "lost": State.failed,
        "broken": State.unreadable,
        "old": State.unreadable,
    }
    assert (runs["cut"].task, runs["cut"].data, runs["cut"].attention) == ("translation", "pairs", "mha")
    assert runs["cut"].command == "python train.py lr=1"


def put(name, content):
    """A damage: a file with other content."""

    def damage(folder):
        file = folder / name
        file.parent.mkdir(exist_ok=True)
        file.unlink(missing_ok=True)
        file.write_bytes(content)

    return damage


def results_with(**values):
    return json.dumps(results() | values).encode()


def sparse(file):
    with file.open("w") as stream:
        stream.truncate(3 << 30)


BINARY = bytes(range(128, 256)) * 20
DAMAGED_RESULTS = {
    "truncated": put("results.json", json.dumps(results()).encode()[:200]),
    "empty": put("results.json", b""),
    "no keys": put("results.json", b"{}"),
    "a list": put("results.json", b"[]"),
    "null": put("results.json", b"null"),
    "binary": put("results.json", BINARY),
    "deep": put("results.json", b"[" * 100_000),
    "without end": lambda folder: (folder / "results.json").symlink_to("/dev/zero"),
    "of gigabytes": lambda folder: sparse(folder / "results.json"),
    "metrics a list": put("results.json", results_with(metrics=[])),
    "numbers as texts": put("results.json", results_with(model={"parameters": "many"})),
    "task a mapping": put("results.json", results_with(task={"name": "x"})),
    "seconds null": put("results.json", results_with(speed=None)),
    "a score of text": put("results.json", results_with(metrics={"test": {"accuracy": "high"}})),
    "a dangling link": lambda folder: (folder / "results.json").symlink_to("nowhere"),
    "a pipe": lambda folder: os.mkfifo(folder / "results.json"),
    "a folder": lambda folder: (folder / "results.json").mkdir(),
}
DAMAGED_CONFIGS = {
    "a list": put("config.yaml", b"[1, 2]"),
    "a text": put("config.yaml", b"text"),
    "binary": put("config.yaml", BINARY),
    "no yaml": put("config.yaml", b"a: [1\nb: }"),
    "other keys": put("config.yaml", b"task: 1"),
    "empty": put("config.yaml", b""),
    "missing": lambda folder: (folder / "config.yaml").unlink(),
    "a dangling link": lambda folder: (
        (folder / "config.yaml").unlink(),
        (folder / "config.yaml").symlink_to("nowhere"),
    ),
}


def test_a_damaged_run_is_one_line_and_the_list_goes_on(root, monkeypatch, capsys, tmp_path):
    damaged = {f"results {name}": each for name, each in DAMAGED_RESULTS.items()}
    damaged |= {f"config {name}": each for name, each in DAMAGED_CONFIGS.items()}
    for name, damage in damaged.items():
        write(root / name, CONFIG, "config.yaml")
        write(root / name, "step\n", "metrics.csv")
        (root / name / "checkpoints").mkdir()
        damage(root / name)
    states = {run.folder.name: run.state for run in find_runs(root)}
    assert {name: states.get(name) for name in damaged} == dict.fromkeys(damaged, State.unreadable)
    assert (states["good"], states["low"], states["lost"]) == (State.finished, State.finished, State.failed)
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root), "--html", str(tmp_path / "runs.html")])
    script.main()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(damaged) + 2
    assert all(" cannot be read: " in line and not line.endswith(": ") for line in lines)


@pytest.mark.parametrize(
    "damage",
    [
        put("metrics.csv", BINARY), put("log.txt", BINARY), put("checkpoints/best.ckpt", b""),
        put("predictions.jsonl", b"{"), lambda folder: (folder / "figures").symlink_to("nowhere"),
    ],
)  # fmt: skip
def test_damage_of_files_that_the_list_does_not_need_is_none_of_its_business(damage, root):
    damage(root / "good")
    assert {run.folder.name: run.state for run in find_runs(root)}["good"] is State.finished


def test_a_folder_that_may_not_be_read_is_one_line(root, monkeypatch):
    scan = os.scandir

    def closed(path):
        if Path(path).name == "deep":
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    runs = {run.folder.name: run for run in find_runs(root)}
    assert runs["deep"].problem == f"{root / 'deep'} cannot be read: Permission denied"
    assert runs["good"].state is State.finished


def test_a_name_that_is_no_text_is_shown(root, monkeypatch, capsys, tmp_path):
    folder = os.fsdecode(os.fsencode(root) + b"/\xff")
    write(Path(folder), results())
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root), "--html", str(tmp_path / "runs.html")])
    script.main()
    assert "\\udcff" in capsys.readouterr().out


def test_rows_show_score_baseline_and_cost(root):
    table = runs_table(list(find_runs(root)), root).sorted_by("difference")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table.rows]
    assert [row["run"].text for row in rows[:2]] == ["good", "deep/er/low"]
    good, low = rows[:2]
    assert (good["score"].text, good["baseline"].text, good["difference"].text) == (
        "0.9000",
        "linear 0.8000",
        "+0.1000 (+0.0900 to +0.1100)",
    )
    assert (good["parameters"].text, good["seconds"].text, good["state"].text) == ("1,234", "12", "finished")
    # An error that is larger than the baseline's is bad.
    assert (low["baseline"].text, low["difference"].text) == ("naive 0.3000", "+0.2000 (+0.1900 to +0.2100)")
    assert (good["difference"].tone.name, low["difference"].tone.name) == ("good", "bad")


def test_the_command_prints_and_writes_a_page(root, tmp_path, monkeypatch, capsys):
    page = tmp_path / "runs.html"
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root), "--sort", "score", "--html", str(page)])
    script.main()
    output = capsys.readouterr()
    assert output.out.index("good") < output.out.index("deep/er/low") < output.out.index("python train.py lr=1")
    broken, old = sorted(output.err.splitlines())
    assert broken.startswith(f"{root / 'broken' / 'results.json'} cannot be read: ")
    assert old == f"{root / 'old' / 'results.json'} cannot be read: it has no data"
    text = page.read_text()
    assert "3 finished, 1 unfinished, 1 failed, 2 unreadable." in text
    assert "python train.py epochs=1" in text
    assert '<a href="runs/good/report.html">good</a>' in text
    assert '<a href="runs/deep/er/low">deep/er/low</a>' in text  # without a report


def test_a_narrow_terminal_keeps_the_metric_beside_the_score(root, monkeypatch, capsys):
    monkeypatch.setattr(script, "terminal", lambda: Console(width=80))
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root)])
    script.main()
    shown, hidden = capsys.readouterr().out.split("Hidden columns:")
    assert all(name in shown for name in ("metric", "score", "difference", "state"))
    assert "metric" not in hidden


def test_runs_of_one_task(root, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root), "--task", "translation"])
    script.main()
    output = capsys.readouterr().out
    assert "cut" in output
    assert "good" not in output


@pytest.mark.parametrize("words", [["nowhere"], ["--task", "poetry"]])
def test_nothing_to_show_is_an_error(words, root, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["runs.py", *([str(root)] if words[0] == "--task" else []), *words])
    with pytest.raises(SystemExit) as stopped:
        script.main()
    assert str(stopped.value.code).startswith("error: ")
