"""Pictures of a translation model: BLEU by length, and where the decoder looks."""

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from sacrebleu.metrics import BLEU
from tokenizers import Tokenizer

from mla_train.data.tokenizers import END_ID, START_ID, read_tokenizer
from mla_train.training.task import Predictions
from tasks.translation.data import PairData
from tasks.translation.scores import Scores

matplotlib.use("Agg")
import matplotlib.pyplot as plt

QUANTILES = (0.5, 0.65, 0.8, 0.9)  # lengths of the sentences whose maps are drawn
GROUPS = 6


def draw_bleu_by_length(predictions: Predictions, sources: list[str], scores: Scores, file: Path) -> None:
    """BLEU of groups of test sentences of growing length, about as many in each.

    Args:
        predictions: Columns index, output and reference.
        sources: Of the test part.
        scores: How BLEU is counted.
        file: The PNG to write.
    """
    words = np.array([len(sources[i].split()) for i in predictions["index"]])
    edges = np.unique(np.quantile(words, np.linspace(0, 1, GROUPS + 1), method="nearest"))
    group = np.clip(np.searchsorted(edges, words, side="right") - 1, 0, max(len(edges) - 2, 0))
    # Where no sentence has four words, shorter pieces alone are counted.
    bleu = BLEU(lowercase=scores.lowercase, effective_order=True)
    names, bleus = [], []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        outputs, references = ([predictions[name][i] for i in rows] for name in ("output", "reference"))
        low, high = words[rows].min(), words[rows].max()
        names.append(f"{low}" if low == high else f"{low}-{high}")
        names[-1] += f"\n({len(rows)})"
        bleus.append(bleu.corpus_score(outputs, [references]).score)
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    bars = axes.bar(names, bleus, color="tab:blue")
    axes.bar_label(bars, fmt="%.1f")
    axes.set(xlabel="words of the source (sentences)", ylabel="BLEU", title="BLEU by length", ylim=(0, 105))
    figure.savefig(file, dpi=120)
    plt.close(figure)


@torch.no_grad()
def draw_maps(network: Any, predictions: Predictions, data: PairData, title: str, file: Path) -> None:
    """For a few test sentences: how much of its attention each output token gives to each source token.

    Above each map stands the reference.

    Args:
        network: Has `attention_map`.
        predictions: Column output.
        data: The test part and the tokenizers.
        title: Of the picture.
        file: The PNG to write.
    """
    facts = data.facts
    reading = read_tokenizer(facts.source_tokenizer)
    writing = read_tokenizer(facts.target_tokenizer or facts.source_tokenizer)
    lengths = np.array([len(data.test.source_tokens[i]) for i in predictions["index"]])
    # From usual to rather long: short ones show nothing, the longest cannot be read.
    order = np.argsort(lengths, kind="stable")
    rows = dict.fromkeys(order[(np.array(QUANTILES) * (len(order) - 1)).astype(int)].tolist())
    figure, grid = plt.subplots(2, 2, figsize=(13, 12), layout="constrained", squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    device = next(network.parameters()).device
    for row, axes in zip(rows, grid.flat, strict=False):
        source = data.test[int(predictions["index"][row])].source
        target = torch.tensor([START_ID, *writing.encode(predictions["output"][row]).ids])
        weights = network.attention_map(source[None].to(device), target[None].to(device))[0].float().cpu()
        seen = spell(reading, source.tolist())
        said = spell(writing, [*target[1:].tolist(), END_ID])
        axes.set_axis_on()
        image = axes.imshow(weights, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        axes.set_title(data.test.targets[int(predictions["index"][row])], fontsize=9, wrap=True)
        axes.set_xticks(range(len(seen)), seen, rotation=90)
        axes.set_yticks(range(len(said)), said)
        axes.set(xlabel="source", ylabel="output")
    figure.colorbar(image, ax=grid, shrink=0.4, label="share of attention")
    figure.suptitle(title)
    figure.savefig(file, dpi=100)
    plt.close(figure)


def spell(tokenizer: Tokenizer, numbers: list[int]) -> list[str]:
    """Tokens as people can read them: blanks are shown, and the end."""
    return ["end" if n == END_ID else tokenizer.decode([n]).replace(" ", "␣") for n in numbers]
