"""Figures of generated texts: BLEU by length, and where the decoder attends."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from sacrebleu.metrics import BLEU
from tokenizers import Tokenizer

from mla_train.data.batch import Batch
from mla_train.data.tokenizers import END_ID
from mla_train.figures import save_figure
from mla_train.heads.base import Predictions

QUANTILES = (0.5, 0.65, 0.8, 0.9)  # lengths of the examples whose attention is drawn
GROUPS = 6


def draw_bleu_by_length(
    predictions: Predictions, sources: list[str], lowercase: bool, tokenizer: str, file: Path
) -> None:
    """BLEU of groups of examples, about as many in each, of growing length of what they were generated from."""
    words = np.array([len(sources[place].split()) for place in predictions["index"]])
    edges = np.unique(np.quantile(words, np.linspace(0, 1, GROUPS + 1), method="nearest"))
    group = np.clip(np.searchsorted(edges, words, side="right") - 1, 0, max(len(edges) - 2, 0))
    # Where no sentence has four words, shorter pieces alone are counted.
    bleu = BLEU(lowercase=lowercase, tokenize=tokenizer, effective_order=True)
    names, scores = [], []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        texts, references = ([predictions[name][row] for row in rows] for name in ("predicted", "label"))
        low, high = words[rows].min(), words[rows].max()
        names.append((f"{low}" if low == high else f"{low}-{high}") + f"\n({len(rows)})")
        scores.append(bleu.corpus_score(texts, [references]).score)
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.bar_label(axes.bar(names, scores, color="tab:blue"), fmt="%.1f")
    axes.set(xlabel="words of the source (sentences)", ylabel="BLEU", title="BLEU by length", ylim=(0, 105))
    save_figure(figure, file, 120)


@torch.no_grad()
def draw_cross_attention(model: Any, name: str, predictions: Predictions, split: Any, file: Path) -> None:
    """For a few examples: the attention of each generated token to each token of one input, below the reference."""
    head, source = model.head, model.spec.inputs[name]
    lengths = split.columns[name].lengths()[predictions["index"]]
    # From usual to rather long: short ones show nothing, the longest cannot be read.
    order = np.argsort(lengths, kind="stable")
    rows = dict.fromkeys(order[(np.array(QUANTILES) * (len(order) - 1)).astype(int)].tolist())
    figure = Figure(figsize=(13, 12), layout="constrained")
    grid = figure.subplots(2, 2)
    for axes in grid.flat:
        axes.set_axis_off()
    device = next(model.parameters()).device
    for row, axes in zip(rows, grid.flat, strict=False):
        tensors = source.collate([split.columns[name][int(predictions["index"][row])]])
        targets = head.encode_answers([predictions["predicted"][row]])
        batch = Batch(torch.zeros(1, dtype=torch.long), {name: tensors}, targets).to(device)
        weights = head.attention_map(model.encode(batch), batch)[0].float().cpu()
        axes.set_axis_on()
        image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(predictions["label"][row], fontsize=9, wrap=True)
        read = spell(source.tokenizer, tensors.tokens[0].tolist())
        written = spell(head.tokenizer, targets.following[0].tolist())
        axes.set_xticks(range(len(read)), read, rotation=90)
        axes.set_yticks(range(len(written)), written)
        axes.set(xlabel=name, ylabel="prediction")
    figure.colorbar(image, ax=grid, shrink=0.4, label="share of attention")
    figure.suptitle("attention of each generated token (mean over the heads of the last block)")
    save_figure(figure, file, 100)


def spell(tokenizer: Tokenizer, numbers: list[int]) -> list[str]:
    """Tokens as people can read them: spaces are shown, and the end."""
    return ["end" if number == END_ID else tokenizer.decode([number]).replace(" ", "␣") for number in numbers]
