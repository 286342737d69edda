"""Draws what an answer hangs on: words, cells and patches that raise its score are red, those that lower it blue."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from mla_train.inspect.heatmaps import draw_series, show_over, show_picture
from mla_train.inspect.views import Cells, Patches, Shown, View

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

COLOURS: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
LINE = 18  # words beside each other
WIDTH = 9.5  # inches of a line


def draw_attributions(view: View, found: dict[str, np.ndarray], file: Path) -> None:
    """How much each unit adds to the score, by each method; the largest of a method has the full colour.

    Args:
        view: Of the example.
        found: By method, `(units,)`.
        file: The PNG to write.
    """
    heights = [_height(shown, len(found)) for shown in view.units]
    figure = plt.figure(figsize=(11, sum(heights) + 0.8), layout="constrained")
    parts = figure.subfigures(len(view.units), 1, height_ratios=heights, squeeze=False)[:, 0]
    largest = {method: max(1e-12, float(np.abs(values).max())) for method, values in found.items()}
    start = 0
    for part, shown in zip(parts, view.units, strict=True):
        shares = {name: values[start : start + len(shown)] / largest[name] for name, values in found.items()}
        start += len(shown)
        if isinstance(shown, Cells):
            _over_picture(part, shown, shares)
        elif isinstance(shown, Patches):
            _along_series(part, shown, shares)
        else:
            _under_words(part, shown.labels, shares)
    title = f"{view.said}: what raises {view.scored} (red) and lowers it (blue)"
    figure.suptitle(title, fontsize=10, parse_math=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def _height(shown: Shown, methods: int) -> float:
    """Inches that it takes."""
    if isinstance(shown, Cells):
        height, width = shown.picture.shape[-2:]
        return min(4.0, max(1.5, 10 / (1 + methods) * height / width + 0.4))
    if isinstance(shown, Patches):
        return 1.7 * methods
    lines = -(-len(shown) // LINE)
    return lines * (0.3 * methods + 0.085 * max(map(len, shown.labels)) + 0.2)


def _under_words(part: Any, words: list[str], shares: dict[str, np.ndarray]) -> None:
    lines = -(-len(words) // LINE)
    grid = part.subplots(lines, 1, squeeze=False)[:, 0]
    for number, axes in enumerate(grid):
        line = slice(number * LINE, (number + 1) * LINE)
        shown = words[line]
        values = np.full((len(shares), min(LINE, len(words))), np.nan)
        values[:, : len(shown)] = [found[line] for found in shares.values()]
        axes.imshow(values, aspect="auto", **COLOURS)
        axes.set_yticks(range(len(shares)), [name.replace("_", " ") for name in shares], fontsize=8)
        turn = {"rotation": 90} if 0.1 * max(map(len, words)) > WIDTH / min(LINE, len(words)) else {}
        axes.set_xticks(range(len(shown)), shown, fontsize=9, parse_math=False, **turn)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for row, column in np.ndindex(len(shares), len(shown)):
            colour = "white" if abs(values[row, column]) > 0.6 else "black"
            axes.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", color=colour, fontsize=7)


def _over_picture(part: Any, cells: Cells, shares: dict[str, np.ndarray]) -> None:
    colours = ScalarMappable(Normalize(-1, 1), COLOURS["cmap"])
    grid = part.subplots(1, 1 + len(shares), squeeze=False)[0]
    show_picture(grid[0], cells)
    grid[0].set_title("picture", fontsize=9)
    for axes, (name, values) in zip(grid[1:], shares.items(), strict=True):
        show_over(axes, cells, values, colours)
        axes.set_title(name.replace("_", " "), fontsize=9)
    part.colorbar(colours, ax=list(grid), shrink=0.8, label="of the largest")


def _along_series(part: Any, patches: Patches, shares: dict[str, np.ndarray]) -> None:
    grid = part.subplots(len(shares), 1, squeeze=False, sharex=True)[:, 0]
    edges = np.array(patches.edges) - patches.now
    for axes, (name, values) in zip(grid, shares.items(), strict=True):
        draw_series(axes, patches)
        image = axes.pcolormesh(edges, axes.get_ylim(), values[None], alpha=0.6, zorder=0, **COLOURS)
        axes.set_title(name.replace("_", " "), fontsize=9)
    grid[-1].set_xlabel("step (0: the first that is forecast)")
    grid[0].set_ylabel(patches.name, fontsize=8, parse_math=False)
    part.colorbar(image, ax=list(grid), shrink=0.8, label="of the largest")
