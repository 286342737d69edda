"""scripts/runs.py: every run below a folder, finished or not, in one table."""

import json
import sys

import pytest
from rich.console import Console

from mla_train.commands import runs as script
from mla_train.report.runs import COLUMNS, State, find_runs, runs_table
from tests.helpers import example_results as results

CONFIG = "# python train.py lr=1\ntask: {name: translation}\ndata: {name: pairs}\nattention: {kind: mha}\n"


def write(folder, text, name="results.json"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text if isinstance(text, str) else json.dumps(text))


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "runs"
    write(root / "good", results())
    write(root / "deep" / "er" / "low", results("mae", "min", 0.5, {"naive": {"mae": 0.3}, "ridge": {"mae": 0.4}}))
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


def test_rows_show_score_baseline_and_cost(root):
    table = runs_table(list(find_runs(root)), root).sorted_by("difference")
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in table.rows]
    assert [row["run"].text for row in rows[:2]] == ["good", "deep/er/low"]
    good, low = rows[:2]
    assert (good["score"].text, good["baseline"].text, good["difference"].text) == (
        "0.9000",
        "linear 0.8000",
        "+0.1000",
    )
    assert (good["parameters"].text, good["seconds"].text, good["state"].text) == ("1,234", "12", "finished")
    # An error that is larger than the baseline's is bad.
    assert (low["baseline"].text, low["difference"].text) == ("naive 0.3000", "+0.2000")
    assert (good["difference"].tone.name, low["difference"].tone.name) == ("good", "bad")


def test_the_command_prints_and_writes_a_page(root, tmp_path, monkeypatch, capsys):
    page = tmp_path / "runs.html"
    monkeypatch.setattr(sys, "argv", ["runs.py", str(root), "--sort", "score", "--html", str(page)])
    script.main()
    output = capsys.readouterr()
    assert output.out.index("good") < output.out.index("deep/er/low") < output.out.index("python train.py lr=1")
    assert sorted(output.err.splitlines()) == [
        f"{root / name / 'results.json'} cannot be read" for name in ("broken", "old")
    ]
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
