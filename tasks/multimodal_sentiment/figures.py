"""Pictures of a multimodal model: what each modality is worth, and where words look."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm
from torch import Tensor

from mla_train.inspect.heatmaps import show_over, show_picture
from mla_train.nn import observe
from mla_train.training.task import Raw
from tasks.multimodal_sentiment.data import MultimodalData
from tasks.multimodal_sentiment.fusion import CrossAttention

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EXAMPLES, WORDS = 4, 6
LONGEST_WORD = 18  # fits over its picture


def draw_ablation(
    whole: dict[str, float], ablation: dict[str, dict[str, float]], metric: str, modalities: list[str], file: Path
) -> None:
    """Bars: the metric with all modalities, with each alone and with each left out.

    Args:
        whole: Metrics with all.
        ablation: Metrics by `only NAME` and `without NAME`.
        metric: Which is drawn.
        modalities: Their names.
        file: The PNG to write.
    """
    bars = [("all", whole[metric], "tab:blue")]
    for kind, colour in (("only", "tab:orange"), ("without", "tab:grey")):
        # Of two modalities, one alone is the other left out.
        if kind == "only" or len(modalities) > 2:
            bars += [(f"{kind} {name}", ablation[f"{kind} {name}"][metric], colour) for name in modalities]
    figure, axes = plt.subplots(figsize=(7, 1 + 0.5 * len(bars)), layout="constrained")
    names, values, colours = zip(*bars[::-1], strict=True)
    white = {"facecolor": "white", "edgecolor": "none", "pad": 1}  # over the dotted line
    axes.bar_label(axes.barh(names, values, color=colours), fmt="%.3f", padding=3, bbox=white)
    axes.axvline(whole[metric], color="tab:blue", linewidth=1, linestyle=":")
    axes.set(xlabel=f"{metric} on test", title="What each modality is worth", xlim=(0, 1.15 * max(0.01, *values)))
    figure.savefig(file, dpi=120)
    plt.close(figure)


def draw_words_over_pictures(task: Any, data: MultimodalData, file: Path) -> None:
    """For a few test examples: the picture, and where on it some words look, over what an even look would give each cell.

    Nothing is drawn where there are no texts or pictures, or where they do not look at each other.

    Args:
        task: The trained task.
        data: The test part.
        file: The PNG to write.
    """
    facts = task.facts
    if not (isinstance(task.network.fusion, CrossAttention) and facts.texts and facts.images):
        return
    text, picture = next(iter(facts.texts)), next(iter(facts.images))
    there = np.flatnonzero(~(data.test.lacks(text) | data.test.lacks(picture)))
    if not len(there):
        return
    lengths = np.array([len(data.test.columns[text].tokens[i]) for i in there])  # type: ignore[union-attr]
    # From rather short to rather long: both what is usual and what is rich.
    order = there[np.argsort(lengths, kind="stable")]
    rows = order[(np.linspace(0.3, 0.9, EXAMPLES) * (len(order) - 1)).astype(int)].tolist()
    found = [_shares(task, task.raw(data, i), f"{text} over {picture}") for i in rows]
    # The words whose looks are the least even, in their order.
    chosen = [s.log().abs().amax(-1).topk(min(WORDS, len(s))).indices.sort().values for _, s in found]
    shown = torch.cat([shares[words].flatten() for (_, shares), words in zip(found, chosen, strict=True)])
    # One scale for all, as wide as need be: the bar says how uneven they are.
    most = max(1.01, float(shown.log().abs().max().exp()))
    colours = ScalarMappable(LogNorm(1 / most, most), "RdBu_r")
    image = data.facts.images[picture]
    size = 2.2 * (1 + WORDS) + 1, EXAMPLES * (2.2 * image.height / image.width + 0.3) + 0.5
    figure, axes = plt.subplots(EXAMPLES, 1 + WORDS, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for line, i, (look, shares), words in zip(axes, rows, found, chosen, strict=True):
        show_picture(line[0], look.keys)
        line[0].set_title(data.test.names[i][-24:], fontsize=8, parse_math=False)
        for axis, word in zip(line[1:], words.tolist(), strict=False):
            show_over(axis, look.keys, shares[word].numpy(), colours)
            label = look.queries.labels[word]
            label = label if len(label) <= LONGEST_WORD else f"{label[: LONGEST_WORD - 1]}…"
            axis.set_title(label, fontsize=9, parse_math=False)
    bar = figure.colorbar(colours, ax=axes, shrink=0.7, pad=0.01, aspect=30)
    bar.set_ticks([1 / most, 1, most], labels=[f"{1 / most:.2f}", "1", f"{most:.2f}"], minor=False)
    bar.ax.minorticks_off()
    bar.set_label("times an even look")
    figure.suptitle("Where words look on their picture (mean over heads)")
    figure.savefig(file, dpi=100)
    plt.close(figure)


@torch.no_grad()
def _shares(task: Any, raw: Raw, name: str) -> tuple[Any, Tensor]:
    """A look of an example, and how much each of its queries looks at each key, over an even look, `(queries, keys)`."""
    view = task.view(raw)
    look = next(look for look in view.looks if look.name == name)
    with observe(look.layers, "weights") as records:
        task.network(view.batch)
    weights = look.merged(records[0].weights[look.call][look.row]).mean(0)  # over heads
    return look, (weights / weights.mean(-1, keepdim=True)).clamp(min=1e-6)
