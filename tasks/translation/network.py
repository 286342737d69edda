"""Encoder, decoder and the embeddings that they share; and the decoding that is under way."""

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.tokenizers import PAD_ID
from mla_train.nn import Decoder, Encoder, observe
from tasks.translation.config import TranslationTaskConfig, attention_of
from tasks.translation.data import TranslationFacts
from tasks.translation.embeddings import Embeddings


class Translator(nn.Module):
    """Source tokens and target tokens so far in, scores of the next target token out.

    Args:
        config: The whole run's.
        facts: Of the sentence pairs.
    """

    def __init__(self, config: TrainConfig, facts: TranslationFacts) -> None:
        super().__init__()
        options = config.task
        assert isinstance(options, TranslationTaskConfig)
        self.embeddings = Embeddings(facts, config.encoder.dim, config.regularization.dropout)
        self.encoder = Encoder(config.encoder, config.attention, config.regularization)
        shape = replace(config.encoder, depth=options.decoder.depth or config.encoder.depth)
        own = attention_of(options.decoder.self, config.attention)
        cross = attention_of(options.decoder.cross, config.attention)
        self.decoder = Decoder(shape, own, cross, config.regularization)

    def encode(self, source: Tensor) -> tuple[Tensor, Tensor | None]:
        """The memory of source tokens `(batch, length)`: `(batch, length, dim)`, and True at padding."""
        mask = source == PAD_ID
        padding = mask if bool(mask.any()) else None
        return self.encoder(self.embeddings.source(source), key_padding_mask=padding), padding

    def decode(self, target: Tensor, memory: Tensor, padding: Tensor | None, cache: object = None) -> Tensor:
        """Scores of the token after each, `(batch, length, target_vocab)`."""
        return self.embeddings.scores(self.decoder(self.embeddings.target(target), memory, padding, cache))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Scores of all next tokens.

        Args:
            source: `(batch, source_length)`.
            target: Begins with the start token, `(batch, target_length)`.

        Returns:
            `(batch, target_length, target_vocab)`.
        """
        return self.decode(target, *self.encode(source))

    def attention_map(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights of source tokens for each target token, `(batch, target_length, source_length)`.

        The mean over the heads of the last block's cross-attention, which is the nearest to what is written.
        """
        last: Any = self.decoder.blocks[-1]
        with observe([last.cross_attention], "weights") as (record,):
            self(source, target)
        return record.weights[0].mean(1)

    def stepper(self, source: Tensor) -> "TranslatorStepper":
        """A decoding of these sources that is about to begin."""
        return TranslatorStepper(self, source)


class TranslatorStepper:
    """A decoding under way, on its caches.

    Args:
        network: Which decodes.
        source: `(sources, length)`.
    """

    def __init__(self, network: Translator, source: Tensor) -> None:
        self.network = network
        self.memory, self.padding = network.encode(source)
        self.cache = network.decoder.new_cache()

    def step(self, tokens: Tensor) -> Tensor:
        """Scores of the next token of each row, `(rows, target_vocab)`."""
        return self.network.decode(tokens.unsqueeze(1), self.memory, self.padding, self.cache)[:, -1]

    def reorder(self, rows: Tensor) -> None:
        """Keeps these beams."""
        self.cache.reorder(rows)

    def keep(self, sources: Tensor) -> None:
        """Keeps these sources."""
        self.cache.keep(sources)
        self.memory = self.memory[sources]
        self.padding = None if self.padding is None else self.padding[sources]


def longest_output(source: Tensor, growth: float = 1.5) -> list[int]:
    """Most target tokens of each source: so many times its own, and ten.

    Args:
        source: `(batch, length)`.
        growth: Of the facts.
    """
    return [int(growth * length) + 10 for length in (source != PAD_ID).sum(1).tolist()]
