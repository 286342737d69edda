"""Figures of a comparison: scores of all seeds, and validation curves."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import mean, stdev

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from mla_train.figures import save_figure
from mla_train.studies.comparison import LEARNING, Comparison, half_interval
from mla_train.training.loggers import read_curve


def draw_scores(comparison: Comparison, file: Path) -> None:
    """Draws a dot for each seed, the mean with its 95 % confidence interval, and the best baseline as a line."""
    score = comparison.any_score
    assert score is not None
    variants = comparison.variants
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.55 * len(variants)), layout="constrained")
    for row, variant in enumerate(variants):
        values, colour = variant.values, f"C{row}"
        if not values:
            continue
        interval = half_interval(values, comparison.folds)
        axes.errorbar(mean(values), row + 0.14, xerr=interval, color=colour, fmt="D", markersize=6, capsize=4)
        axes.plot(values, [row - 0.14] * len(values), "o", color=colour, markersize=6, alpha=0.55, mew=0)
    if score.baseline is not None:
        axes.axvline(
            score.baseline_value, color="0.35", linestyle="--", linewidth=1, label=f"best baseline: {score.baseline}"
        )
        figure.legend(loc="outside lower right", fontsize=9, frameon=False)
    # The intervals of two seeds are so wide that they would hide the scores: they are cut off.
    shown = [value for variant in variants for value in variant.values]
    shown += [score.baseline_value] if score.baseline is not None else []
    margin = 2 * max(max(shown) - min(shown), 1e-3)
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, min(shown) - margin), min(right, max(shown) + margin))
    axes.set_yticks(range(len(variants)), [variant.name for variant in variants])
    axes.set_ylim(len(variants) - 0.5, -0.5)
    better = "higher" if score.higher_is_better else "lower"
    axes.set(xlabel=f"{score.metric} on test, {better} is better")
    axes.set_title(
        f"dots: {comparison.unit}s; diamonds: mean and its 95 % interval", fontsize=10, color="0.35", loc="left"
    )
    _plain(axes, "x")
    save_figure(figure, file, 130)
    plt.close(figure)


def draw_learning(comparison: Comparison, file: Path) -> None:
    """Draws the score over the number of training examples: mean and spread over seeds, and the best baselines."""
    score = comparison.any_score
    assert score is not None
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    baselines: dict[int, list[float]] = {}
    sizes: set[int] = set()
    for number, (name, variants) in enumerate(comparison.curves.items()):
        points = []
        for variant in variants:
            if not variant.runs:
                continue
            examples = next(iter(variant.runs.values()))["examples"]["train"]
            sizes.add(examples)
            points.append((examples, mean(variant.values), stdev(variant.values) if len(variant.values) > 1 else 0.0))
            for each in variant.scores.values():
                if each.baseline is not None:
                    baselines.setdefault(examples, []).append(each.baseline_value)
        if not points:
            continue
        counts, means, spreads = zip(*sorted(points), strict=True)
        axes.errorbar(counts, means, spreads, color=f"C{number}", marker="o", markersize=5, capsize=3, label=name)
    if baselines:
        best = {count: mean(values) for count, values in sorted(baselines.items())}
        axes.plot(list(best), list(best.values()), color="0.35", linestyle="--", linewidth=1, label="best baseline")
    better = "higher" if score.higher_is_better else "lower"
    axes.set(xlabel="training examples", ylabel=f"{score.metric} on test, {better} is better", xscale="log")
    axes.set_xticks(sorted(sizes), [f"{size:,}" for size in sorted(sizes)])
    axes.minorticks_off()
    others = [key for key in comparison.compared.split(", ") if key != LEARNING]
    axes.legend(title=", ".join(others), fontsize=9, frameon=False)
    _plain(axes, "y")
    save_figure(figure, file, 130)
    plt.close(figure)


def draw_validation(curves: Mapping[str, Sequence[Path]], metric: str) -> bytes:
    """Draws validation curves as PNG: thin lines for runs, a thick one for the mean of a variant over common epochs."""
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for number, (name, files) in enumerate(curves.items()):
        lines = [line for file in files if (line := read_curve(file, f"val/{metric}", by="epoch"))]
        colour = f"C{number}"
        for line in lines:
            axes.plot([epoch + 1 for epoch in line], list(line.values()), color=colour, alpha=0.3, linewidth=0.8)
        common = sorted(set.intersection(*(set(line) for line in lines))) if lines else []
        marker = "o" if len(common) == 1 else None
        means = [mean(line[epoch] for line in lines) for epoch in common]
        axes.plot([epoch + 1 for epoch in common], means, color=colour, linewidth=2, label=name, marker=marker)
    axes.set(xlabel="epoch", ylabel=f"val/{metric}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=9, frameon=False)
    _plain(axes, "both")
    stream = BytesIO()
    save_figure(figure, stream, 130)
    plt.close(figure)
    return stream.getvalue()


def _plain(axes: plt.Axes, grid: str) -> None:
    axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
