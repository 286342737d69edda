"""The report of a sweep: trials.csv and sweep.html, a page of one file."""

import csv
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import FrozenTrial

from mla_train.report.page import bullets, code, heading, html_table, image, page, paragraph
from mla_train.report.tables import Cell, Table, Tone
from mla_train.studies.search_space import as_override
from mla_train.studies.sweep_results import ranked, settings

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from optuna.visualization import matplotlib as drawings

IMPORTANCE_TRIALS = 8
"""Least number of finished trials for parameter importances."""
TONES = {"complete": Tone.plain, "fail": Tone.bad}


def write_trials(study: optuna.Study, file: Path) -> None:
    """Writes a row for each trial: number, state, value, settings, seconds, and error."""
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    unfinished = file.with_suffix(".new")
    with unfinished.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["number", "state", "value", *names, "seconds", "error"])
        for trial in trials:
            chosen = [as_override(trial.params[name]) if name in trial.params else "" for name in names]
            notes = [trial.user_attrs.get(name, "") for name in ("seconds", "error")]
            table.writerow([trial.number, state(trial), trial.value, *chosen, *notes])
    unfinished.replace(file)


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
    parts = [code("\n".join(commands))]
    if best:
        parts.insert(0, paragraph(f"Best: {best[0].value:.4f} with {' '.join(settings(best[0]))}", "lead"))
    parts.append(
        paragraph(f"{count_states(study)}. The value of a trial is the metric of its selected checkpoint on val.")
    )
    figures: dict[str, Callable[[], Any]] = {
        "History": lambda: drawings.plot_optimization_history(study, target_name=metric),
        "Importance": lambda: drawings.plot_param_importances(study, target_name=metric),
        "Settings": lambda: parallel_coordinates(study, metric),
        "Curves": lambda: validation_curves(study, metric),
    }
    for name, draw in figures.items():
        least = IMPORTANCE_TRIALS if name == "Importance" else 2
        drawn = as_png(draw) if len(best) >= least and len({trial.value for trial in best}) > 1 else None
        if drawn:
            parts += [heading(name), image(drawn, name)]
    if (folder / "top.csv").is_file():
        note = "The value of the best of many trials is biased upwards; these scores are not."
        parts += [heading("Best trials, trained again with three seeds"), paragraph(note, "note")]
        parts.append(html_table(from_csv(folder / "top.csv")))
    parts += [heading("Trials"), html_table(from_csv(folder / "trials.csv"))]
    failed = [trial for trial in study.get_trials(deepcopy=False) if state(trial) == "fail"]
    if failed:
        parts += [heading("Errors"), bullets([f"{t.number}: {t.user_attrs.get('error', '')}" for t in failed])]
    (folder / "sweep.html").write_text(page(title, *parts))


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


def parallel_coordinates(study: optuna.Study, metric: str) -> Any:
    """Parallel coordinates with full names, which Optuna would shorten."""
    axes: Any = drawings.plot_parallel_coordinate(study, target_name=metric)
    names = sorted({name for trial in study.trials for name in trial.params})
    if len(axes.get_xticks()) == 1 + len(names):
        axes.set_xticks(axes.get_xticks(), [metric, *names], rotation=20, ha="right")
    axes.figure.set_size_inches(3 + 1.9 * len(names), 6)
    return axes


def validation_curves(study: optuna.Study, metric: str) -> Any:
    """A line for each trial, without a legend if there are many."""
    axes: Any = drawings.plot_intermediate_values(study)
    axes.set(xlabel="epoch, counted from 0", ylabel=metric)
    if len(study.trials) > 10 and axes.get_legend():
        axes.get_legend().remove()
    axes.figure.set_size_inches(11, 5)
    return axes


def as_png(draw: Callable[[], Any]) -> bytes | None:
    """A figure of Optuna as PNG; None if there are too few trials for it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            axes = draw()
            figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
            if figure.get_size_inches()[0] < 8:
                figure.set_size_inches(11, 5)
            stream = io.BytesIO()
            figure.savefig(stream, dpi=110, bbox_inches="tight")
        except (ValueError, RuntimeError):
            return None
        finally:
            plt.close("all")
    return stream.getvalue()
