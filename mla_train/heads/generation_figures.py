"""Figures of generated texts: a score by length, where the decoder attends, and what it copies."""

from collections.abc import Callable
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
COPY_QUANTILES = (0.02, 0.05, 0.1, 0.2)  # all tokens of these can be read
GROUPS = 6


def draw_by_length(
    predictions: Predictions, sources: list[str], score: Callable[[list[str], list[str]], float], name: str, file: Path
) -> None:
    """A score of groups of examples, about as many in each, of growing length of what they were generated from.

    Args:
        predictions: Predictions of a split.
        sources: Text of each example of the split.
        score: Function of generated texts and their references to a number from 0 to 100.
        name: Name of the score.
        file: File that is written.
    """
    words = np.array([len(sources[place].split()) for place in predictions["index"]])
    edges = np.unique(np.quantile(words, np.linspace(0, 1, GROUPS + 1), method="nearest"))
    group = np.clip(np.searchsorted(edges, words, side="right") - 1, 0, max(len(edges) - 2, 0))
    names, scores = [], []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        texts, references = ([predictions[column][row] for row in rows] for column in ("predicted", "label"))
        low, high = words[rows].min(), words[rows].max()
        names.append((f"{low}" if low == high else f"{low}-{high}") + f"\n({len(rows)})")
        scores.append(score(texts, references))
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.bar_label(axes.bar(names, scores, color="tab:blue"), fmt="%.1f")
    axes.set(
        xlabel="words of the source (examples)",
        ylabel=name,
        title=f"{name} by length",
        ylim=(0, 1.05 * max(*scores, 1)),
    )
    save_figure(figure, file, 120)


def bleu_of(lowercase: bool, tokenizer: str) -> Callable[[list[str], list[str]], float]:
    """BLEU of texts; where none has four words, shorter pieces alone are counted."""
    bleu = BLEU(lowercase=lowercase, tokenize=tokenizer, effective_order=True)
    return lambda texts, references: bleu.corpus_score(texts, [references]).score


def draw_cross_attention(model: Any, name: str, predictions: Predictions, split: Any, file: Path) -> None:
    """For a few examples: the attention of each generated token to each token of one input, below the reference."""
    # From usual to rather long: short ones show nothing, the longest cannot be read.
    figure = Figure(figsize=(13, 12), layout="constrained")
    maps = _draw_maps(model, name, predictions, split, model.head.attention_map, QUANTILES, figure.subplots(2, 2))
    figure.colorbar(maps, ax=figure.axes, shrink=0.4, label="share of attention")
    figure.suptitle("attention of each generated token (mean over the heads of the last block)")
    save_figure(figure, file, 100)


def draw_copies(model: Any, name: str, predictions: Predictions, split: Any, file: Path) -> None:
    """For a few examples: the probability that each generated token is copied from each token of a text."""
    figure = Figure(figsize=(15, 16), layout="constrained")
    maps = _draw_maps(model, name, predictions, split, model.head.copy_map, COPY_QUANTILES, figure.subplots(4, 1))
    figure.colorbar(maps, ax=figure.axes, shrink=0.3, label="probability of a copy")
    figure.suptitle("where generated tokens are copied from; pale rows are chosen from the vocabulary")
    save_figure(figure, file, 100)


@torch.no_grad()
def _draw_maps(
    model: Any,
    name: str,
    predictions: Predictions,
    split: Any,
    weigh: Callable[..., torch.Tensor],
    quantiles: Any,
    grid: Any,
) -> Any:
    """Draws the weights of generated tokens over the tokens of an input, for examples of some quantiles of length."""
    head, source = model.head, model.spec.inputs[name]
    lengths = split.columns[name].lengths()[predictions["index"]]
    order = np.argsort(lengths, kind="stable")
    rows = dict.fromkeys(order[(np.array(quantiles) * (len(order) - 1)).astype(int)].tolist())
    for axes in grid.flat:
        axes.set_axis_off()
    device = next(model.parameters()).device
    for row, axes in zip(rows, grid.flat, strict=False):
        tensors = source.collate([split.columns[name][int(predictions["index"][row])]])
        targets = head.encode_answers([predictions["predicted"][row]])
        batch = Batch(torch.zeros(1, dtype=torch.long), {name: tensors}, targets).to(device)
        weights = weigh(model.encode(batch), batch)[0].float().cpu()
        axes.set_axis_on()
        image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(predictions["label"][row], fontsize=9, wrap=True)
        read = spell(source.tokenizer, tensors.tokens[0].tolist())
        written = spell(head.tokenizer, targets.following[0].tolist())
        axes.set_xticks(range(len(read)), read, rotation=90)
        axes.set_yticks(range(len(written)), written)
        axes.set(xlabel=name, ylabel="prediction")
    return image


def spell(tokenizer: Tokenizer, numbers: list[int]) -> list[str]:
    """Tokens as people can read them: spaces are shown, and the end."""
    return ["end" if number == END_ID else tokenizer.decode([number]).replace(" ", "␣") for number in numbers]
