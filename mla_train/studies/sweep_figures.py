"""Figures of a sweep: history, importance of each key, value over each key, validation curves; PNGs as bytes."""

from io import BytesIO
from typing import Any

import numpy as np
import optuna
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial

from mla_train.figures import save_figure
from mla_train.studies.search_space import as_override

IMPORTANCE_TRIALS = 8
"""Least number of finished trials for parameter importances."""
COLUMNS = 3  # of panels
MOST_NAMES = 10  # curves with a legend


def sweep_figures(study: optuna.Study, metric: str, trials: list[FrozenTrial]) -> dict[str, bytes]:
    """Figures by heading.

    Args:
        study: Study of the sweep.
        metric: Name of what is optimized.
        trials: Finished trials; where too few of them differ there is no figure.
    """
    if len({trial.value for trial in trials}) < 2:
        return {}
    figures = {"History": draw_history(study, metric, trials)}
    if len(trials) >= IMPORTANCE_TRIALS and any(trial.params for trial in trials):
        figures["Importance"] = draw_importance(study)
    if any(trial.params for trial in trials):
        figures["Settings"] = draw_settings(metric, trials)
    if any(trial.intermediate_values for trial in study.trials):
        figures["Curves"] = draw_curves(study, metric)
    return figures


def draw_history(study: optuna.Study, metric: str, trials: list[FrozenTrial]) -> bytes:
    """Value of each finished trial, and the best so far."""
    figure, (axes,) = _panels(1)
    in_order = sorted(trials, key=lambda trial: trial.number)
    numbers, values = [trial.number for trial in in_order], [trial.value or 0.0 for trial in in_order]
    best = (np.maximum if study.direction is optuna.study.StudyDirection.MAXIMIZE else np.minimum).accumulate(values)
    axes.plot(numbers, values, "o", label="trial")
    axes.step(numbers, best, where="post", color="tab:red", alpha=0.6, label="best so far")
    axes.set(xlabel="trial", ylabel=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False)
    return _png(figure)


def draw_importance(study: optuna.Study) -> bytes:
    """Share of the variance of the value that each key explains (fANOVA, Hutter et al. 2014)."""
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    figure, (axes,) = _panels(1, height=1.2 + 0.4 * len(shares))
    axes.bar_label(axes.barh(list(shares)[::-1], list(shares.values())[::-1]), fmt="%.2f", padding=3)
    axes.set(xlabel="share of the variance of the value", xlim=(0, 1.15 * max(shares.values())))
    return _png(figure)


def draw_settings(metric: str, trials: list[FrozenTrial]) -> bytes:
    """Value of each finished trial over each key; the best trial is red."""
    names = sorted({name for trial in trials for name in trial.params})
    figure, grid = _panels(len(names))
    for axes, name in zip(grid, names, strict=True):
        having = [trial for trial in trials if name in trial.params]  # the best one first
        choice: Any = having[0].distributions[name]
        settings: list[Any] = [trial.params[name] for trial in having]
        if isinstance(choice, CategoricalDistribution):
            labels = [as_override(value) for value in choice.choices]
            settings = [labels.index(as_override(value)) for value in settings]
            turn = {"rotation": 30, "ha": "right"} if max(map(len, labels)) > 8 else {}
            axes.set_xticks(range(len(labels)), labels, **turn)
        elif choice.log:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(LogFormatter())  # the usual one writes formulas
            axes.xaxis.set_minor_formatter(LogFormatter())
        colours = ["tab:red" if trial is trials[0] else "tab:blue" for trial in having]
        axes.scatter(settings[::-1], [trial.value for trial in having[::-1]], c=colours[::-1], alpha=0.8)
        axes.set(xlabel=name, ylabel=metric)
    return _png(figure)


def draw_curves(study: optuna.Study, metric: str) -> bytes:
    """Validation metric of each trial after each epoch."""
    figure, (axes,) = _panels(1)
    trials = [trial for trial in study.trials if trial.intermediate_values]
    for trial in trials:
        steps = sorted(trial.intermediate_values.items())
        axes.plot([epoch + 1 for epoch, _ in steps], [value for _, value in steps], marker="o", markersize=3,
                  linewidth=1, label=f"trial {trial.number}")  # fmt: skip
    axes.set(xlabel="epoch", ylabel=metric)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(trials) <= MOST_NAMES:
        axes.legend(frameon=False, fontsize=9)
    return _png(figure)


def _panels(count: int, height: float = 3.6) -> tuple[Figure, list[Any]]:
    """A figure with a number of panels."""
    columns = min(COLUMNS, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(8 if count == 1 else 3.8 * columns, height * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.grid(alpha=0.25)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, list(grid.flat[:count])


def _png(figure: Figure) -> bytes:
    stream = BytesIO()
    save_figure(figure, stream, 110)
    return stream.getvalue()
