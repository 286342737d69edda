"""report.html of a run: one file, escaped, whatever the data holds; a report that fails does not lose the run."""

import json
import shutil

import pytest

from mla_train.errors import UserError
from mla_train.report import run_report
from mla_train.report.run_report import MISTAKES, figures, report_run, write_report
from tests.helpers import check_report, run_here, write_jsonl

CLASS, TEXT = "<script>alert(1)</script>", '<img src=x onerror="alert(2)">'


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose labels tell nothing, and whose texts and class would be markup."""
    folder = tmp_path_factory.mktemp("report")
    rows = [{"text": f"{TEXT} number {i}", "label": (CLASS, "safe")[i // 2 % 2]} for i in range(160)]
    words = ["task=text_classification", "data=text_files", f"data.train={write_jsonl(folder / 'a.jsonl', rows)}"]
    run_here(folder / "run", *words, "epochs=1", report=report_run)
    return folder / "run"


def test_everything_is_escaped(run):
    text = check_report(run, "&lt;script&gt;alert(1)&lt;/script&gt;", "Worst mistakes", "&lt;img src=x onerror=")
    assert CLASS not in text
    assert "<img src=x" not in text
    assert text.count("<script>") == 1  # the sorting of tables
    assert text.count("&lt;img src=x") >= min(10, MISTAKES)


def test_a_finished_run_is_reported_again_from_its_files_alone(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("checkpoints", "report.html"))
    assert write_report(copy) == copy / "report.html"
    assert (copy / "report.html").read_text() == (run / "report.html").read_text()
    results = json.loads((copy / "results.json").read_text())
    later = ("val_intervals", "comparison", "start", "epochs", "baseline_choices")
    for name in ("intervals", "notes", "units", "units_note", *later):  # a run of an earlier version
        results.pop(name)
    (copy / "results.json").write_text(json.dumps(results))
    assert "95 % interval" not in write_report(copy).read_text()
    (copy / "results.json").unlink()
    with pytest.raises(UserError, match="resume="):
        write_report(copy)


@pytest.mark.parametrize("kept", [True, False])
def test_a_run_that_kept_its_start_says_what_its_attention_is_worth(kept, run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("checkpoints", "report.html"))
    results = json.loads((copy / "results.json").read_text())
    start = {"kept": kept, "name": "<b>", "gain": 0.01, "standard_error": 0.02}
    (copy / "results.json").write_text(json.dumps(results | {"start": start}))
    page = write_report(copy).read_text()
    under = page[page.index('<p class="lead">') : page.index("<table")]
    sentence = "training did not better it on val by more than one standard error (+0.0100 +- 0.0200; task.start=none"
    assert (f"<p>The start (&lt;b&gt;) is the model: {sentence} trains without it).</p>" in under) == kept
    note = "whose part in the answer is zero, so they explain nothing of it.</p>"
    assert page.count(note) == kept
    if kept:
        assert page.index("<h2>Attention of test examples") < page.index(note) < page.index("Test example ")


def test_intervals_and_notes_are_in_the_results(run):
    results = json.loads((run / "results.json").read_text())
    for name, (low, high) in results["intervals"].items():
        assert low <= results["metrics"]["test"][name] <= high
    assert any("no val split is given: cut" in note for note in results["notes"])


def test_a_report_that_fails_is_told_in_a_line(run, tmp_path, monkeypatch, capsys, caplog):
    def fail(*_):
        raise ValueError("no room")

    monkeypatch.setattr(run_report, "draw_examples", fail)
    monkeypatch.setattr(run_report, "write_report", fail)
    folder = type("Folder", (), {"path": run})
    report_run(type("Run", (), {"folder": folder, "config": None, "checks": []}))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all("not complete: report.html (ValueError: no room)" in line and "log.txt" in line for line in lines)
    assert "no room" in caplog.text


def test_figures_beyond_the_size_of_a_page_are_left_out(tmp_path):
    for name, size in {"curves": 10, "confusion": 1_500_000, "own_figure": 800_000, "scatter": 20}.items():
        (tmp_path / f"{name}.png").write_bytes(b"x" * size)
    (tmp_path / "attention").mkdir()
    for index in (10, 9):
        (tmp_path / "attention" / f"{index}_text_over_text.png").write_bytes(b"x")
    sections = figures(tmp_path)
    assert [file.stem for files in sections.values() for file, _ in files][:3] == ["curves", "confusion", "scatter"]
    captions = [caption for _, caption in sections.popitem()[1]]
    assert captions == ["Test example 9: text over text", "Test example 10: text over text"]
