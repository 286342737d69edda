"""The next token after each of a text: the encoder, made causal, is a language model, which also writes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from math import exp, log
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import SamplingOptions, TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.tokenizers import END_ID, START_ID, token_bytes
from mla_train.heads.base import Embeddings, Predictions, columns_of
from mla_train.heads.streamed_text import StreamedText
from mla_train.heads.token_scores import TokenScores
from mla_train.heads.unlabelled import sums_by_example
from mla_train.modalities.base import ModalityFeatures
from mla_train.nn import sample

SUMS = ("loss", "correct", "tokens", "bytes")
"""Columns that metrics are made of: sums over the tokens of each piece of text."""


@dataclass
class NextTokenSpec:
    """What is continued.

    Attributes:
        text: Name of the input.
    """

    text: str = "text"


class NextTokens(TokenScores):
    """Scores of the token after each; the matrix is that of the embeddings (Press and Wolf 2017).

    Attributes:
        sampling: How new texts are continued.
        on_piece: Called with each piece of a text while it is written, where it is the only one; None tells nobody.
    """

    kind = "next_tokens"
    spec_class = NextTokenSpec
    directions = {"bits_per_byte": "min", "perplexity": "min", "accuracy": "max"}
    monitor = "bits_per_byte"
    is_causal = True

    def __init__(
        self, config: TrainConfig, spec: NextTokenSpec, embeddings: Embeddings, sequences: bool = False
    ) -> None:
        super().__init__(spec, embeddings)
        self.sampling = SamplingOptions()
        self.on_piece: Callable[[str], None] | None = None
        self._encoder: tuple[Any, ...] = ()

    def take_encoder(self, encoder: nn.Module | None) -> None:
        """See `Head.take_encoder`."""
        self._encoder = (encoder,)

    @cached_property
    def token_bytes(self) -> list[bytes]:
        """Bytes of each token."""
        return token_bytes(self.tokenizer)

    # The network.

    def scores(self, encoded: Tensor) -> Tensor:
        """Scores of the next token, `(..., vocab_size)`, from encoded tokens, `(..., dim)`."""
        return encoded @ self._shared[0].tokens.weight.T

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> tuple[Tensor, Tensor] | None:
        """True where a token follows, `(batch, length)`, and scores there, `(tokens, vocab_size)`; None of new texts."""
        if batch.targets is None:
            return None
        encoded, is_token = features[self.spec.text].tokens, batch.targets.places
        assert encoded is not None
        return is_token, self.scores(encoded[is_token])

    # Answers.

    @torch.no_grad()
    def predict(
        self,
        outputs: tuple[Tensor, Tensor] | None,
        features: dict[str, ModalityFeatures],
        batch: Batch,
        val_size: int | None = None,
    ) -> Predictions:
        """Sums over the tokens of each piece, see `SUMS`; of new texts their continuations, and how probable these are."""
        if outputs is None:
            tensors = batch.inputs[self.spec.text]
            return self.continued(
                [tokens[~padding] for tokens, padding in zip(tensors.tokens, tensors.padding, strict=True)]
            )
        is_token, scores = outputs
        following = batch.targets.tokens[is_token]
        sizes = torch.tensor([len(each) for each in self.token_bytes], device=following.device)
        values = {
            "loss": F.cross_entropy(scores.float(), following, reduction="none"),
            "correct": scores.argmax(-1) == following,
            "tokens": torch.ones_like(following),
            "bytes": sizes[following],
        }
        return {name: sums_by_example(each, is_token) for name, each in values.items()}

    def continued(self, beginnings: Sequence[Tensor]) -> Predictions:
        """Continuations of texts, those of equal length together, and their mean log probabilities.

        Args:
            beginnings: Tokens of each text with the start token in front, `(length,)`.
        """
        texts, scores = [""] * len(beginnings), np.zeros(len(beginnings))
        by_length: dict[int, list[int]] = {}
        for place, tokens in enumerate(beginnings):
            by_length.setdefault(len(tokens), []).append(place)
        options = self.sampling
        stops = [text.encode() for text in options.stop]
        longest = max(map(len, stops), default=0)
        stream = None if self.on_piece is None or len(beginnings) > 1 else StreamedText(self.on_piece, stops)

        def is_over(tokens: Sequence[int]) -> bool:
            if stream is not None:
                stream.write(b"".join(self.token_bytes[token] for token in tokens))
            if len(tokens) == options.max_new_tokens:
                return True
            newest = b"".join(self.token_bytes[token] for token in tokens[-longest:])  # a token has a byte at least
            return any(stop in newest for stop in stops)

        for places in by_length.values():
            read = torch.stack([beginnings[place] for place in places])
            written = sample(
                Continuation(self, read),
                [options.max_new_tokens + 1] * len(read),  # an end token is not forced: it would count in the score
                start=START_ID,
                end=END_ID,
                temperature=options.temperature,
                top_k=options.top_k,
                top_p=options.top_p,
                min_p=options.min_p,
                repetition_penalty=options.repetition_penalty,
                read=read,
                chances=torch.stack([self._chances(row) for row in read]).to(read.device),
                stops=is_over,
                device=read.device,
            )
            for place, each in zip(places, written, strict=True):
                whole = b"".join(self.token_bytes[token] for token in each.tokens)
                end = min((at for stop in stops if (at := whole.find(stop)) >= 0), default=len(whole))
                if stream is not None:
                    stream.write(whole[:end], is_over=True)
                texts[place], scores[place] = whole[:end].decode("utf-8", "replace"), each.score
        return {"predicted": texts, "score": scores}

    def _chances(self, tokens: Tensor) -> Tensor:
        """Random numbers that choose the tokens behind a text: they depend on nothing but it and the seed."""
        known = int.from_bytes(blake2b(tokens.cpu().numpy().tobytes(), digest_size=8).digest(), "big")
        generator = np.random.default_rng([self.sampling.seed, known])
        return torch.from_numpy(generator.random(self.sampling.max_new_tokens, np.float32))

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Bits that a byte takes, perplexity of a token, share of tokens that are foreseen; of baselines what they know."""
        return metrics_of_sums({name: predictions[name].sum() for name in SUMS if name in predictions})

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> dict[str, np.ndarray]:
        """See `Head.metrics_of_draws`."""
        columns = {name: predictions[name] for name in SUMS if name in predictions}
        return columns_of(
            [metrics_of_sums({name: column[places].sum() for name, column in columns.items()}) for places in draws]
        )

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """Continuations of new texts; of a test split the metrics of each piece."""
        if "predicted" in predictions:
            pairs = zip(predictions["predicted"], predictions["score"], strict=True)
            return [{"prediction": text, "score": round(float(score), 4)} for text, score in pairs]
        rows = zip(*(predictions[name] for name in SUMS), strict=True)
        each = [metrics_of_sums(dict(zip(SUMS, row, strict=True))) for row in rows]
        return [{name: round(value, 4) for name, value in metrics.items()} for metrics in each]

    def decode_labels(self, predictions: Predictions) -> list[None]:
        """None: a text is its own label."""
        return [None] * len(predictions["tokens"])


class Continuation:
    """Texts that are being continued; see `DecoderState`.

    A text that fills a piece of training is read anew from the last half of its tokens: the network knows no longer ones.

    Args:
        head: Head that continues them.
        tokens: Tokens of each text with the start token in front, `(rows, length)`.
    """

    def __init__(self, head: NextTokens, tokens: Tensor) -> None:
        self.head, self.tokens = head, tokens
        self.unread: Tensor | None = tokens
        self.longest: int = head._shared[0].spec.max_length
        (self.encoder,) = head._encoder
        self.cache = self._new_cache()

    def _new_cache(self) -> Any:
        return self.encoder.new_cache() if self.encoder.can_cache else None

    def step(self, tokens: Tensor) -> Tensor:
        """Log probabilities of the next token of each row, `(rows, vocab_size)`; the first call reads the texts instead of the tokens."""
        if self.unread is None:
            self.tokens = torch.cat([self.tokens, tokens.unsqueeze(1)], dim=1)
            self.unread = self.tokens[:, -1:]
        if self.tokens.size(1) > self.longest:
            last = self.tokens[:, -max(1, self.longest // 2) :]
            self.tokens = self.unread = torch.cat([torch.full_like(last[:, :1], START_ID), last], dim=1)
            self.cache = self._new_cache()
        read = self.tokens if self.cache is None else self.unread
        embedding = self.head._shared[0]
        encoded = self.encoder(embedding.tokens(read) * embedding.scale, is_causal=True, cache=self.cache)
        self.unread = None
        scores = self.head.scores(encoded[:, -1]).float()
        scores[:, :END_ID] = -torch.inf  # neither padding nor a start is ever written
        return scores.log_softmax(-1)

    def reorder(self, rows: Tensor) -> None:
        """Keeps these texts."""
        self.tokens = self.tokens[rows]
        for each in self.cache or ():
            each.reorder(rows)

    def keep(self, sources: Tensor) -> None:
        """Nothing else is kept of texts."""


def metrics_of_sums(sums: Mapping[str, float]) -> dict[str, float]:
    """Metrics of sums over tokens; see `NextTokens.metrics`."""
    metrics = {"bits_per_byte": float(sums["loss"]) / log(2) / max(float(sums["bytes"]), 1.0)}
    if "tokens" in sums:
        tokens = max(float(sums["tokens"]), 1.0)
        metrics["perplexity"] = exp(min(float(sums["loss"]) / tokens, 700.0))
        metrics["accuracy"] = float(sums["correct"]) / tokens
    return metrics
