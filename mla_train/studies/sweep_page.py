"""What a sweep found: trials.csv and sweep.html, one page that needs nothing beside it."""

import base64
import csv
import io
import warnings
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import matplotlib
import optuna
from optuna.trial import FrozenTrial

from mla_train.studies.best import ranked
from mla_train.studies.space import word

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from optuna.visualization import matplotlib as drawings

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color-scheme: light dark }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #8884 } th { cursor: default }
td:last-child, th:last-child { text-align: left } tr.best { font-weight: 600 } tr.fail { opacity: .6 }
img { max-width: 100%; background: white; border-radius: 6px } code { background: #8882; padding: .1rem .35rem; border-radius: 4px }
.scroll { overflow-x: auto }
"""


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
            settings = [word(trial.params[name]) if name in trial.params else "" for name in names]
            table.writerow([trial.number, state(trial), trial.value, *settings, *notes(trial)])
    new.replace(file)


def state(trial: FrozenTrial) -> str:
    """In a word: complete, pruned, fail, retired, running or waiting."""
    return "retired" if trial.user_attrs.get("retired") else trial.state.name.lower()


def notes(trial: FrozenTrial) -> list[Any]:
    """Seconds, and why it failed."""
    return [trial.user_attrs.get("seconds", ""), trial.user_attrs.get("error", "")]


def write_page(study: optuna.Study, metric: str, folder: Path, command: str) -> None:
    """Draws history, importances and parallel coordinates over a table of trials.

    Args:
        study: Of the sweep.
        metric: By which trials are judged.
        folder: The sweep's.
        command: That began it.
    """
    best = ranked(study)
    counts = dict.fromkeys(("complete", "pruned", "fail", "retired"), 0)
    for trial in study.trials:
        if state(trial) in counts:
            counts[state(trial)] += 1
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    parts = [f"<h1>{escape(metric)}</h1>", f"<p>{told}. <code>{escape(command)}</code></p>"]
    if best:
        settings = " ".join(f"{name}={word(value)}" for name, value in best[0].params.items())
        parts.append(
            f"<p>Best: <b>{best[0].value:.4f}</b>, trial {best[0].number}: <code>{escape(settings)}</code></p>"
        )
    figures: dict[str, Callable[[], Any]] = {
        "History": lambda: drawings.plot_optimization_history(study, target_name=metric),
        "Importances": lambda: drawings.plot_param_importances(study, target_name=metric),
        "Parallel coordinates": lambda: drawings.plot_parallel_coordinate(study, target_name=metric),
        "Curves of trials": lambda: drawings.plot_intermediate_values(study),
    }
    for title, draw in figures.items():
        picture = embedded(draw) if len(best) >= 2 else None
        if picture:
            parts.append(f'<h2>{title}</h2><img alt="{title}" src="{picture}">')
    if (folder / "top.csv").is_file():
        with (folder / "top.csv").open(newline="") as stream:
            parts += ["<h2>The best, trained again with three seeds</h2>", rows(list(csv.reader(stream)))]
    with (folder / "trials.csv").open(newline="") as stream:
        parts += ["<h2>Trials</h2>", rows(list(csv.reader(stream)), best[0].number if best else None)]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(metric)}</title><style>{STYLE}</style>'
    (folder / "sweep.html").write_text(head + "\n".join(parts) + "</html>\n")


def rows(table: list[list[str]], best: int | None = None) -> str:
    """A table with its first row as head.

    Args:
        table: Cells.
        best: First cell of the row that is shown bold.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    lines = []
    for row in table[1:]:
        kind = "best" if best is not None and row[0] == str(best) else "fail" if "fail" in row else ""
        lines.append(f'<tr class="{kind}">' + "".join(f"<td>{escape(shown(cell))}</td>" for cell in row) + "</tr>")
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def shown(cell: str) -> str:
    """Numbers with four digits."""
    try:
        return cell if cell.isdecimal() else f"{float(cell):.4g}"
    except ValueError:
        return cell


def embedded(draw: Callable[[], Any]) -> str | None:
    """A drawing as a data URL; None where Optuna has too little to draw it from."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            axes = draw()
            figure = (axes.flat[0] if hasattr(axes, "flat") else axes).figure
            figure.set_size_inches(11, 5)
            stream = io.BytesIO()
            figure.savefig(stream, dpi=90, bbox_inches="tight")
        except (ValueError, RuntimeError):
            return None
        finally:
            plt.close("all")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()
