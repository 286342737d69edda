"""The report of a sweep: trials.csv and sweep.html, a page of one file."""

import csv
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial

from mla_train.escaping import spreadsheet_cell
from mla_train.report.page import render
from mla_train.report.tables import Cell, Table, Tone
from mla_train.safe_files import atomic_path, write_atomically
from mla_train.studies.search_space import as_override
from mla_train.studies.sweep_figures import sweep_figures
from mla_train.studies.sweep_results import best_trial, ranked

TONES = {"complete": Tone.plain, "fail": Tone.bad}


def write_trials(study: optuna.Study, file: Path) -> None:
    """Writes a row for each trial: number, state, value, settings, seconds, and error."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    with atomic_path(file) as part, part.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["number", "state", "value", *names, "seconds", "error"])
        for trial in trials:
            chosen = [as_override(trial.params[name]) if name in trial.params else "" for name in names]
            notes = [trial.user_attrs.get(name, "") for name in ("seconds", "error")]
            table.writerow([trial.number, state(trial), trial.value, *map(spreadsheet_cell, [*chosen, *notes])])


def state(trial: FrozenTrial) -> str:
    """State of a trial: complete, pruned, fail, retired, running or waiting."""
    return "retired" if trial.user_attrs.get("retired") else trial.state.name.lower()


def count_states(study: optuna.Study) -> str:
    """Number of trials in each state, such as "12 complete, 3 pruned"."""
    states = [state(trial) for trial in study.get_trials(deepcopy=False)]
    kinds = {"complete": "complete", "pruned": "pruned", "fail": "failed", "retired": "interrupted"}
    return ", ".join(f"{states.count(name)} {text}" for name, text in kinds.items() if name in states)


def write_page(study: optuna.Study, title: str, folder: Path, commands: list[str]) -> None:
    """Writes sweep.html: commands that continue and use it, history, importances, curves and a table of trials."""
    best, metric = ranked(study), study.user_attrs["plan"]["goal"]
    failed = [trial for trial in study.get_trials(deepcopy=False) if state(trial) == "fail"]
    html = render(
        "sweep",
        title,
        best=best_trial(study),
        commands="\n".join(commands),
        states=count_states(study),
        figures=sweep_figures(study, metric, best).items(),
        top=from_csv(folder / "top.csv") if (folder / "top.csv").is_file() else None,
        trials=from_csv(folder / "trials.csv"),
        errors=[f"{trial.number}: {trial.user_attrs.get('error', '')}" for trial in failed],
    )
    write_atomically(folder / "sweep.html", html)


def from_csv(file: Path) -> Table:
    """A table from a CSV file."""
    with file.open(newline="") as stream:
        columns, *rows = list(csv.reader(stream))
    return Table(columns, [[as_cell(text) for text in row] for row in rows])


def as_cell(text: str) -> Cell:
    """A cell with numbers of four digits, and failures in colour."""
    try:
        return Cell(text if text.isdecimal() else f"{float(text):.4g}", float(text))
    except ValueError:
        return Cell(text, tone=TONES.get(text, Tone.plain))
