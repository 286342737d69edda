"""One table of what was reached where: a row for each task and data set, over the seeds of finished runs."""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mla_train.report.tables import Cell, Table
from mla_train.training.scores import Score, margin_over_seeds, read_score, signed, standing_of, written

WITHOUT = ("seed", "run_dir", "resume", "resume_data", "hardware.threads", "logger")
"""Keys in which the commands of the runs of a row may differ."""
VERDICTS = {"ahead of": "ahead", "level with": "level", "behind": "behind", "not tested against": "not tested"}
PLACES = ("data.root", "data.path", "data.train", "data.val", "data.test")
"""Keys whose values are places of the machine, which a table for others leaves out."""


@dataclass(frozen=True)
class Row:
    """Runs of one command with different seeds.

    Attributes:
        command: Command without seed and folders.
        runs: Seed to contents of results.json.
    """

    command: str
    runs: Mapping[int, Mapping[str, Any]]

    @property
    def scores(self) -> list[Score]:
        """Score of each seed."""
        return [read_score(results) for results in self.runs.values()]

    @property
    def differences(self) -> list[float]:
        """Difference to the best baseline of each seed."""
        return [score.difference for score in self.scores if score.difference is not None]

    @property
    def margin(self) -> float | None:
        """Half the 95 % interval of the mean difference, see `margin_over_seeds`."""
        return margin_over_seeds(self.scores)

    @property
    def verdict(self) -> str:
        """Ahead of, level with or behind the best baseline."""
        if not self.differences:
            return "no baseline"
        sign = 1 if self.scores[0].higher_is_better else -1
        return VERDICTS[standing_of(sign * mean(self.differences), self.margin)]


def rows_of_runs(runs: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Finished runs with a test split by their command and test examples, in the order of task and data set.

    Commands do not name the places of data, so that those of two data sets may read alike.

    Raises:
        ValueError: A seed or score is no number, or a command is none; results of a stranger raise other errors, too.
    """
    grouped: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for results in runs:
        if "test" in results["metrics"] and not results.get("debug"):
            score = read_score(results)
            if not (isinstance(results["seed"], int) and isfinite(score.value) and isfinite(score.gain or 0.0)):
                raise ValueError("its seed or its score is no number")
            same = general_command(results["environment"]["command"]), _test_targets(results)
            grouped.setdefault(same, {})[results["seed"]] = results
    rows = [Row(command, dict(sorted(seeds.items()))) for (command, _), seeds in grouped.items()]

    def order(row: Row) -> tuple[str, str, str]:
        first = next(iter(row.runs.values()))
        return first["task"], first["data"], row.command

    return sorted(rows, key=order)


def _test_targets(results: Mapping[str, Any]) -> str:
    """Hash of the labels of test; empty in results of an earlier version."""
    return str((results.get("fingerprint") or {}).get("targets", {}).get("test", ""))


def general_command(command: str) -> str:
    """A command without its seed and folders, as anyone can type it; places of data are FOLDER or FILE."""
    words = []
    for word in shlex.split(command):
        key, equals, _ = word.partition("=")
        if equals and key in WITHOUT:
            continue
        if equals and key in PLACES:
            word = f"{key}={'FOLDER' if key == 'data.root' else 'FILE'}"
        words.append(word)
    if not words:
        raise ValueError("its command is empty")
    words[0] = "python" if re.fullmatch(r"python[\d.]*", Path(words[0]).name) else words[0]
    return shlex.join(words)


def results_table(rows: Sequence[Row]) -> Table:
    """Score, best baseline, difference with its interval, verdict, cost and command of each row."""
    columns = [
        "task",
        "data",
        "metric",
        "this model",
        "best baseline",
        "difference",
        "verdict",
        "seeds",
        "s",
        "command",
    ]
    return Table(columns, [_cells(row) for row in rows])


def _cells(row: Row) -> list[Cell]:
    first, score = next(iter(row.runs.values())), row.scores[0]
    values = [each.value for each in row.scores]
    spread = f" ± {written(stdev(values))}" if len(values) > 1 else ""
    baselines: dict[str, list[float]] = {}
    for each in row.scores:
        if each.baseline:
            baselines.setdefault(each.baseline, []).append(each.baseline_value)
    named = ", ".join(f"{name} {written(mean(found))}" for name, found in baselines.items())
    difference = ""
    if row.differences:
        center, margin = mean(row.differences), row.margin
        difference = signed(center) + (
            "" if margin is None else f" ({signed(center - margin)} to {signed(center + margin)})"
        )
    seconds = mean(results["speed"]["seconds"] for results in row.runs.values())
    return [
        Cell(first["task"]),
        Cell(first["data"]),
        Cell(f"{score.metric} {'↑' if score.higher_is_better else '↓'}"),
        Cell(written(mean(values)) + spread),
        Cell(named),
        Cell(difference),
        Cell(row.verdict),
        Cell(", ".join(map(str, row.runs))),
        Cell(f"{seconds:,.0f}"),
        Cell(f"`{row.command}`"),
    ]
