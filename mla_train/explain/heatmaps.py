"""Figures of attention maps: words over words, cells and words over an image, patches along a series."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from mla_train.explain.attention_view import AttentionView
from mla_train.figures import save_figure
from mla_train.modalities.explanation import CellUnits, PatchUnits
from mla_train.nn.head_statistics import HeadStatistics

ImageRow = tuple[str, CellUnits, list[tuple[str, np.ndarray]]]
"""An image with its title, and values of its cells, each with a title."""

MAX_LABELS = 60  # labels along an axis
MAX_WORDS = 8  # words over an image
COLUMNS = 4
OPACITY = 0.65  # opacity of colours over an image
SMALLEST = 0.1  # attention relative to uniform: smaller values have the colour of this one


def draw_attention_view(view: AttentionView, weights: Tensor, title: str, file: Path | IO[bytes]) -> None:
    """Draws attention of the heads of one layer, `(heads, query_tokens, key_tokens)`, and their mean."""
    weights, view = weights.float().cpu(), view.of_read_words()
    if isinstance(view.keys, CellUnits) and isinstance(view.queries, CellUnits):
        figure = _over_image(view.keys, with_mean(view.received(weights)))
    elif isinstance(view.keys, CellUnits):
        figure = _words_over_image(view.queries.labels, view.keys, with_mean(view.by_unit(weights)))
    elif isinstance(view.keys, PatchUnits) and isinstance(view.queries, PatchUnits):
        figure = _along_series(view.queries, view.keys, with_mean(view.by_unit(weights)))
    else:
        figure = _words_over_words(view, with_mean(view.by_unit(weights)))
    figure.suptitle(title)
    save_figure(figure, file, 110)


def with_mean(maps: Tensor) -> dict[str, np.ndarray]:
    """The mean over heads, followed by each head, of maps `(heads, ...)`; a single one has no mean."""
    heads = {f"head {number}": head.numpy() for number, head in enumerate(maps, 1)}
    return {"mean over heads": maps.mean(0).numpy()} | heads if len(maps) > 1 else {"": maps[0].numpy()}


def _words_over_words(view: AttentionView, maps: dict[str, np.ndarray]) -> Figure:
    """One matrix for each head: queries in rows, keys in columns."""
    queries, keys = view.queries.labels, view.keys.labels
    cell = min(0.3, 6 / max(len(queries), len(keys)))
    margin = 0.075 * max(map(len, [*keys, *queries]))
    size = max(1.8, cell * len(keys)) + margin, max(1.8, cell * len(queries)) + margin + 0.3
    largest = max(float(values.max()) for values in maps.values())
    figure, grid = _panels(len(maps), size)
    for axes, (name, values) in zip(grid, maps.items(), strict=False):
        image = axes.imshow(values, cmap="Blues", vmin=0, vmax=largest, interpolation="nearest")
        axes.set_title(name, fontsize=9)
        for axis, labels in ((axes.xaxis, keys), (axes.yaxis, queries)):
            ticks = range(0, len(labels), -(-len(labels) // MAX_LABELS))
            texts = [labels[i] or "␣" for i in ticks]
            turn = {"rotation": 90} if axis is axes.xaxis and max(map(len, texts)) > 2 else {}
            axis.set_ticks(ticks, texts, fontsize=min(8, max(4, 30 * cell)), **turn)
        axes.tick_params(length=0)
    query, _, key = view.name.partition(" over ")
    grid[0].set_ylabel(f"query: {query}" if key else "query")
    grid[0].set_xlabel(f"key: {key}" if key else "key")
    weight_bar(figure, image, list(grid), len(keys))
    return figure


def _over_image(cells: CellUnits, maps: dict[str, np.ndarray]) -> Figure:
    """The image, and over it the attention that each cell receives relative to uniform attention."""
    height, width = cells.image.shape[-2:]
    side = 2.2 * max(1.0, (width / height) ** 0.5)
    figure, grid = _panels(1 + len(maps), (side, side * height / width + 0.3))
    draw_relative(figure, [grid], [(cells.name, cells, [(name, values * len(cells)) for name, values in maps.items()])])
    return figure


def _words_over_image(words: list[str], cells: CellUnits, maps: dict[str, np.ndarray]) -> Figure:
    """The mean and each head in rows, some words in columns: attention of the word over the image."""
    mean = next(iter(maps.values()))
    # The words with the least uniform attention.
    chosen = sorted(np.argsort(-mean.max(-1), kind="stable")[:MAX_WORDS].tolist())
    height, width = cells.image.shape[-2:]
    wide = min(1.5 * max(1.0, width / height), 15 / (1 + len(chosen)))
    size = (wide * (1 + len(chosen)) + 1, (wide * height / width + 0.3) * len(maps) + 0.4)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(maps), 1 + len(chosen), squeeze=False)
    rows = [(n, cells, [(words[i] or "␣", v[i] * len(cells)) for i in chosen]) for n, v in maps.items()]
    draw_relative(figure, grid, rows)
    return figure


def _along_series(queries: PatchUnits, keys: PatchUnits, maps: dict[str, np.ndarray]) -> Figure:
    """One matrix for each head, its columns below the keys' part of the series."""
    columns = min(3, len(maps))
    rows = -(-len(maps) // columns)
    figure = Figure(figsize=(4.6 * columns + 0.8, 4.2 * rows), layout="constrained")
    grid = figure.subplots(2 * rows, columns, squeeze=False, sharex=True, height_ratios=[1, 2.6] * rows)
    largest = max(float(values.max()) for values in maps.values())
    panels = list(zip(grid[::2].flat, grid[1::2].flat, strict=True))
    for (above, below), (name, values) in zip(panels, maps.items(), strict=False):
        draw_series(above, keys)
        above.set_title(name, fontsize=9)
        steps = [np.array(units.edges) - units.forecast_start for units in (keys, queries)]
        image = below.pcolormesh(*steps, values, cmap="Blues", vmin=0, vmax=largest)
        below.axhline(0, color="grey", linewidth=0.8, linestyle=":")
        below.axvline(0, color="grey", linewidth=0.8, linestyle=":")
        below.invert_yaxis()
    for above, below in panels[len(maps) :]:
        above.set_axis_off()
        below.set_axis_off()
    panels[0][0].set_ylabel(keys.name, fontsize=8)
    panels[0][1].set(xlabel="key step (0: start of the forecast)", ylabel="query step")
    weight_bar(figure, image, grid, len(keys))
    return figure


def draw_statistics(statistics: dict[str, list[HeadStatistics]], file: Path) -> None:
    """Draws entropy, distance and redundancy by layer and head, and the rank of latents by layer, of each attention view."""
    kinds = {"entropy": "relative entropy (1: uniform)", "distance": "distance (steps or cells)",
             "redundancy": "redundancy (mean |cosine|)"}  # fmt: skip
    depth = max(map(len, statistics.values()))
    heads = max(len(layer.entropy) for layers in statistics.values() for layer in layers)
    size = (4 * max(1.5, 0.5 * heads) + 4, len(statistics) * (0.45 * depth + 1.1) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(statistics), 4, squeeze=False)
    for line, (name, layers) in zip(grid, statistics.items(), strict=True):
        names = [str(number) for number in range(1, len(layers) + 1)]
        for axes, (kind, title) in zip(line, kinds.items(), strict=False):
            values = [getattr(layer, kind) for layer in layers]
            if values[0] is None:
                axes.set_axis_off()
                continue
            largest = 1.0 if kind != "distance" else max(1e-9, float(np.max(values)))
            axes.imshow(values, cmap="Blues", vmin=0, vmax=largest, aspect="auto")
            for row, column in np.ndindex(*np.shape(values)):
                colour = "white" if values[row][column] > 0.6 * largest else "black"
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
    save_figure(figure, file, 110)


def show_images(grid: Any, rows: Iterable[ImageRow], colours: ScalarMappable) -> None:
    """Draws rows of panels: an image, and over it in grey the colours of some values of its cells."""
    for line, (title, cells, maps) in zip(grid, rows, strict=False):
        image = cells.image.permute(1, 2, 0).squeeze(-1).to(torch.uint8).numpy()
        line[0].imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
        line[0].set_title(title, fontsize=9)
        grey = cells.image.float().mean(0).numpy()[..., None] / 255
        for axes, (name, values) in zip(line[1:], maps, strict=False):
            axes.imshow((1 - OPACITY) * grey + OPACITY * colours.to_rgba(values[cells.cell.numpy()])[..., :3])
            axes.set_title(name, fontsize=9)
        for axes in line:
            axes.set_axis_off()


def draw_relative(figure: Figure, grid: Any, rows: Sequence[ImageRow]) -> None:
    """Draws attention relative to uniform attention: white at 1, red above, blue below, on a logarithmic scale.

    The scale is symmetric around 1 and as wide as the values; its bar names its ends and its reference.
    """
    values = np.concatenate([values for _, _, maps in rows for _, values in maps])
    width = max(1.01, float(np.exp(np.abs(np.log(values.clip(min=SMALLEST))).max())))
    colours = ScalarMappable(LogNorm(1 / width, width), "RdBu_r")
    show_images(grid, rows, colours)
    bar = figure.colorbar(colours, ax=np.ravel(grid), shrink=0.7, pad=0.01, aspect=30)
    bar.set_ticks([1 / width, 1, width], labels=[f"{1 / width:.2f}", "1 (uniform)", f"{width:.2f}"], minor=False)
    bar.ax.minorticks_off()
    if figure.get_figheight() > 2:  # of a low figure the label would be cut
        bar.set_label("attention relative to uniform")


def weight_bar(figure: Any, image: Any, axes: Any, keys: int, shrink: float = 0.5) -> None:
    """A colour bar of attention weights, which names its ends and the weight of each key in uniform attention."""
    largest = image.norm.vmax
    ticks = {0: "0", 1 / keys: f"{1 / keys:.2g} (uniform)", largest: f"{largest:.2g}"}
    if 1 / keys > 0.9 * largest:  # the labels would cover each other
        del ticks[largest]
    bar = figure.colorbar(image, ax=axes, shrink=shrink, label="attention weight")
    bar.set_ticks(list(ticks), labels=list(ticks.values()))


def draw_series(axes: Any, patches: PatchUnits) -> None:
    """Draws a series with its forecast."""
    start, values = patches.forecast_start, patches.values
    steps = np.arange(len(values)) - start
    axes.plot(steps[:start], values[:start], color="black", linewidth=0.8)
    axes.plot(steps[start:], values[start:], color="tab:blue", linewidth=1.2)
    axes.axvline(0, color="grey", linewidth=0.8, linestyle=":")
    axes.tick_params(labelsize=7)


def _panels(count: int, size: tuple[float, float]) -> tuple[Figure, list[Any]]:
    """A figure with a number of panels, each of a size in inches."""
    columns = min(COLUMNS, count, max(3, int(16 // size[0])))
    if columns < count <= 2 * columns:
        columns = -(-count // 2)
    rows = -(-count // columns)
    figure = Figure(figsize=(size[0] * columns + 1, size[1] * rows + 0.4), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[count:]:
        axes.set_axis_off()
    return figure, list(grid.flat)
