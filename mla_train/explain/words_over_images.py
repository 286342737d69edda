"""Attention of words over their image, for a few test examples, in one figure."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from torch import Tensor

from mla_train.dataset import Dataset
from mla_train.explain.attention_view import AttentionView
from mla_train.explain.explanation import explain_example
from mla_train.explain.heatmaps import add_relative_bar, relative_colours, show_image, show_over_image
from mla_train.model import Model
from mla_train.nn import observe
from mla_train.nn.fusion import CrossAttentionFusion

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EXAMPLES, WORDS = 4, 6
LONGEST_WORD = 18  # fits over its image


def draw_words_over_images(model: Model, data: Dataset, file: Path) -> None:
    """Draws the attention of the least uniform words of a few test examples over their image, relative to uniform.

    Nothing is drawn without a text and an image, or where they do not attend to each other.

    Args:
        model: Trained network in evaluation mode.
        data: Data set with the test split.
        file: PNG to write.
    """
    kinds = {modality.kind: name for name, modality in reversed(data.spec.inputs.items())}
    if not (isinstance(model.fusion, CrossAttentionFusion) and {"text", "image"} <= kinds.keys()):
        return
    text, image = (data.test.columns[kinds[kind]] for kind in ("text", "image"))
    present = np.flatnonzero(~(text.is_missing() | image.is_missing()))
    if not len(present):
        return
    # From rather short to rather long texts: both what is usual and what is rich.
    order = present[np.argsort(text.lengths()[present], kind="stable")]
    places = order[(np.linspace(0.3, 0.9, EXAMPLES) * (len(order) - 1)).astype(int)].tolist()
    name = f"{kinds['text']} over {kinds['image']}"
    maps = [_relative_attention(model, data.test.raw(place), name) for place in places]
    chosen = [ratio.log().abs().amax(-1).topk(min(WORDS, len(ratio))).indices.sort().values for _, ratio in maps]
    values = torch.cat([ratio[words].flatten() for (_, ratio), words in zip(maps, chosen, strict=True)])
    colours = relative_colours(values.numpy())
    spec: Any = data.spec.inputs[kinds["image"]].spec
    size = 2.2 * (1 + WORDS) + 1, EXAMPLES * (2.2 * spec.height / spec.width + 0.3) + 0.5
    figure, axes = plt.subplots(EXAMPLES, 1 + WORDS, figsize=size, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for line, place, (view, ratio), words in zip(axes, places, maps, chosen, strict=True):
        cells: Any = view.keys
        show_image(line[0], cells)
        if data.test.names:
            line[0].set_title(data.test.names[place][-24:], fontsize=8, parse_math=False)
        for axis, word in zip(line[1:], words.tolist(), strict=False):
            show_over_image(axis, cells, ratio[word].numpy(), colours)
            label = view.queries.labels[word]
            label = label if len(label) <= LONGEST_WORD else f"{label[: LONGEST_WORD - 1]}…"
            axis.set_title(label, fontsize=9, parse_math=False)
    add_relative_bar(figure, colours, axes)
    figure.suptitle("Attention of words over their image (mean over heads)")
    figure.savefig(file, dpi=100)
    plt.close(figure)


@torch.no_grad()
def _relative_attention(model: Model, raw: dict[str, Any], name: str) -> tuple[AttentionView, Tensor]:
    """A view of an example's attention, and the attention relative to uniform, `(queries, keys)`."""
    explanation = explain_example(model, raw)
    view = next(view for view in explanation.attention if view.name == name)
    with observe(view.layers, "weights") as records:
        model(explanation.batch)
    weights = view.by_unit(records[0].weights[view.call][view.row]).mean(0)  # over heads
    return view, (weights / weights.mean(-1, keepdim=True)).clamp(min=1e-6)
