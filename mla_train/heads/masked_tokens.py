"""Hidden tokens of a text: the encoder says at each gap which token stood there (masked language modelling)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.heads.base import Embeddings, Predictions, columns_of
from mla_train.heads.token_scores import TokenLabels, TokenScores
from mla_train.heads.unlabelled import sums_by_example
from mla_train.modalities.base import ModalityFeatures

KEPT, RANDOM = 0.1, 0.1  # shares of hidden tokens that stay, and that become another one, with corruption=bert
ALTERNATIVES = 5  # tokens that are named for each gap of a new text
WORD_STARTS = ("\N{LATIN CAPITAL LETTER G WITH DOT ABOVE}", " ")  # how a byte-level token, or a blank, begins a word


@dataclass
class MaskedTokenSpec:
    """How tokens are hidden.

    Attributes:
        text: Name of the input.
        rate: Share of the words that are hidden.
        whole_words: Whether all tokens of a word are hidden together.
        corrupt: Whether some of them stay, and some become random ones.
    """

    text: str = "text"
    rate: float = 0.3
    whole_words: bool = True
    corrupt: bool = True


class MaskedTokens(TokenScores):
    """Scores of the tokens of the vocabulary at each gap; the matrix is that of the embeddings (Press and Wolf 2017).

    Scores are computed at gaps alone: they are three tokens in ten, and the vocabulary is the largest matrix.
    """

    kind = "masked_tokens"
    spec_class = MaskedTokenSpec
    directions = {"accuracy": "max", "perplexity": "min"}
    monitor = "perplexity"
    units = {"perplexity": "tokens"}

    def __init__(
        self, config: TrainConfig, spec: MaskedTokenSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__(spec, embeddings)
        dim = config.encoder.dim
        self.transform = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim))
        self.bias = nn.Parameter(torch.zeros(self._shared[0].spec.vocab_size))

    # The network.

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> tuple[Tensor, Tensor]:
        """True at gaps, `(batch, length)`, and the scores of all tokens there, `(gaps, vocab_size)`."""
        tokens = features[self.spec.text].tokens
        assert tokens is not None
        gaps = self._gaps(batch)
        return gaps, self.transform(tokens[gaps]) @ self._shared[0].tokens.weight.T + self.bias

    def _gaps(self, batch: Batch) -> Tensor:
        tokens = batch.inputs[self.spec.text].tokens
        return tokens == UNK_ID if batch.targets is None else batch.targets.places

    # Answers.

    def predict(
        self,
        outputs: tuple[Tensor, Tensor],
        features: dict[str, ModalityFeatures],
        batch: Batch,
        val_size: int | None = None,
    ) -> Predictions:
        """The likeliest token at each gap, and how well the true ones were foreseen; of a new text the likeliest ones.

        `filled` and `label` are token numbers `(gaps,)` of each text, `loss` and `correct` sums over its gaps.
        """
        gaps, scores = outputs
        counts = gaps.sum(1)
        likeliest = scores.argmax(-1)
        columns: Predictions = {"gaps": counts.cpu().numpy(), "filled": _by_text(likeliest, counts)}
        if batch.targets is None:
            chances, tokens = scores.float().softmax(-1).topk(min(ALTERNATIVES, scores.size(-1)))
            return columns | {"tokens": _by_text(tokens, counts), "chances": _by_text(chances, counts)}
        true = batch.targets.tokens[gaps]
        losses = F.cross_entropy(scores.float(), true, reduction="none")
        columns |= {"loss": sums_by_example(losses, gaps), "correct": sums_by_example(likeliest == true, gaps)}
        return columns | {"label": _by_text(true, counts)}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Share of gaps that are filled rightly, and the exponential of the mean loss of a gap."""
        return metrics_of_sums(predictions["gaps"].sum(), predictions["correct"].sum(), predictions["loss"].sum())

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """See `Head.metrics_of_draws`."""
        columns = [predictions[name] for name in ("gaps", "correct", "loss")]
        return columns_of([metrics_of_sums(*(column[places].sum() for column in columns)) for places in draws])

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The token at each gap; of a new text also the likeliest ones with their probabilities."""
        records: list[dict[str, Any]] = [{"prediction": self._words(each)} for each in predictions["filled"]]
        rows = zip(records, predictions.get("tokens", ()), predictions.get("chances", ()), strict=False)
        for record, tokens, chances in rows:
            record["gaps"] = [
                dict(zip(self._words(these), those.astype(float).round(4).tolist(), strict=True))
                for these, those in zip(tokens, chances, strict=True)
            ]
        return records

    def decode_labels(self, predictions: Predictions) -> list[list[str]]:
        """The tokens that were hidden."""
        return [self._words(each) for each in predictions["label"]]

    def _words(self, tokens: Any) -> list[str]:
        return [self.tokenizer.decode([token], skip_special_tokens=False).strip() or " " for token in tokens.tolist()]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Share of gaps that are filled wrongly."""
        pairs = list(zip(record["prediction"], record["label"], strict=True))
        return sum(filled != true for filled, true in pairs) / max(1, len(pairs))

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """Accuracy over how often the true token occurs."""
        from mla_train.heads.masked_figures import draw_by_frequency

        draw_by_frequency(predictions, folder / "accuracy_by_frequency.png")


def _by_text(values: Tensor, counts: Tensor) -> list[np.ndarray]:
    """Values of all gaps in a row, as those of each text."""
    return np.split(values.detach().float().cpu().numpy() if values.is_floating_point() else values.cpu().numpy(),
                    counts.cumsum(0)[:-1].cpu().numpy())  # fmt: skip


def metrics_of_sums(gaps: float, correct: float, loss: float) -> dict[str, float]:
    """Metrics of sums over texts; see `MaskedTokens.metrics`."""
    gaps = max(float(gaps), 1.0)
    return {"accuracy": float(correct) / gaps, "perplexity": float(np.exp(min(float(loss) / gaps, 700.0)))}


# Hiding.


def word_starts(tokenizer: Any) -> Tensor:
    """True for tokens that begin a word, `(vocab_size,)`; all do where tokens are whole words."""
    vocabulary = tokenizer.get_vocab()
    starts = torch.zeros(len(vocabulary), dtype=torch.bool)
    for token, number in vocabulary.items():
        starts[number] = token.startswith(WORD_STARTS)
    return starts if starts.any() else ~starts


def hide(
    tokens: Tensor, padding: Tensor, starts: Tensor, spec: MaskedTokenSpec, generator: Any = None
) -> tuple[Tensor, Tensor]:
    """Hides some words of each text, one at least.

    Args:
        tokens: Token numbers, `(batch, length)`.
        padding: True at padding, `(batch, length)`.
        starts: True for tokens that begin a word, `(vocab_size,)`.
        spec: How many, and how.
        generator: Source of randomness; None is the global one.

    Returns:
        What the network reads, and the hidden tokens with 0 everywhere else, both `(batch, length)`.
    """
    shape, length = tokens.shape, tokens.size(1)
    can_hide = ~padding & (tokens > UNK_ID)
    words = (starts[tokens] if spec.whole_words else torch.ones_like(tokens)).long().cumsum(1)
    chance = torch.rand((shape[0], length + 1), generator=generator).gather(1, words)
    chance = chance.masked_fill(~can_hide, 2.0)  # no word that is hidden, and not the least
    hidden = can_hide & ((chance < spec.rate) | (chance == chance.min(1, keepdim=True).values))
    read = tokens.masked_fill(hidden, UNK_ID)
    if spec.corrupt:
        kind = torch.rand(shape, generator=generator)
        others = torch.randint(UNK_ID + 1, max(len(starts), UNK_ID + 2), shape, generator=generator)
        read = torch.where(hidden & (kind < KEPT), tokens, read)
        read = torch.where(hidden & (kind >= 1 - RANDOM), others.clamp(max=len(starts) - 1), read)
    return read, tokens.masked_fill(~hidden, PAD_ID)


def hide_batch(batch: Batch, starts: Tensor, spec: MaskedTokenSpec) -> None:
    """Hides words of a training batch, other ones each time."""
    tensors = batch.inputs[spec.text]
    read, hidden = hide(tensors.tokens, tensors.padding, starts, spec)
    batch.inputs[spec.text] = replace(tensors, tokens=read)
    batch.targets = TokenLabels(hidden)


def hidden_split(
    texts: Sequence[np.ndarray], starts: Tensor, spec: MaskedTokenSpec
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Texts of a split with words hidden once and for all, and the hidden tokens with 0 everywhere else."""
    generator = torch.Generator().manual_seed(0)
    spec = replace(spec, corrupt=False)  # a gap is seen as one
    read, hidden = [], []
    for tokens in texts:
        row = torch.from_numpy(tokens.astype(np.int64))[None]
        pair = hide(row, torch.zeros_like(row, dtype=torch.bool), starts, spec, generator)
        read.append(pair[0][0].numpy().astype(np.int32))
        hidden.append(pair[1][0].numpy().astype(np.int32))
    return read, hidden
