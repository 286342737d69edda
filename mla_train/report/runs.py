"""The list of all runs below a folder: task, data, score and cost of each."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mla_train.config.stored import LARGEST, read_json, read_stored, read_text
from mla_train.errors import UserError
from mla_train.report.tables import Cell, Table, Tone
from mla_train.training.scores import Score, read_score, signed, written

REPORT = "report.html"


class State(Enum):
    """State of a run; an unfinished run is still training or was interrupted."""

    finished = "finished"
    unfinished = "unfinished"
    failed = "failed"
    unreadable = "unreadable"


@dataclass(frozen=True)
class Run:
    """One run folder; score, number of parameters and seconds of training are None unless the run is finished.

    `problem` is what is wrong with an unreadable one.
    """

    folder: Path
    state: State
    started: datetime
    task: str = ""
    data: str = ""
    attention: str = ""
    command: str = ""
    score: Score | None = None
    parameters: int | None = None
    seconds: float | None = None
    problem: str = ""


def find_runs(root: Path) -> Iterator[Run]:
    """Reads all run folders below a folder, without searching inside run folders; a damaged one says what is wrong."""
    closed: list[OSError] = []
    for path, folders, files in os.walk(root, onerror=closed.append):
        folder = Path(path)
        try:
            run = _read_run(folder, {*files, *folders})
        except Exception as error:  # damaged files raise errors of many kinds
            run = _unreadable(folder, error)
        if run is None:
            folders.sort()
        else:
            folders.clear()
            yield run
    yield from (_unreadable(Path(str(error.filename)), error) for error in closed)


def _unreadable(folder: Path, error: Exception) -> Run:
    problem = str(error) if isinstance(error, UserError) else f"{folder} cannot be read: {reason(error)}"
    return Run(folder, State.unreadable, _start_time(folder), problem=problem)


def reason(error: Exception) -> str:
    """Why a file cannot be read, in a line."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, KeyError):
        return f"it has no {error.args[0]}"
    return " ".join(str(error).split())[:200] or type(error).__name__


def _read_run(folder: Path, names: set[str]) -> Run | None:
    """The run in a folder; None if it holds none."""
    run = None
    if "results.json" in names:
        with _reading(folder / "results.json"):
            run = _finished(folder)
            _row(run, folder, folder)  # every value can be shown
    elif "config.yaml" in names or {"checkpoints", "metrics.csv"} <= names:
        is_run = bool({"checkpoints", "metrics.csv", "log.txt"} & names)  # else it may be somebody else's config
        with _reading(folder / "config.yaml") if is_run else suppress(Exception):
            run = _unfinished(folder)
            _row(run, folder, folder)
    return run


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"{file} cannot be read: {reason(error)}") from error


def _unfinished(folder: Path) -> Run:
    text = read_text(folder / "config.yaml", LARGEST)
    config = read_stored(folder / "config.yaml")
    task, data, attention = config["task"]["name"], config["data"]["name"], config["attention"]["kind"]
    state = State.failed if _has_failed(folder / "log.txt") else State.unfinished
    return Run(folder, state, _start_time(folder), task, data, attention, text.splitlines()[0].removeprefix("# "))


def _finished(folder: Path) -> Run:
    results: Any = read_json(folder / "results.json")
    if not isinstance(results, dict):
        raise ValueError("it holds no results of a run")
    return Run(
        folder,
        State.finished,
        _start_time(folder),
        results["task"],
        results["data"],
        results["attention"],
        results["environment"]["command"],
        read_score(results),
        results["model"]["parameters"],
        results["speed"]["seconds"],
    )


def _start_time(folder: Path) -> datetime:
    """Time at which the config was written, or else the results, or else of the folder."""
    for file in (folder / "config.yaml", folder / "results.json", folder):
        with suppress(OSError, OverflowError, ValueError):
            return datetime.fromtimestamp(file.stat().st_mtime)
    return datetime.fromtimestamp(0)


def _has_failed(log: Path) -> bool:
    """Whether the last message of the run itself in its log is an error."""
    if not log.is_file():
        return False
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - LARGEST))
        end = stream.read(LARGEST).decode(errors="replace")
    levels = re.findall(r"^\d{4}-\d\d-\d\d [\d:,]+ (\w+) mla_train", end, re.MULTILINE)
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
"""Value of --sort to name of the column."""


def runs_table(runs: list[Run], root: Path, page_folder: Path | None = None) -> Table:
    """A table with one row for each run, with paths relative to a folder, and links from a page in another."""
    return Table(list(COLUMNS.values()), [_row(run, root, page_folder or root) for run in runs])


def report_link(run: Path, page_folder: Path) -> str:
    """Address of a run's report, or of its folder without one, relative to a page in another folder."""
    file = run / REPORT if (run / REPORT).is_file() else run
    return quote(os.fsencode(Path(os.path.relpath(file, page_folder)).as_posix()))


def _row(run: Run, root: Path, page_folder: Path) -> list[Cell]:
    score, name = run.score, str(run.folder.relative_to(root)) if run.folder != root else str(root)
    name = name.encode(errors="backslashreplace").decode()
    return [
        Cell(name, link=report_link(run.folder, page_folder)),
        Cell(f"{run.started:%Y-%m-%d %H:%M}", run.started.timestamp()),
        *map(Cell, map(_checked_text, (run.task, run.data, run.attention))),
        Cell(score.metric if score else ""),
        Cell(written(score.value), score.value) if score else Cell(),
        Cell(f"{score.baseline} {written(score.baseline_value)}") if score and score.baseline else Cell(),
        _difference(score),
        Cell() if run.parameters is None else Cell(f"{run.parameters:,}", run.parameters),
        Cell() if run.seconds is None else Cell(f"{run.seconds:,.0f}", run.seconds),
        Cell(run.state.value, tone=Tone.bad if run.state in (State.failed, State.unreadable) else Tone.plain),
        Cell(_checked_text(run.command)),
    ]


def _checked_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r:.60} is no text")
    return value


def _difference(score: Score | None) -> Cell:
    """Difference to the best baseline, sorted by gain, so that the best come first for errors too."""
    if score is None or score.gain is None or score.difference is None:
        return Cell()
    tone = {"ahead of": Tone.good, "behind": Tone.bad}.get(score.standing, Tone.plain)
    text = signed(score.difference)
    if score.difference_interval is not None:
        text += " ({} to {})".format(*map(signed, score.difference_interval))
    return Cell(text, score.gain, tone)
