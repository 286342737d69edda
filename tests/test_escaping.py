"""Names and texts of the data stay texts in figures, tables, pages, spreadsheets and on the terminal."""

import csv
import io
import json
import logging
import re
import sys
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from mla_train.commands import predict
from mla_train.errors import printable
from mla_train.escaping import markdown_cell, spreadsheet_cell
from mla_train.figures import save_figure
from mla_train.report.model_card import _data
from mla_train.report.run_report import report_run
from mla_train.report.tables import Cell, Table, Tone, as_rich, terminal
from mla_train.training import curves
from mla_train.training.results import show
from mla_train.training.run import log_file
from tests.helpers import ROOT, hourly_table, run_here, write_jsonl

ODD = ["cost $x_{$ and $\\frac$", "[/b] [red]", "\x1b[31mred\x07", "=HYPERLINK(1)", "<script>alert(1)</script>|"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose classes and texts are odd."""
    folder = tmp_path_factory.mktemp("odd")
    rows = [{"text": f"{name} number {i}", "label": name} for i in range(12) for name in ODD]
    file = write_jsonl(folder / "a.jsonl", rows)
    words = ["task=text_classification", "data=text_files", f"data.train={file}", "epochs=1", "baselines=quick"]
    run_here(folder / "run", *words, report=report_run)
    return folder / "run"


def test_the_log_steers_no_terminal(tmp_path):
    with log_file(tmp_path / "log.txt"):
        logging.getLogger("library").warning("no glyph for \x1b[31mred\x07\nnext line")
    log = (tmp_path / "log.txt").read_text()
    assert "no glyph for \\x1b[31mred\\x07\nnext line\n" in log


def test_a_run_with_odd_names_is_whole(run, capsys):
    assert {"confusion.png", "curves.png", "mistakes.md"} <= {file.name for file in (run / "figures").iterdir()}
    assert "not complete" not in (run / "log.txt").read_text()
    page = (run / "report.html").read_text()
    assert "alert(1)" in page
    assert "<script>alert" not in page
    assert "\x1b" not in page
    mistakes = (run / "figures" / "mistakes.md").read_text()
    assert "<script>" not in mistakes
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in mistakes.splitlines()}) == 1
    show(json.loads((run / "results.json").read_text()), run)
    assert "\x1b[31m" not in capsys.readouterr().out


def test_results_with_odd_names_are_shown(run, capsys):
    results = json.loads((run / "results.json").read_text())
    odd = "[/b] \x1b[31m $a$"
    results |= {
        "task": odd,
        "data": odd,
        "attention": odd,
        "units_note": odd,
        "baselines": {odd: results["metrics"]["test"]},
    }
    results["threshold"] = {"class": odd, "probability": 0.5}
    results["details"]["never_predicted"] = []
    show(results, run)
    shown = capsys.readouterr().out
    assert shown.count("[/b] \\x1b[31m $a$") >= 3
    assert "\x1b[31m" not in shown


def test_signs_that_turn_the_order_of_letters_are_written_out():
    assert printable("a\u202eb\u2066c\u2069\u200f\u2028") == "a\\u202eb\\u2066c\\u2069\u200f\\u2028"


def test_a_model_card_shows_the_name_of_the_data_as_it_is():
    artifact = SimpleNamespace(config=SimpleNamespace(data=SimpleNamespace(name="\x1b[31m`a`\u202e\n# b")))
    text = _data(artifact, {"environment": {"command": "train.py \x07\n```"}})
    assert "`\\x1b[31m a \\u202e # b`" in text
    assert "train.py \\x07 ```" in text


def test_tables_on_the_terminal_show_signs_as_they_are(capsys):
    table = Table(ODD, [[Cell(name, tone=tone) for name in ODD] for tone in Tone])
    terminal().print(as_rich(table))
    shown = capsys.readouterr().out
    assert shown.count("[/b] [red]") == 4
    assert shown.count("\\x1b[31mred\\x07") == 4
    assert "\x1b" not in shown


def test_figures_draw_signs_as_they_are():
    for odd in (*ODD, "$", "\\$a$b$", "\ud800", "a\x00b"):
        figure = Figure()
        axes = figure.subplots()
        axes.set(title=odd, xlabel=odd)
        axes.set_xticks([0, 1], [odd.replace("\ud800", "")] * 2)
        axes.plot([0, 1], [0, 1], label=odd)
        axes.barh([printable(odd), "b"], [1, 2])
        axes.legend()
        save_figure(figure, io.BytesIO(), 40)


def test_all_figures_are_saved_by_one_function():
    files = [file for folder in ("mla_train", "tasks", "scripts") for file in (ROOT / folder).rglob("*.py")]
    assert [file.name for file in files if ".savefig(" in file.read_text()] == ["figures.py"]
    assert not [
        file
        for file in (ROOT / "mla_train").rglob("*.html")
        if re.search(r"\|\s*safe", file.read_text()) and file.name != "base.html"
    ]


def test_a_figure_that_fails_costs_a_note(tmp_path, monkeypatch, capsys):
    def fail(*_):
        assert (tmp_path / "run" / "results.json").is_file()
        raise ValueError("no font \x1b[31m")

    monkeypatch.setattr(curves, "draw_curves", fail)
    results = run_here(tmp_path / "run", "debug=fast", "baselines=none", figures=True)
    assert results["metrics"]["test"]
    assert (tmp_path / "run" / "figures" / "confusion.png").is_file()
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "not complete: curves.png" in line)
    assert "ValueError: no font \\x1b[31m" in line
    assert "log.txt" in line
    assert "no font" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.parametrize("value", ["=1+1", "@SUM(1)", "-2+3+cmd|' /C calc'!A0", "+a", "- item", "\t=1", "--1"])
def test_formulas_are_texts(value):
    assert spreadsheet_cell(value) == f"'{value}"


@pytest.mark.parametrize(
    "value", ["-5", "+1.5e-3", "-1,234.5", "-1 000", "-3 %".replace(" ", ""), "-", "a=b", "", -5, -1.5, None, "-inf"]
)
def test_numbers_and_other_texts_stay(value):
    assert spreadsheet_cell(value) == value


def test_markdown_cells_are_one_cell():
    assert markdown_cell("a|b\n<b>\x1b") == "a\\|b &lt;b>\\\\x1b"


def test_predictions_are_safe_in_a_spreadsheet_and_on_a_terminal(run, tmp_path, monkeypatch, capsys):
    source = tmp_path / "in.csv"
    with source.open("w", newline="") as stream:
        csv.writer(stream).writerows([["text", "=id", "n"], ["=1+1 number", "@x", "-5"], ["\x1b[31mred", "y", "1"]])
    words = ["predict.py", "--run", str(run), "--input", str(source), "--column", "text=text"]
    monkeypatch.setattr(sys, "argv", [*words, "--output", str(tmp_path / "out.csv")])
    predict.main()
    with (tmp_path / "out.csv").open(newline="") as stream:
        header, first, _ = csv.reader(stream)
    assert header[:3] == ["text", "'=id", "n"]
    assert first[:3] == ["'=1+1 number", "'@x", "-5"]
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    predict.main()
    assert "\x1b[31m" not in capsys.readouterr().out


def test_a_series_with_odd_names_is_forecast_and_drawn(tmp_path):
    frame = hourly_table().rename(columns={"load": ODD[0]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    words = ["task=forecasting", "data=series_csv", f"data.path={tmp_path / 'a.csv'}", "baselines=none", "debug=fast"]
    run_here(tmp_path / "run", *words, "data.look_back=24", "data.horizon=6", "data.split=[200,300]", figures=True)
    assert (tmp_path / "run" / "figures" / "forecasts.png").is_file()
