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
from mla_train.heads.generation import Generation
from mla_train.model import Model
from mla_train.nn import Decoder, observe
from mla_train.nn.fusion import CrossAttentionFusion

EXAMPLES, WORDS = 4, 6
LONGEST_WORD, LONGEST_TITLE = 18, 24  # fit over an image


def draw_words_over_images(model: Model, data: Dataset, file: Path) -> None:
    """Draws the attention of the least uniform words of a few test examples over their image, relative to uniform.

    The words are those that the model writes, or those of a text beside the image. Nothing is drawn where no words attend to
    an image.
    """
    kinds = {modality.kind: name for name, modality in reversed(data.spec.inputs.items())}
    head, image = model.head, kinds.get("image", "")
    writes = isinstance(head, Generation) and isinstance(head.decoder, Decoder)
    if not image or not (writes or (isinstance(model.fusion, CrossAttentionFusion) and "text" in kinds)):
        return
    is_missing = data.test.columns[image].is_missing()
    if writes:
        asking, lengths = "target", np.array([len(target.tokens) for target in data.test.targets])
    else:
        asking = kinds["text"]
        text = data.test.columns[asking]
        is_missing, lengths = is_missing | text.is_missing(), text.lengths()
    present = np.flatnonzero(~is_missing)
    if not len(present):
        return
    # From rather short to rather long texts: both what is usual and what is rich.
    order = present[np.argsort(lengths[present], kind="stable")]
    places = order[(np.linspace(0.3, 0.9, EXAMPLES) * (len(order) - 1)).astype(int)].tolist()
    rows: list[ImageRow] = []
    for place in places:
        view, ratio = _relative_attention(model, data.test.raw(place), f"{asking} over {image}")
        chosen = ratio.log().abs().amax(-1).topk(min(WORDS, len(ratio))).indices.sort().values.tolist()
        labels = [_short(view.queries.labels[word], LONGEST_WORD) for word in chosen]
        name = data.test.names[place][-LONGEST_TITLE:] if data.test.names else ""
        title = _short(data.test.targets[place].text, LONGEST_TITLE) if writes else name
        cells: Any = view.keys
        rows.append((title, cells, list(zip(labels, ratio[chosen].numpy(), strict=True))))
    spec: Any = data.spec.inputs[image].spec
    size = 2.2 * (1 + WORDS) + 1, EXAMPLES * (2.2 * spec.height / spec.width + 0.3) + 0.5
    figure = Figure(figsize=size, layout="constrained")
    draw_relative(figure, figure.subplots(EXAMPLES, 1 + WORDS), rows)
    figure.suptitle("Attention of words over their image (mean over heads)")
    save_figure(figure, file, 100)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@torch.no_grad()
def _relative_attention(model: Model, raw: dict[str, Any], name: str) -> tuple[AttentionView, Tensor]:
    """A view of an example's attention, and its attention in the last layer relative to uniform, `(queries, keys)`."""
    explanation = explain_example(model, raw)
    view = next(view for view in explanation.attention if view.name == name)
    with observe(view.layers, "weights") as records:
        model(explanation.batch)
    weights = view.by_unit(records[-1].weights[view.call][view.row]).mean(0)  # over heads
    return view, (weights / weights.mean(-1, keepdim=True)).clamp(min=1e-6)
