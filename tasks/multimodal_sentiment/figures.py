"""Pictures of a multimodal model: what each modality is worth, and where words look."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F

from mla_train.data.tokenizers import read_tokenizer
from mla_train.nn.attention_maps import attention_maps
from tasks.multimodal_sentiment.columns import Images
from tasks.multimodal_sentiment.data import MultimodalData
from tasks.multimodal_sentiment.fusion import CrossAttention

matplotlib.use("Agg")
import matplotlib.pyplot as plt

EXAMPLES, WORDS = 4, 6
TINY = 1e-9


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


@torch.no_grad()
def draw_words_over_pictures(network: Any, data: MultimodalData, device: torch.device, file: Path) -> None:
    """For a few test examples: the picture, and where on it some words look, over what an even look would give each cell.

    Nothing is drawn where there are no texts or pictures, or where they do not look at each other.

    Args:
        network: The trained network.
        data: The test part.
        device: Where the network is.
        file: The PNG to write.
    """
    facts = network.facts
    if not (isinstance(network.fusion, CrossAttention) and facts.texts and facts.images):
        return
    text, picture = next(iter(facts.texts)), next(iter(facts.images))
    there = np.flatnonzero(~(data.test.lacks(text) | data.test.lacks(picture)))
    if not len(there):
        return
    lengths = np.array([len(data.test.columns[text].tokens[i]) for i in there])  # type: ignore[union-attr]
    # From rather short to rather long: both what is usual and what is rich.
    order = there[np.argsort(lengths, kind="stable")]
    rows = order[(np.linspace(0.3, 0.9, EXAMPLES) * (len(order) - 1)).astype(int)]
    tokenizer = read_tokenizer(facts.texts[text].tokenizer)
    grid = network.embeddings[picture].tokenizer.grid
    column = data.test.columns[picture]
    assert isinstance(column, Images)
    group_of = {int(i): number for number, group in enumerate(data.test.groups) for i in group}
    height = 2.2 * column.images.size(-2) / column.images.size(-1) + 0.3  # of a row in inches, with its titles
    size = 2.2 * (1 + WORDS) + 1, height * EXAMPLES + 0.5
    figure, axes = plt.subplots(EXAMPLES, 1 + WORDS, figsize=size, layout="constrained")
    looks = []
    for axis in axes.flat:
        axis.set_axis_off()
    for line, i in zip(axes, rows, strict=True):
        batch = data.collate([data.test[group_of[int(i)]]], training=False).to(device)
        place = batch.index.tolist().index(int(i))
        with attention_maps([network.fusion.look.attention]) as found:
            network(batch)
        maps = found[0][facts.modalities.index(text)][place].mean(0).cpu()  # over heads
        before = 0
        for name in facts.modalities:
            if name == picture:
                break
            before += 0 if name == text else batch.padding[name].size(1)
        maps = maps[:, before : before + grid[0] * grid[1]]
        maps = (maps / maps.mean(-1, keepdim=True).clamp(min=TINY)).clamp(min=TINY).log2()
        # Spans of the text itself: what is not in the vocabulary has a word, too.
        written = data.test.columns[text].texts[i]  # type: ignore[union-attr]
        spans = tokenizer.encode(written).offsets[: int((~batch.padding[text][place]).sum())]
        image = column.images[int(i)].permute(1, 2, 0).squeeze(-1).numpy()
        grey = image if image.ndim == 2 else image.mean(-1)
        line[0].imshow(image, cmap="gray" if image.ndim == 2 else None, vmin=0, vmax=255)
        line[0].set_title(data.test.names[int(i)][-24:], fontsize=8, parse_math=False)
        # The words whose looks are the least even.
        peaks = maps[: len(spans)].abs().amax(-1)
        for axis, word in zip(line[1:], sorted(peaks.topk(min(WORDS, len(spans))).indices.tolist()), strict=False):
            heat = F.interpolate(maps[word].view(1, 1, *grid), image.shape[:2], mode="bilinear")[0, 0]
            axis.imshow(grey, cmap="gray", vmin=0, vmax=255)
            looks.append((axis, heat))
            axis.set_title(written[slice(*spans[word])].strip(), fontsize=9, parse_math=False)
    # One scale for all, as wide as need be: the bar says how uneven they are.
    most = max(float(heat.abs().max()) for _, heat in looks) or 1.0
    for axis, heat in looks:
        shades = axis.imshow(heat, cmap="RdBu_r", alpha=0.6, vmin=-most, vmax=most)
    ticks = [-most, -most / 2, 0.0, most / 2, most]
    bar = figure.colorbar(shades, ax=axes, shrink=0.7, pad=0.01, aspect=30, ticks=ticks)
    bar.ax.set_yticklabels([f"{2**tick:.3g}" for tick in ticks])
    bar.set_label("times an even look")
    figure.suptitle("Where words look on their picture (mean over heads)")
    figure.savefig(file, dpi=100)
    plt.close(figure)
