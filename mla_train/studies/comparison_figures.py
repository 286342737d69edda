"""Pictures of a comparison: scores of all seeds beside each other, and how they were reached."""

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.ticker import MaxNLocator

from mla_train.studies.comparison import Comparison, half_interval


def draw_scores(comparison: Comparison, file: Path) -> None:
    """A dot a seed, a diamond at the mean with its 95 % confidence interval, the best baseline as a line.

    Args:
        comparison: With a run that is finished.
        file: The PNG to write.
    """
    score = comparison.any_score
    assert score is not None
    arms = comparison.arms
    figure, axes = plt.subplots(figsize=(8, 1.3 + 0.55 * len(arms)), layout="constrained")
    for place, arm in enumerate(arms):
        if not arm.values:
            continue
        colour, centre = f"C{place}", mean(arm.values)
        axes.errorbar(
            centre, place + 0.14, xerr=half_interval(arm.values), color=colour, fmt="D", markersize=6, capsize=4
        )
        axes.plot(arm.values, [place - 0.14] * len(arm.values), "o", color=colour, markersize=6, alpha=0.55, mew=0)
    if score.baseline is not None:
        axes.axvline(
            score.baseline_value, color="0.35", linestyle="--", linewidth=1, label=f"best baseline: {score.baseline}"
        )
        figure.legend(loc="outside lower right", fontsize=9, frameon=False)
    # Two seeds have intervals that would hide what they are about: those run out of the picture.
    shown = [value for arm in arms for value in arm.values]
    shown += [score.baseline_value] if score.baseline is not None else []
    room = 2 * max(max(shown) - min(shown), 1e-3)
    left, right = axes.get_xlim()
    axes.set_xlim(max(left, min(shown) - room), min(right, max(shown) + room))
    axes.set_yticks(range(len(arms)), [arm.name for arm in arms])
    axes.set_ylim(len(arms) - 0.5, -0.5)
    better = "higher" if score.higher_is_better else "lower"
    axes.set(xlabel=f"{score.metric} on test, {better} is better")
    axes.set_title("dots: seeds; diamonds: mean and its 95 % interval", fontsize=10, color="0.35", loc="left")
    _plain(axes, "x")
    figure.savefig(file, dpi=130)
    plt.close(figure)


def draw_validation(curves: Mapping[str, Sequence[Path]], metric: str) -> bytes:
    """A thin line a run, a thick one at the mean of an arm as far as all its runs go.

    Args:
        curves: Name of an arm to files metrics.csv.
        metric: Name of the score, without "val/".

    Returns:
        A PNG.
    """
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    for place, (name, files) in enumerate(curves.items()):
        lines = [line for file in files if (line := read_curve(file, metric))]
        colour = f"C{place}"
        for line in lines:
            axes.plot(list(line), list(line.values()), color=colour, alpha=0.3, linewidth=0.8)
        common = sorted(set.intersection(*(set(line) for line in lines))) if lines else []
        mark = "o" if len(common) == 1 else None
        means = [mean(line[epoch] for line in lines) for epoch in common]
        axes.plot(common, means, color=colour, linewidth=2, label=name, marker=mark)
    axes.set(xlabel="epoch", ylabel=f"val/{metric}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(fontsize=9, frameon=False)
    _plain(axes, "both")
    held = BytesIO()
    figure.savefig(held, format="png", dpi=130)
    plt.close(figure)
    return held.getvalue()


def read_curve(file: Path, metric: str) -> dict[int, float]:
    """Epoch, counted from 1, to the score on the validation split; empty where there is none."""
    if not file.is_file():
        return {}
    with file.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    name = f"val/{metric}"
    return {int(float(row["epoch"])) + 1: float(row[name]) for row in rows if row.get(name) and row.get("epoch")}


def _plain(axes: plt.Axes, grid: str) -> None:
    axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
