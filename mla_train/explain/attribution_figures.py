"""Figures of attributions: units that raise the score are red, those that lower it blue."""

import json
from pathlib import Path
from typing import IO, Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from mla_train.explain.attribution import attribute, mask_scores
from mla_train.explain.explanation import Explanation
from mla_train.explain.heatmaps import draw_series, show_images
from mla_train.figures import save_figure
from mla_train.modalities.explanation import CellUnits, PatchUnits, Units
from mla_train.model import Model
from mla_train.safe_files import write_atomically

COLOURS: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1}
LINE = 18  # words in a line
WIDTH = 9.5  # width of a line in inches


def draw_attributions(explanation: Explanation, attributions: dict[str, np.ndarray], file: Path | IO[bytes]) -> None:
    """Draws the attributions of each method, `(units,)`; the largest of a method has the full colour."""
    heights = [_height(units, len(attributions)) for units in explanation.units]
    figure = Figure(figsize=(11, sum(heights) + 0.8), layout="constrained")
    parts = figure.subfigures(len(explanation.units), 1, height_ratios=heights, squeeze=False)[:, 0]
    attributions = {
        method.replace("_", " "): values / max(1e-12, np.abs(values).max()) for method, values in attributions.items()
    }
    start = 0
    for part, units in zip(parts, explanation.units, strict=True):
        shares = {method: values[start : start + len(units)] for method, values in attributions.items()}
        start += len(units)
        if isinstance(units, CellUnits):
            _over_image(part, units, shares)
        elif isinstance(units, PatchUnits):
            _along_series(part, units, shares)
        else:
            _under_words(part, units.labels, shares)
    title = f"{explanation.prediction}: attribution of {explanation.score_name} (red raises it, blue lowers it)"
    figure.suptitle(title, fontsize=10)
    save_figure(figure, file, 110)


def _height(units: Units, methods: int) -> float:
    """Height in inches."""
    if isinstance(units, CellUnits):
        height, width = units.image.shape[-2:]
        return min(4.0, max(1.5, 10 / (1 + methods) * height / width + 0.4))
    if isinstance(units, PatchUnits):
        return 1.7 * methods
    lines = -(-len(units) // LINE)
    return lines * (0.3 * methods + 0.085 * max(map(len, units.labels)) + 0.2)


def _under_words(part: Any, words: list[str], shares: dict[str, np.ndarray]) -> None:
    lines = -(-len(words) // LINE)
    grid = part.subplots(lines, 1, squeeze=False)[:, 0]
    for number, axes in enumerate(grid):
        line = slice(number * LINE, (number + 1) * LINE)
        labels = words[line]
        values = np.full((len(shares), min(LINE, len(words))), np.nan)
        values[:, : len(labels)] = [share[line] for share in shares.values()]
        axes.imshow(values, aspect="auto", **COLOURS)
        axes.set_yticks(range(len(shares)), list(shares), fontsize=8)
        turn = {"rotation": 90} if 0.1 * max(map(len, words)) > WIDTH / min(LINE, len(words)) else {}
        axes.set_xticks(range(len(labels)), labels, fontsize=9, **turn)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        for row, column in np.ndindex(len(shares), len(labels)):
            colour = "white" if abs(values[row, column]) > 0.6 else "black"
            axes.text(column, row, f"{values[row, column]:.2f}", ha="center", va="center", color=colour, fontsize=7)


def _over_image(part: Any, cells: CellUnits, shares: dict[str, np.ndarray]) -> None:
    colours = ScalarMappable(Normalize(-1, 1), COLOURS["cmap"])
    grid = part.subplots(1, 1 + len(shares), squeeze=False)[0]
    show_images([grid], [(cells.name, cells, list(shares.items()))], colours)
    part.colorbar(colours, ax=list(grid), shrink=0.8, label="relative to the largest")


def _along_series(part: Any, patches: PatchUnits, shares: dict[str, np.ndarray]) -> None:
    grid = part.subplots(len(shares), 1, squeeze=False, sharex=True)[:, 0]
    edges = np.array(patches.edges) - patches.forecast_start
    for axes, (name, values) in zip(grid, shares.items(), strict=True):
        draw_series(axes, patches)
        image = axes.pcolormesh(edges, axes.get_ylim(), values[None], alpha=0.6, zorder=0, **COLOURS)
        axes.set_title(name, fontsize=9)
    grid[-1].set_xlabel("step (0: start of the forecast)")
    grid[0].set_ylabel(patches.name, fontsize=8)
    part.colorbar(image, ax=list(grid), shrink=0.8, label="relative to the largest")


def write_attributions(model: Model, explanation: Explanation, methods: list[str], folder: Path) -> list[Path]:
    """Writes and draws the attribution of the prediction by each of some `METHODS`; returns the files."""
    attributions = {method: attribute(method, model, explanation) for method in methods}
    scores = mask_scores(model, explanation)
    score, baseline = scores(np.array([[1], [0]]).repeat(len(explanation), 1))
    content = {
        "prediction": explanation.prediction,
        "score_name": explanation.score_name,
        "score": float(score),
        "baseline": float(baseline),
        "units": [label for units in explanation.units for label in units.labels],
    } | {method: values.tolist() for method, values in attributions.items()}
    write_atomically(folder / "attribution.json", json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    draw_attributions(explanation, attributions, folder / "attribution.png")
    return [folder / "attribution.png", folder / "attribution.json"]
