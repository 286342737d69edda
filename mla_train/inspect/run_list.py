"""All runs below a folder: what each was, what it reached and what it cost."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from mla_train.inspect.tables import Cell, Table, Tone
from mla_train.training.scores import Score, read_score, signed, written


class State(Enum):
    """How far a run has come; unfinished ones train still or were cut off."""

    finished = "finished"
    unfinished = "unfinished"
    failed = "failed"
    unreadable = "unreadable"


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        folder: Where it is.
        state: How far it has come.
        begun: When.
        task: Its name.
        data: Name of the data set.
        attention: Kind of attention, or what else the network is.
        command: With which it began.
        score: On test; None unless finished.
        parameters: Of the network; None unless finished.
        seconds: Of training; None unless finished.
    """

    folder: Path
    state: State
    begun: datetime
    task: str = ""
    data: str = ""
    attention: str = ""
    command: str = ""
    score: Score | None = None
    parameters: int | None = None
    seconds: float | None = None


def find_runs(root: Path) -> Iterator[Run]:
    """Reads all run folders below a folder; what stands inside a run folder is not looked at.

    Args:
        root: Where to look; it may be a run folder itself.
    """
    for place, folders, files in os.walk(root):
        run = _read_run(Path(place), set(files))
        if run is None:
            folders.sort()
        else:
            folders.clear()
            yield run


def _read_run(folder: Path, files: set[str]) -> Run | None:
    """The run in a folder; None where it holds none."""
    if "results.json" in files:
        return _finished(folder)
    if "config.yaml" not in files:
        return None
    text = (folder / "config.yaml").read_text(errors="replace")
    try:
        config = yaml.safe_load(text)
        task, data, attention = config["task"]["name"], config["data"]["name"], config["attention"]["kind"]
    except (yaml.YAMLError, KeyError, TypeError):  # somebody else's
        return None
    state = State.failed if _has_failed(folder / "log.txt") else State.unfinished
    return Run(folder, state, _begun(folder), task, data, attention, text.splitlines()[0].removeprefix("# "))


def _finished(folder: Path) -> Run:
    try:
        results: Any = json.loads((folder / "results.json").read_text())
        return Run(
            folder,
            State.finished,
            _begun(folder),
            results["task"],
            results["data"],
            results["attention"],
            results["environment"]["command"],
            read_score(results),
            results["model"]["parameters"],
            results["speed"]["seconds"],
        )
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return Run(folder, State.unreadable, _begun(folder))


def _begun(folder: Path) -> datetime:
    """When its config was written; else when its results were."""
    file = next(file for name in ("config.yaml", "results.json") if (file := folder / name).exists())
    return datetime.fromtimestamp(file.stat().st_mtime)


def _has_failed(log: Path) -> bool:
    """Whether the last that the run itself wrote down is an error."""
    if not log.is_file():
        return False
    levels = re.findall(r"^\d{4}-\d\d-\d\d [\d:,]+ (\w+) mla_train", log.read_text(errors="replace"), re.MULTILINE)
    return levels[-1:] == ["ERROR"]


COLUMNS = {
    "run": "run folder",
    "date": "date",
    "task": "task",
    "data": "data",
    "attention": "attention",
    "metric": "metric",
    "score": "score",
    "baseline": "best baseline",
    "difference": "difference",
    "parameters": "parameters",
    "seconds": "seconds",
    "state": "state",
    "command": "command",
}
"""Word of --sort to the head of a column."""


def runs_table(runs: list[Run], root: Path) -> Table:
    """A row a run.

    Args:
        runs: In any order.
        root: To which folders are named.
    """
    return Table(list(COLUMNS.values()), [_row(run, root) for run in runs])


def _row(run: Run, root: Path) -> list[Cell]:
    score = run.score
    return [
        Cell(str(run.folder.relative_to(root)) if run.folder != root else str(root)),
        Cell(f"{run.begun:%Y-%m-%d %H:%M}", run.begun.timestamp()),
        Cell(run.task),
        Cell(run.data),
        Cell(run.attention),
        Cell(score.metric if score else ""),
        Cell(written(score.value), score.value) if score else Cell(),
        Cell(f"{score.baseline} {written(score.baseline_value)}") if score and score.baseline else Cell(),
        _difference(score),
        Cell() if run.parameters is None else Cell(f"{run.parameters:,}", run.parameters),
        Cell() if run.seconds is None else Cell(f"{run.seconds:,.0f}", run.seconds),
        Cell(run.state.value, tone=Tone.bad if run.state in (State.failed, State.unreadable) else Tone.plain),
        Cell(run.command),
    ]


def _difference(score: Score | None) -> Cell:
    """Sorted by what is gained, so that the best come first for errors too."""
    if score is None or score.gain is None or score.difference is None:
        return Cell()
    tone = Tone.plain if round(score.gain, 4) == 0 else Tone.good if score.gain > 0 else Tone.bad
    return Cell(signed(score.difference), score.gain, tone)
