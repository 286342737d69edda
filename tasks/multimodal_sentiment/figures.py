"""Pictures of a multimodal model: what each modality is worth, and where words look."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from mla_train.explain.heatmaps import add_relative_bar, relative_colours, show_image, show_over_image
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
    """For a few test examples: the picture, and where on it some words look, relative to uniform attention.

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
    colours = relative_colours(shown.numpy())
    image = data.facts.images[picture]
    size = 2.2 * (1 + WORDS) + 1, EXAMPLES * (2.2 * image.height / image.width + 0.3) + 0.5
    figure, axes = plt.subplots(EXAMPLES, 1 + WORDS, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for line, i, (view, shares), words in zip(axes, rows, found, chosen, strict=True):
        show_image(line[0], view.keys)
        line[0].set_title(data.test.names[i][-24:], fontsize=8, parse_math=False)
        for axis, word in zip(line[1:], words.tolist(), strict=False):
            show_over_image(axis, view.keys, shares[word].numpy(), colours)
            label = view.queries.labels[word]
            label = label if len(label) <= LONGEST_WORD else f"{label[: LONGEST_WORD - 1]}…"
            axis.set_title(label, fontsize=9, parse_math=False)
    add_relative_bar(figure, colours, axes)
    figure.suptitle("Attention of words over their image (mean over heads)")
    figure.savefig(file, dpi=100)
    plt.close(figure)


@torch.no_grad()
def _shares(task: Any, raw: Raw, name: str) -> tuple[Any, Tensor]:
    """An attention view of an example, and its attention relative to uniform, `(queries, keys)`."""
    explanation = task.explain(raw)
    view = next(view for view in explanation.attention if view.name == name)
    with observe(view.layers, "weights") as records:
        task.network(explanation.batch)
    weights = view.by_unit(records[0].weights[view.call][view.row]).mean(0)  # over heads
    return view, (weights / weights.mean(-1, keepdim=True)).clamp(min=1e-6)
