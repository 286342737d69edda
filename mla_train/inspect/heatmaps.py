"""Draws where heads look: words over words, patches over the picture, words over the picture, patches along a series."""

import math
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from mla_train.inspect.views import Cells, Look, Patches
from mla_train.nn.head_statistics import HeadStatistics

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

MOST_LABELS = 60  # along an axis
MOST_WORDS = 8  # that are shown over a picture
COLUMNS = 4
DARKEST = 0.75  # shade of black pixels under colours


def draw_look(look: Look, weights: Tensor, title: str, file: Path) -> None:
    """Where the heads of one layer look, and their mean.

    Args:
        look: What looks at what.
        weights: `(heads, query_tokens, key_tokens)`.
        title: Of the picture.
        file: The PNG to write.
    """
    weights = weights.float().cpu()
    if isinstance(look.keys, Cells) and isinstance(look.queries, Cells):
        figure = _over_picture(look.keys, with_mean(look.summed(weights)))
    elif isinstance(look.keys, Cells):
        figure = _words_over_picture(look.queries.labels, look.keys, with_mean(look.merged(weights)))
    elif isinstance(look.keys, Patches) and isinstance(look.queries, Patches):
        figure = _along_series(look.queries, look.keys, with_mean(look.merged(weights)))
    else:
        figure = _words_over_words(look, with_mean(look.merged(weights)))
    figure.suptitle(title, parse_math=False)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def with_mean(maps: Tensor) -> dict[str, np.ndarray]:
    """The mean over heads, and behind it each head; a single head is its own mean.

    Args:
        maps: `(heads, ...)`.
    """
    heads = {f"head {number}": found.numpy() for number, found in enumerate(maps, 1)}
    return ({"mean": maps.mean(0).numpy()} if len(maps) > 1 else {}) | heads


def _words_over_words(look: Look, maps: dict[str, np.ndarray]) -> Any:
    """One matrix a head: what looks by row, what is looked at by column."""
    queries, keys = look.queries.labels, look.keys.labels
    cell = min(0.3, 6 / max(len(queries), len(keys)))
    margin = 0.075 * max(map(len, [*keys, *queries]))
    size = max(1.8, cell * len(keys)) + margin, max(1.8, cell * len(queries)) + margin + 0.3
    most = max(float(found.max()) for found in maps.values())
    figure, grid = _panels(len(maps), size)
    for axes, (name, found) in zip(grid, maps.items(), strict=False):
        image = axes.imshow(found, cmap="Blues", vmin=0, vmax=most, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        for axis, labels in ((axes.xaxis, keys), (axes.yaxis, queries)):
            ticks = range(0, len(labels), -(-len(labels) // MOST_LABELS))
            shown = [labels[i] or "␣" for i in ticks]
            turn = {"rotation": 90} if axis is axes.xaxis and max(map(len, shown)) > 2 else {}
            axis.set_ticks(ticks, shown, fontsize=min(8, max(4, 30 * cell)), parse_math=False, **turn)
        axes.tick_params(length=0)
    looking, looked_at = look.name.split(" over ") if " over " in look.name else ("", "")
    grid[0].set_ylabel(looking)
    grid[0].set_xlabel(looked_at)
    figure.colorbar(image, ax=list(grid), shrink=0.5, label="share of attention")
    return figure


def _over_picture(cells: Cells, maps: dict[str, np.ndarray]) -> Any:
    """The picture, and over it how much each cell is looked at; 1 is as much as the others."""
    height, width = cells.picture.shape[-2:]
    side = 2.2 * max(1.0, (width / height) ** 0.5)
    figure, grid = _panels(1 + len(maps), (side, side * height / width + 0.3))
    show_picture(grid[0], cells)
    grid[0].set_title("picture", fontsize=9)
    colours = share_colours(max(float(found.max()) for found in maps.values()) * len(cells))
    for axes, (name, found) in zip(grid[1:], maps.items(), strict=False):
        show_over(axes, cells, found * len(cells), colours)
        axes.set_title(name, fontsize=9)
    figure.colorbar(colours, ax=list(grid), shrink=0.7, label="attention (1: an even share)")
    return figure


def _words_over_picture(words: list[str], cells: Cells, maps: dict[str, np.ndarray]) -> Any:
    """By row the mean and each head, by column some words: where each looks on the picture."""
    mean = next(iter(maps.values()))
    # The words whose looks are the least even.
    chosen = sorted(np.argsort(-mean.max(-1), kind="stable")[:MOST_WORDS].tolist())
    height, width = cells.picture.shape[-2:]
    wide = min(1.5 * max(1.0, width / height), 15 / (1 + len(chosen)))
    size = (wide * (1 + len(chosen)) + 1, (wide * height / width + 0.3) * len(maps) + 0.4)
    figure, grid = plt.subplots(len(maps), 1 + len(chosen), figsize=size, layout="constrained", squeeze=False)
    colours = share_colours(max(float(found[chosen].max()) for found in maps.values()) * len(cells))
    for line, (name, found) in zip(grid, maps.items(), strict=True):
        show_picture(line[0], cells)
        line[0].set_title(name, fontsize=9)
        for axes, word in zip(line[1:], chosen, strict=True):
            show_over(axes, cells, found[word] * len(cells), colours)
            axes.set_title(words[word] or "␣", fontsize=9, parse_math=False)
    figure.colorbar(colours, ax=grid, shrink=0.7, label="attention (1: an even share)")
    return figure


def _along_series(queries: Patches, keys: Patches, maps: dict[str, np.ndarray]) -> Any:
    """One matrix a head, its columns under the part of the series that is looked at."""
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    figure, grid = plt.subplots(
        2 * rows, columns, figsize=(4.6 * columns + 0.8, 4.2 * rows), layout="constrained", squeeze=False,
        sharex=True, height_ratios=[1, 2.6] * rows,
    )  # fmt: skip
    most = max(float(found.max()) for found in maps.values())
    panels = [pair for line in range(rows) for pair in zip(grid[2 * line], grid[2 * line + 1], strict=True)]
    for (above, below), (name, found) in zip(panels, maps.items(), strict=False):
        draw_series(above, keys)
        above.set_title(name, fontsize=9)
        steps = [np.array(shown.edges) - shown.now for shown in (keys, queries)]
        image = below.pcolormesh(*steps, found, cmap="Blues", vmin=0, vmax=most)
        below.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        below.axvline(0, color="grey", linewidth=0.8, linestyle=":")
        below.invert_yaxis()
    for above, below in panels[len(maps) :]:
        above.set_axis_off()
        below.set_axis_off()
    panels[0][0].set_ylabel(keys.name, fontsize=8, parse_math=False)
    panels[0][1].set(xlabel="step that is looked at (0: the first that is forecast)", ylabel="step that looks")
    figure.colorbar(image, ax=grid, shrink=0.5, label="share of attention")
    return figure


def draw_statistics(found: dict[str, list[HeadStatistics]], file: Path) -> None:
    """Entropy, distance and redundancy by layer and head, and the effective rank of latents by layer.

    Args:
        found: By name of what looks at what, the layers from the first to the last.
        file: The PNG to write.
    """
    kinds = {
        "entropy": "entropy (1: all keys alike)",
        "distance": "distance (steps or cells)",
        "redundancy": "redundancy (|cosine| of heads)",
    }
    depth = max(map(len, found.values()))
    heads = max(len(layer.entropy) for layers in found.values() for layer in layers)
    size = (4 * max(1.5, 0.5 * heads) + 4, len(found) * (0.45 * depth + 1.1) + 0.5)
    figure, grid = plt.subplots(len(found), 4, figsize=size, layout="constrained", squeeze=False)
    for line, (name, layers) in zip(grid, found.items(), strict=True):
        names = [str(number) for number in range(1, len(layers) + 1)]
        for axes, (kind, title) in zip(line, kinds.items(), strict=False):
            values = [getattr(layer, kind) for layer in layers]
            if values[0] is None:
                axes.set_axis_off()
                continue
            most = 1.0 if kind != "distance" else max(1e-9, float(np.max(values)))
            axes.imshow(values, cmap="Blues", vmin=0, vmax=most, aspect="auto")
            for row, column in np.ndindex(*np.shape(values)):
                colour = "white" if values[row][column] > 0.6 * most else "black"
                axes.text(column, row, f"{values[row][column]:.2f}", ha="center", va="center", color=colour, fontsize=8)
            axes.set_xticks(range(len(values[0])), range(1, 1 + len(values[0])))
            axes.set_yticks(range(len(names)), names)
            axes.set_title(title, fontsize=9)
            axes.set_xlabel("head")
        line[0].set_ylabel(f"{name}\nlayer")
        ranks = [layer.effective_rank for layer in layers if layer.effective_rank is not None]
        if not ranks:
            line[3].set_axis_off()
            continue
        bars = line[3].barh(names, ranks, color="tab:blue")
        line[3].bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        line[3].invert_yaxis()
        line[3].set_xlim(0, 1.2 * max(ranks))
        line[3].set_title(f"effective rank of latents (of {layers[0].kv_lora_rank})", fontsize=9)
    figure.savefig(file, dpi=110)
    plt.close(figure)


def show_picture(axes: Any, cells: Cells) -> None:
    """A picture as it is.

    Args:
        axes: Where.
        cells: Of the picture.
    """
    image = cells.picture.permute(1, 2, 0).squeeze(-1).to(torch.uint8).numpy()
    axes.imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
    axes.set_axis_off()


def share_colours(most: float) -> ScalarMappable:
    """From white, nothing, to red, the largest share; an even share, 1, is pale whatever the largest.

    Args:
        most: The largest share.
    """
    return ScalarMappable(Normalize(0, max(3.0, most)), "Reds")


def show_over(axes: Any, cells: Cells, values: np.ndarray, colours: ScalarMappable) -> None:
    """Values of cells as colours, and the picture as their shades.

    Args:
        axes: Where.
        cells: Of the picture.
        values: `(cells,)`.
        colours: Of values.
    """
    shade = DARKEST + (1 - DARKEST) * cells.picture.float().mean(0).numpy() / 255
    axes.imshow(colours.to_rgba(values[cells.cell.numpy()])[..., :3] * shade[..., None])
    axes.set_axis_off()


def draw_series(axes: Any, patches: Patches) -> None:
    """A series with its forecast.

    Args:
        axes: Where.
        patches: Of the series.
    """
    steps = np.arange(len(patches.values)) - patches.now
    axes.plot(steps[: patches.now], patches.values[: patches.now], color="black", linewidth=0.8)
    axes.plot(steps[patches.now :], patches.values[patches.now :], color="tab:blue", linewidth=1.2)
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    axes.tick_params(labelsize=7)


def _panels(count: int, size: tuple[float, float]) -> tuple[Any, list[Any]]:
    """A figure of so many panels, each of a size in inches."""
    columns = min(COLUMNS, count, max(3, math.floor(16 / size[0])))
    if count <= 2 * columns:
        columns = min(columns, -(-count // 2) if count > columns else count)
    rows = -(-count // columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(size[0] * columns + 1, size[1] * rows + 0.4), layout="constrained", squeeze=False
    )
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, list(grid.flat)
