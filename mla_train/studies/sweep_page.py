"""What a sweep found: trials.csv and sweep.html, one page that needs nothing beside it."""

import csv
import io
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import FrozenTrial

from mla_train.inspect.page import bullets, code, heading, html_table, page, paragraph, picture
from mla_train.inspect.tables import Cell, Table, Tone
from mla_train.studies.best import ranked, settings
from mla_train.studies.space import word

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from optuna.visualization import matplotlib as drawings

ENOUGH = 8
"""Finished trials without which nothing can be said of what matters."""
TONES = {"complete": Tone.plain, "fail": Tone.bad}


def write_trials(study: optuna.Study, file: Path) -> None:
    """A row a trial: number, state, value, parameters, seconds, and why it failed.

    Args:
        study: Of the sweep.
        file: The CSV to write.
    """
    trials = study.get_trials(deepcopy=False)
    names = sorted({name for trial in trials for name in trial.params})
    new = file.with_suffix(".new")
    with new.open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(["number", "state", "value", *names, "seconds", "error"])
        for trial in trials:
            chosen = [word(trial.params[name]) if name in trial.params else "" for name in names]
            notes = [trial.user_attrs.get(name, "") for name in ("seconds", "error")]
            table.writerow([trial.number, state(trial), trial.value, *chosen, *notes])
    new.replace(file)


def state(trial: FrozenTrial) -> str:
    """In a word: complete, pruned, fail, retired, running or waiting."""
    return "retired" if trial.user_attrs.get("retired") else trial.state.name.lower()


def counted(study: optuna.Study) -> str:
    """How many trials there are of each state, such as "12 complete, 3 pruned"."""
    states = [state(trial) for trial in study.get_trials(deepcopy=False)]
    kinds = {"complete": "complete", "pruned": "pruned", "fail": "failed", "retired": "cut off"}
    return ", ".join(f"{states.count(name)} {said}" for name, said in kinds.items() if name in states)


def write_page(study: optuna.Study, title: str, folder: Path, commands: list[str]) -> None:
    """Draws history, importances and parallel coordinates over a table of trials.

    Args:
        study: Of the sweep.
        title: Of the page.
        folder: The sweep's.
        commands: What began it, what trains its best.
    """
    best, metric = ranked(study), study.user_attrs["plan"]["goal"]
    parts = [code("\n".join(commands))]
    if best:
        parts.insert(0, paragraph(f"Best: {best[0].value:.4f} with {' '.join(settings(best[0]))}", "lead"))
    parts.append(
        paragraph(f"{counted(study)}. A trial's value is that of the checkpoint it keeps, on the validation split.")
    )
    figures: dict[str, Callable[[], Any]] = {
        "History": lambda: drawings.plot_optimization_history(study, target_name=metric),
        "What matters": lambda: drawings.plot_param_importances(study, target_name=metric),
        "All settings": lambda: settings_of_all(study, metric),
        "Epoch by epoch": lambda: epoch_by_epoch(study, metric),
    }
    for name, draw in figures.items():
        least = ENOUGH if name == "What matters" else 2
        drawn = as_png(draw) if len(best) >= least and len({trial.value for trial in best}) > 1 else None
        if drawn:
            parts += [heading(name), picture(drawn, name)]
    if (folder / "top.csv").is_file():
        said = "The best of many trials flatters itself; this is what its settings are worth."
        parts += [heading("The best, trained again with three seeds"), paragraph(said, "note")]
        parts.append(html_table(from_csv(folder / "top.csv")))
    parts += [heading("Trials"), html_table(from_csv(folder / "trials.csv"))]
    failed = [trial for trial in study.get_trials(deepcopy=False) if state(trial) == "fail"]
    if failed:
        parts += [heading("What failed"), bullets([f"{t.number}: {t.user_attrs.get('error', '')}" for t in failed])]
    (folder / "sweep.html").write_text(page(title, *parts))


def from_csv(file: Path) -> Table:
    """A table of a file; numbers sort as such, what has a state shows it."""
    with file.open(newline="") as stream:
        columns, *rows = list(csv.reader(stream))
    return Table(columns, [[as_cell(text) for text in row] for row in rows])


def as_cell(text: str) -> Cell:
    """A cell, numbers with four digits."""
    try:
        return Cell(text if text.isdecimal() else f"{float(text):.4g}", float(text))
    except ValueError:
        return Cell(text, tone=TONES.get(text, Tone.plain))


def settings_of_all(study: optuna.Study, metric: str) -> Any:
    """Parallel coordinates, with names that Optuna would cut off."""
    axes: Any = drawings.plot_parallel_coordinate(study, target_name=metric)
    names = sorted({name for trial in study.trials for name in trial.params})
    if len(axes.get_xticks()) == 1 + len(names):
        axes.set_xticks(axes.get_xticks(), [metric, *names], rotation=20, ha="right")
    axes.figure.set_size_inches(3 + 1.9 * len(names), 6)
    return axes


def epoch_by_epoch(study: optuna.Study, metric: str) -> Any:
    """A line a trial; a legend of many says nothing."""
    axes: Any = drawings.plot_intermediate_values(study)
    axes.set(xlabel="epochs done before", ylabel=metric)
    if len(study.trials) > 10 and axes.get_legend():
        axes.get_legend().remove()
    axes.figure.set_size_inches(11, 5)
    return axes


def as_png(draw: Callable[[], Any]) -> bytes | None:
    """A drawing of Optuna's; None where it has too little to draw from."""
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
