"""Texts of which a model writes more: not a blank is changed, and their tokens are made of bytes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import numpy as np

from mla_train.config import TextOptions, TokenizerKind
from mla_train.data.cache import cached
from mla_train.data.tables.cells import as_text
from mla_train.data.tokenizers import END_ID, START_ID, is_exact, learn_exact_tokenizer, read_tokenizer
from mla_train.errors import require
from mla_train.modalities.text.column import TextColumn
from mla_train.modalities.text.preprocess import Text
from mla_train.modalities.text.spec import TextSpec
from mla_train.modalities.text.tokenize import tokenize


class ExactText(Text):
    """Texts as they are, in pieces of words down to bytes; new ones are beginnings that are continued.

    Columns that `prepare` gives hold all tokens of a text and an end token: the task cuts them into pieces.
    """

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> TextColumn:
        """Texts as they are; blanks alone are no text."""
        return TextColumn.of(values, _whole)

    @classmethod
    def fit(cls, train: TextColumn, options: TextOptions) -> Self:
        """Learns the vocabulary, or takes that of another run.

        Raises:
            UserError: Options, or that vocabulary, would change texts.
        """
        require(
            options.tokens in (TokenizerKind.auto, TokenizerKind.bpe),
            f"data.tokens={options.tokens.value}: a text is restored exactly from pieces down to bytes alone; use data.tokens=bpe",
        )
        require(
            options.kmer is None,
            f"data.kmer={options.kmer}: a text is not restored from pieces that overlap; leave it out",
        )
        (texts, note), known = train.to_learn_from(), train.known
        if known is not None:
            require(
                is_exact(read_tokenizer(known.tokenizer)),
                "the vocabulary of that run does not restore a text exactly, as task=causal_lm needs it: name a run of "
                "task=causal_lm, remove data.tokenizer, or take the encoder alone with init.parts=[encoder]",
            )
            return cls(TextSpec(known.vocab_size, known.tokenizer, options.max_length, end_token=True))
        learn = learn_vocabulary if note else cached(learn_vocabulary)  # so many texts would be hashed as one
        tokenizer, size = learn(texts, options.vocab_size, options.lowercase, options.min_frequency)
        text = cls(TextSpec(size, tokenizer, options.max_length, end_token=True))
        text.fit_notes = list(
            filter(None, (note, "texts are in lower case (data.lowercase)" if options.lowercase else ""))
        )
        return text

    def prepare(self, column: TextColumn, notes: list[str]) -> TextColumn:
        """Computes all tokens of texts, with an end token behind each."""
        return replace(column, tokens=tokenize(column.texts, self.tokenizer, END_ID))

    def preprocess(self, values: Sequence[Any]) -> TextColumn:
        """Reads beginnings of texts: a start token, and the last tokens that a piece has room for."""
        texts = [self._one_text(value) for value in values]
        room = self.spec.max_length - 1
        tokens = [np.append(START_ID, numbers[-room:]).astype(np.int32) for numbers in tokenize(texts, self.tokenizer)]
        return TextColumn(texts, [], tokens)

    def _clean(self, text: str) -> str:
        return as_text(text)


def _whole(value: Any) -> str:
    """A raw text as it is; blanks alone are none."""
    text = "" if value is None else as_text(value)
    return text if text.strip() else ""


def learn_vocabulary(texts: Sequence[str], vocab_size: int, lowercase: bool, min_frequency: int) -> tuple[str, int]:
    """JSON of a tokenizer that is learned from texts of the training split, and the number of its tokens."""
    tokenizer = learn_exact_tokenizer(texts, vocab_size, lowercase, min_frequency)
    return tokenizer.to_str(), tokenizer.get_vocab_size()
