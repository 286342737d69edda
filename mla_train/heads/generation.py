"""A text, written token by token by a decoder that attends to the encoded inputs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import MOST_TOKENS, Architecture, TrainConfig, attention_of
from mla_train.data.batch import Batch
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID, read_tokenizer
from mla_train.heads.base import Embeddings, Explained, Predictions, columns_of, padding_of
from mla_train.heads.decoding import Decoding, Memory, join_features
from mla_train.heads.text_targets import GeneratedText, GenerationSpec, GenerationTargets, TextTargets
from mla_train.modalities.base import ModalityFeatures
from mla_train.modalities.text import clean
from mla_train.modalities.text.augment import HIDDEN, hide_tokens
from mla_train.nn import CopyAttention, Decoder, Dropout, Hypothesis, beam_search, observe, sample
from mla_train.nn.seq2seq import GruDecoder

if TYPE_CHECKING:  # a model that only writes needs no sacrebleu
    from mla_train.heads.text_metrics import TextMetrics


class Generation(TextTargets):
    """Scores of the next token after each.

    The decoder attends to the encoded tokens of all inputs side by side. Its embeddings are the output matrix too (Press
    and Wolf 2017), and those of a text input where both share one vocabulary. With `task.copy` tokens of that input are
    copied, too; the scores are log probabilities then.

    Its metrics are those of `text_metrics.METRICS` that `directions` names: a task with others derives its head from this one and
    sets `directions` and `monitor`.

    Attributes:
        n_best: Number of texts that are predicted for an example.
    """

    n_best = 1

    kind = "generation"
    directions = {"bleu": "max", "bleu_tokenized": "max", "chrf": "max", "exact_match": "max"}
    monitor = "bleu"
    draws_sums = True
    units = dict.fromkeys(("bleu", "bleu_tokenized", "chrf", "rouge1", "rouge2", "rougeL"), "of 100")

    def __init__(
        self, config: TrainConfig, spec: GenerationSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__()
        self.spec, self.options, dim = spec, config.task, config.encoder.dim
        dropout = config.regularization.dropout
        self.label_smoothing = config.regularization.label_smoothing
        self.hidden = HIDDEN[config.regularization.augmentation]
        self.scale = dim**0.5
        if spec.shared_with:
            # A tuple is no submodule: the weights stand in the input's embedding alone.
            self._shared = (embeddings[spec.shared_with],)
        else:
            self.own_embedding = nn.Embedding(spec.vocab_size, dim)
            nn.init.normal_(self.own_embedding.weight, std=dim**-0.5)
        self.dropout = Dropout(dropout)
        self.decoder: Decoder | GruDecoder
        if self.options.model is Architecture.seq2seq:
            self.decoder = GruDecoder(dim, dropout)
        else:
            options = self.options.decoder
            shape = replace(config.encoder, depth=options.depth or config.encoder.depth)
            own, cross = (attention_of(kind, config.attention) for kind in (options.self, options.cross))
            self.decoder = Decoder(shape, own, cross, config.regularization)
        self.copying = CopyAttention(dim, self.decoder.memory_dim) if self.options.copy else None

    @property
    def embedding(self) -> nn.Embedding:
        """Embeddings of tokens, which are the output matrix too."""
        return self._shared[0].tokens if self.spec.shared_with else self.own_embedding

    @cached_property
    def tokenizer(self) -> Any:
        """Tokenizer of the texts."""
        spec = self._shared[0].spec if self.spec.shared_with else self.spec
        return read_tokenizer(spec.tokenizer, spec.vocab_size)

    def logits(self, tokens: Tensor, memory: Memory, cache: Any = None) -> Tensor:
        """Scores of the token after each, `(rows, length, vocab_size)`; see `Decoder.forward`."""
        return self.score(self.decode_states(tokens, memory, cache), memory)

    def decode_states(self, tokens: Tensor, memory: Memory, cache: Any = None) -> Tensor:
        """Output of the decoder for each token, `(rows, length, dim)`; see `Decoder.forward`."""
        x = self.dropout(self.embedding(tokens) * self.scale)
        return self.decoder(x, memory.states, memory.padding, cache)

    def score(self, x: Tensor, memory: Memory) -> Tensor:
        """Scores of the token after each output of the decoder, `(rows, length, vocab_size)`."""
        logits = x @ self.embedding.weight.T
        if self.copying is None:
            return logits
        assert memory.ids is not None
        return self.copying(logits, x, memory.states, memory.ids == PAD_ID, memory.ids)

    def copies(self, x: Tensor, memory: Memory) -> Tensor:
        """Probability that the token after each output of the decoder is copied from each encoded token.

        Args:
            x: Output of the decoder, `(rows, length, dim)`; the rows are the beams of each source.
            memory: Encoded inputs.

        Returns:
            `(sources, beams * length, memory_length)`.
        """
        assert self.copying is not None
        assert memory.ids is not None
        weights, copies = self.copying.attend(x, memory.states, memory.ids == PAD_ID)
        return weights * copies

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor | None:
        """Scores of the next tokens, `(batch, length, vocab_size)`; None where there is no target to read."""
        if batch.targets is None:
            return None
        tokens = batch.targets.tokens[:, :-1]
        if self.training and self.hidden:
            tokens = hide_tokens(tokens, self.hidden)
        return self.logits(tokens, self.memory(features))

    def memory(self, features: dict[str, ModalityFeatures]) -> Memory:
        """What the decoder reads of encoded inputs."""
        states, padding = join_features(features)
        if self.copying is None:
            return Memory(states, padding)
        ids = [
            each.ids.masked_fill(padding_of(each), PAD_ID)
            if name == self.spec.shared_with and each.ids is not None
            else torch.full_like(padding_of(each), PAD_ID, dtype=torch.long)
            for name, each in features.items()
        ]
        return Memory(states, padding, torch.cat(ids, 1))

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross-entropy, smoothed in training only, and the number of tokens."""
        following = batch.targets.following
        smoothing = self.label_smoothing if self.training else 0.0
        loss = F.cross_entropy(
            outputs.flatten(0, 1), following.flatten(), ignore_index=PAD_ID, label_smoothing=smoothing, reduction="sum"
        )
        return loss, (following != PAD_ID).sum()

    def r_drop_loss(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        """Divergence of two passes, summed over tokens that are not padding."""
        is_token = batch.targets.following != PAD_ID
        return super().r_drop_loss(first[is_token], second[is_token], batch)

    # Answers.

    def generate(
        self,
        memory: Memory,
        beams: int = 1,
        temperature: float | None = None,
        top_p: float = 1.0,
        n_best: int = 1,
    ) -> list[list[Hypothesis]]:
        """Texts for each row, the best that beam search finds or a random one.

        Args:
            memory: Encoded inputs.
            beams: Number of beams; 1 is greedy.
            temperature: Divisor of the log probabilities that random texts are drawn by; None searches the best.
            top_p: Probability of the most probable tokens that random texts are drawn from.
            n_best: Number of texts for each row, at most the number of beams.
        """
        rows, keys = memory.states.shape[:2]
        lengths = [keys] * rows if memory.padding is None else (~memory.padding).sum(1).tolist()
        growth, least, most = self.spec.growth, self.options.min_tokens, self.options.max_tokens
        usual = [self.spec.max_length + 1 if growth is None else growth * n + 10 for n in lengths]
        limits = [int(max(least + 1, min(limit, MOST_TOKENS if most is None else most + 1))) for limit in usual]
        ends: dict[str, Any] = {"start": START_ID, "end": END_ID, "min_length": least, "device": memory.states.device}
        state = Decoding(self, memory)
        if temperature is not None:
            return [[text] for text in sample(state, limits, temperature=temperature, top_p=top_p, **ends)]
        penalty = self.options.length_penalty
        return beam_search(state, limits, beams=beams, length_penalty=penalty, n_best=n_best, **ends)

    @torch.no_grad()
    def predict(
        self, outputs: Any, features: dict[str, ModalityFeatures], batch: Batch, val_size: int | None = None
    ) -> Predictions:
        """Texts by beam search, None where none is written, and their mean log probabilities as `score`.

        While training some alone are written, spread over the validation split, and greedily.
        """
        rows = torch.arange(len(batch), device=batch.index.device)
        if val_size is not None and self.options.val_sample is not None:
            rows = (batch.index % -(-val_size // self.options.val_sample) == 0).nonzero().flatten()
        texts: list[str | None] = [None] * len(batch)
        scores = np.full(len(batch), np.nan)
        others: list[list[tuple[str, float]]] = [[] for _ in texts]
        if len(rows):
            memory = self.memory(features).select(rows)
            beams = 1 if val_size is not None else self.options.beams
            for row, hypotheses in zip(rows.tolist(), self.generate(memory, beams, n_best=self.n_best), strict=True):
                written = self.tokenizer.decode_batch([list(each.tokens) for each in hypotheses])
                texts[row], scores[row] = written[0], hypotheses[0].score
                others[row] = [(text, each.score) for text, each in zip(written[1:], hypotheses[1:], strict=True)]
        return {"predicted": texts, "score": scores} | ({"others": others} if self.n_best > 1 else {})

    def labels(self, batch: Batch) -> Predictions:
        """References, and others of the same inputs."""
        return {"label": batch.targets.texts, "other_labels": batch.targets.others}

    @cached_property
    def text_metrics(self) -> "TextMetrics":
        """Metrics of the language."""
        from mla_train.heads.text_metrics import METRICS, TextMetrics

        names = [name for name in self.directions if name in METRICS]
        return TextMetrics(self.spec.language, self.spec.lowercase, names)

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of the texts that are written.

        Examples of the same inputs count once, against all their references.
        """
        written = _written(predictions)
        return (
            self.text_metrics(*zip(*written.values(), strict=True)) if written else dict.fromkeys(self.directions, 0.0)
        )

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """See `Head.metrics_of_draws`; n-grams are counted once."""
        written = _written(predictions)
        if not written:
            return dict.fromkeys(self.directions, np.zeros(sum(1 for _ in draws)))
        number = np.full(len(predictions["predicted"]), -1)
        number[list(written)] = np.arange(len(written))
        chosen = (drawn[drawn >= 0] for drawn in (number[places] for places in draws))
        texts, references, others = zip(*written.values(), strict=True)
        return columns_of(self.text_metrics.of_draws(texts, references, others, chosen))

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The text and its score, and with `n_best` the other texts, the best first."""
        records: list[dict[str, Any]] = [
            {"prediction": text, "score": round(float(score), 4)}
            for text, score in zip(predictions["predicted"], predictions["score"], strict=True)
        ]
        for record, others in zip(records, predictions.get("others", ()), strict=False):
            record["others"] = [{"prediction": text, "score": round(score, 4)} for text, score in others]
        return records

    def decode_labels(self, predictions: Predictions) -> list[str]:
        """References."""
        return list(predictions["label"])

    def example_error(self, record: Mapping[str, Any]) -> float:
        """What the text lacks to a chrF of 100."""
        return 100 - self.text_metrics.chrf.sentence_score(record["prediction"], [record["label"]]).score

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """What exactly the metrics are."""
        return {"signatures": self.text_metrics.signatures}

    @torch.no_grad()
    def attention_map(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor:
        """Weights of the encoded tokens for each token of the targets, `(batch, length, memory_length)`.

        The mean over the heads of the last block's cross-attention, which is nearest to what is written.
        """
        memory = self.memory(features)
        tokens = batch.targets.tokens[:, :-1]
        if isinstance(self.decoder, GruDecoder):
            return self.decoder.decode(self.embedding(tokens) * self.scale, memory.states, memory.padding)[1]
        last: Any = self.decoder.blocks[-1]
        with observe([last.cross_attention], "weights") as (record,):
            self.decode_states(tokens, memory)
        return record.weights[0].mean(1)

    @torch.no_grad()
    def copy_map(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor:
        """Probability that each token of the targets is copied from each encoded token, `(batch, length, memory_length)`."""
        memory = self.memory(features)
        return self.copies(self.decode_states(batch.targets.tokens[:, :-1], memory), memory)

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The log probability of the target."""
        following = batch.targets.following

        def log_probability(outputs: Tensor) -> Tensor:
            index = following.expand(len(outputs), -1).unsqueeze(-1)
            chosen = outputs.float().log_softmax(-1).gather(-1, index).squeeze(-1)
            return chosen.masked_fill(following == PAD_ID, 0).sum(-1)

        return Explained(log_probability, "the log probability of the text", batch.targets.texts[0])

    def answer_to_explain(self, features: dict[str, ModalityFeatures], raw: Mapping[str, Any]) -> str:
        """The raw example's `target`, or what the network writes."""
        target = clean(raw.get("target") or "")
        if target:
            return target
        best = self.generate(self.memory(features), beams=self.options.beams)
        return clean(self.tokenizer.decode(list(best[0][0].tokens)))

    def encode_answers(self, answers: Sequence[str]) -> GenerationTargets:
        """Texts as targets of a batch."""
        tokens = [each.ids[: self.spec.max_length] for each in self.tokenizer.encode_batch_fast(list(answers))]
        pairs = zip(answers, tokens, strict=True)
        return self.collate(self.spec, [GeneratedText(text, np.array(ids, np.int64)) for text, ids in pairs], False)

    def count_tokens(self, batch: Batch) -> int | None:
        """Target tokens that are not padding."""
        return None if batch.targets is None else int((batch.targets.following != PAD_ID).sum())

    @property
    def cache_width(self) -> int:
        """Numbers that decoding keeps for each target token; a recurrent decoder keeps one state for all."""
        return self.decoder.cache_width


def _written(predictions: Predictions) -> dict[int, tuple[str, str, Sequence[str]]]:
    """Text, reference and further references of each example that counts, by its place."""
    texts, references = predictions["predicted"], predictions["label"]
    others = predictions.get("other_labels") or [()] * len(texts)
    rows = enumerate(zip(texts, references, others, strict=True))
    return {place: row for place, row in rows if row[0] is not None and row[2] is not None}
