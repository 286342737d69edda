"""The table of results over seeds: differences with what is uncertain in them, and commands that anyone can type."""

import json
import sys

import pytest
from scipy import stats

from mla_train.commands import results_table as command
from mla_train.report.results_table import general_command, results_table, rows_of_runs
from tests.helpers import example_results


def run(score, seed, low=None, high=None, words="task=a", **more):
    results = example_results(score=score, baselines={"linear": {"accuracy": 0.8}})
    comparison = {"baseline": "linear", "metric": "accuracy", "low": low, "high": high}
    results["environment"] = {"command": f"python train.py {words} seed={seed} run_dir=runs/{seed}"}
    return results | {"seed": seed, "comparison": comparison, **more}


def test_commands_lose_what_is_of_one_run_or_machine():
    typed = (
        "/usr/bin/python3.11 train.py experiment=trec data.root=/home/me/trec seed=2 run_dir=runs/x hardware.threads=1"
    )
    assert general_command(typed) == "python train.py experiment=trec data.root=FOLDER"
    assert general_command("train.py data.path=/a/b.csv epochs=3") == "train.py data.path=FILE epochs=3"


def test_seeds_of_a_command_are_a_row_and_their_spread_widens_the_interval():
    rows = rows_of_runs([run(0.84, 0, 0.01, 0.07), run(0.88, 1, 0.05, 0.11), run(0.9, 0, 0.08, 0.12, "task=b")])
    assert [list(row.runs) for row in rows] == [[0, 1], [0]]
    both, single = rows
    assert single.margin == pytest.approx(0.02)
    of_seeds = stats.t.ppf(0.975, 1) * 0.04 / 2**0.5 / 2**0.5
    assert both.margin == pytest.approx((0.03**2 + of_seeds**2) ** 0.5)
    assert both.verdict == "level"  # two seeds say little of a spread


def test_a_command_of_other_data_is_a_row_of_its_own():
    words = "task=a data.path={}"
    first, second, other = (
        run(0.84, seed, 0.01, 0.07, words.format(file), fingerprint={"targets": {"test": digest}})
        for seed, file, digest in ((0, "a.csv", "12"), (1, "b.csv", "34"), (1, "a.csv", "12"))
    )
    rows = rows_of_runs([first, second, other])
    assert [list(row.runs) for row in rows] == [[0, 1], [1]]
    assert {row.command for row in rows} == {"python train.py task=a data.path=FILE"}


@pytest.mark.parametrize(
    ("score", "low", "high", "verdict"),
    [
        (0.82, -0.01, 0.05, "level"),
        (0.7, -0.12, -0.08, "behind"),
        (0.9, 0.08, 0.12, "ahead"),
        (0.9, None, None, "not tested"),
    ],
)
def test_the_verdict_is_that_of_the_interval(score, low, high, verdict):
    (row,) = rows_of_runs([run(score, 0, low, high)])
    assert row.verdict == verdict
    cells = [cell.text for cell in results_table([row]).rows[0]]
    assert cells[6] == verdict
    assert ("to" in cells[5]) == (low is not None)


DAMAGES = [
    {"environment": {"command": "train.py 'x"}},
    {"environment": {"command": ""}},
    {"seed": [1]},
    {"data": ["a"]},
    {"metrics": {"test": {"accuracy": float("nan")}}},
    {"metrics": "test"},
    {"comparison": {"baseline": "linear", "metric": "accuracy", "low": "a", "high": "b"}},
]
"""What makes results unfit for the table."""


def test_a_page_gets_the_table_between_its_marks(tmp_path, monkeypatch, capsys):
    for seed in (0, 1):
        folder = tmp_path / "runs" / str(seed)
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text("# python train.py\n")
        (folder / "results.json").write_text(json.dumps(run(0.9, seed, 0.05, 0.15)))
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- end of results -->\nafter\n")
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "runs"), "--output", str(page)])
    command.main()
    text = page.read_text()
    assert text.startswith("before\n<!-- results -->\n| task |")
    assert text.endswith("<!-- end of results -->\nafter\n")
    assert "old" not in text
    assert "0.9000 ± 0.0000" in text
    other = text.splitlines()[3].replace("`python train.py", "`python train.py task=other").replace("0.9000", "0.7000")
    page.write_text(text.replace("<!-- end", f"{other}\n<!-- end"))
    before = page.read_text().splitlines()
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--keep"])
    command.main()
    assert sorted(page.read_text().splitlines()) == sorted(before)
    (tmp_path / "runs" / "0" / "results.json").write_text(json.dumps(run(0.8, 0, 0.05, 0.15)))
    command.main()
    assert "0.8500 ± 0.0707" in page.read_text()
    assert "0.9000 ± 0.0000" not in page.read_text()
    assert other in page.read_text()
    for number, damage in enumerate(DAMAGES):
        (tmp_path / "runs" / f"bad{number}").mkdir()
        (tmp_path / "runs" / f"bad{number}" / "results.json").write_text(json.dumps(run(0.5, 3) | damage))
    before = page.read_text()
    capsys.readouterr()
    command.main()
    assert page.read_text() == before
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(DAMAGES)
    assert all("results.json cannot be read: " in line for line in lines)
    page.write_text("no marks")
    with pytest.raises(SystemExit, match="lacks the lines"):
        command.main()
    monkeypatch.setattr(sys, "argv", ["x", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="no such folder"):
        command.main()
