"""Attention of words over their image, for a few test examples, in one figure."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from mla_train.dataset import Dataset
from mla_train.explain.attention_view import AttentionView
from mla_train.explain.explanation import explain_example
from mla_train.explain.heatmaps import ImageRow, draw_relative
from mla_train.figures import save_figure
from mla_train.model import Model
from mla_train.nn import observe
from mla_train.nn.fusion import CrossAttentionFusion

EXAMPLES, WORDS = 4, 6
LONGEST_WORD = 18  # fits over its image


def draw_words_over_images(model: Model, data: Dataset, file: Path) -> None:
    """Draws the attention of the least uniform words of a few test examples over their image, relative to uniform.

    Nothing is drawn without a text and an image, or where they do not attend to each other.
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
    rows: list[ImageRow] = []
    for place in places:
        view, ratio = _relative_attention(model, data.test.raw(place), name)
        chosen = ratio.log().abs().amax(-1).topk(min(WORDS, len(ratio))).indices.sort().values.tolist()
        labels = [view.queries.labels[word] for word in chosen]
        short = [label if len(label) <= LONGEST_WORD else f"{label[: LONGEST_WORD - 1]}…" for label in labels]
        title = data.test.names[place][-24:] if data.test.names else ""
        cells: Any = view.keys
        rows.append((title, cells, list(zip(short, ratio[chosen].numpy(), strict=True))))
    spec: Any = data.spec.inputs[kinds["image"]].spec
    size = 2.2 * (1 + WORDS) + 1, EXAMPLES * (2.2 * spec.height / spec.width + 0.3) + 0.5
    figure = Figure(figsize=size, layout="constrained")
    draw_relative(figure, figure.subplots(EXAMPLES, 1 + WORDS), rows)
    figure.suptitle("Attention of words over their image (mean over heads)")
    save_figure(figure, file, 100)


@torch.no_grad()
def _relative_attention(model: Model, raw: dict[str, Any], name: str) -> tuple[AttentionView, Tensor]:
    """A view of an example's attention, and the attention relative to uniform, `(queries, keys)`."""
    explanation = explain_example(model, raw)
    view = next(view for view in explanation.attention if view.name == name)
    with observe(view.layers, "weights") as records:
        model(explanation.batch)
    weights = view.by_unit(records[0].weights[view.call][view.row]).mean(0)  # over heads
    return view, (weights / weights.mean(-1, keepdim=True)).clamp(min=1e-6)
