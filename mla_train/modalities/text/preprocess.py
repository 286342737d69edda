"""From texts to token numbers and TF-IDF weights."""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from mla_train.config import Augmentation, TextOptions, Texts, TokenizerKind
from mla_train.data.batch import pad_stack
from mla_train.data.cache import cached
from mla_train.data.choose_tokens import choose_tokens
from mla_train.data.ragged import Ragged
from mla_train.data.tables.cells import as_text
from mla_train.data.texts import PIECE, join_texts, with_single_blanks
from mla_train.data.tokenizers import END_ID, UNK_ID, learn_tokenizer, read_tokenizer
from mla_train.errors import UserError
from mla_train.modalities.base import Modality
from mla_train.modalities.explanation import InputExplanation
from mla_train.modalities.text.augment import DROPPED, HIDDEN, drop_tokens, hide_tokens
from mla_train.modalities.text.column import TextColumn, TextExample
from mla_train.modalities.text.embed import TextEmbedding
from mla_train.modalities.text.explain import explain_text
from mla_train.modalities.text.spec import TextSpec, TextTensors
from mla_train.modalities.text.tokenize import PART, tokenize

if TYPE_CHECKING:  # scipy is loaded only where there are TF-IDF features
    import scipy.sparse

    from mla_train.data.tfidf import TfidfFeatures


MANY_UNKNOWN = 0.25
"""Share of unknown tokens that is reported."""


def clean(text: str) -> str:
    """One form for what looks the same (Unicode NFC), with single spaces and without halves of characters."""
    cleaned = with_single_blanks(unicodedata.normalize("NFC", as_text(text)))
    return text if cleaned == text else cleaned  # the same object, so that millions of texts are held once


def in_kmers(text: str, size: int) -> str:
    """A text with the overlapping pieces of each word as words: ACGTA is ACG CGT GTA; 0 leaves words whole."""
    if not size:
        return text
    return " ".join(
        " ".join(word[i : i + size] for i in range(start, min(start + PIECE, count)))
        for word in text.split()
        for count in [max(1, len(word) - size + 1)]
        for start in range(0, count, PIECE)
    )


def _cleaned(value: Any, kmer: int) -> str:
    """A raw text, cleaned; an empty text where it is missing."""
    return "" if value is None else in_kmers(clean(str(value)), kmer)


class Text(Modality[TextSpec]):
    """Texts as tokens, with TF-IDF features beside them."""

    kind = "text"
    spec_class = TextSpec
    embedding_class = TextEmbedding

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> TextColumn:
        """Cleans texts."""
        return TextColumn.of(values, partial(_cleaned, kmer=getattr(options, "kmer", None) or 0))

    @classmethod
    def fit(cls, train: TextColumn, options: TextOptions) -> Self:
        """Learns the vocabulary and the TF-IDF features."""
        (texts, sample_note), kind, note, known = train.to_learn_from(), options.tokens, "", train.known
        if kind is TokenizerKind.auto and known is None:
            kind, note = choose_tokens(texts, options.min_frequency, options.lowercase)
        learn = learn_vocabulary if sample_note else cached(learn_vocabulary)  # so many texts would be hashed as one
        tokenizer, tfidf, tfidf_size = learn(
            texts,
            kind,
            options.vocab_size,
            options.lowercase,
            options.min_frequency,
            options.tfidf_features,
            "" if known is None else known.tokenizer,
        )
        size = read_tokenizer(tokenizer).get_vocab_size()
        columns = getattr(options, "text_column", None)
        several = {"columns": list(columns), "texts": options.texts.value} if isinstance(columns, list) else {}  # type: ignore[attr-defined]
        long_texts = options.long_texts.value
        ends = known is not None and known.end_token
        spec = TextSpec(
            size, tokenizer, options.max_length, tfidf_size, tfidf, ends, long_texts, **several, kmer=options.kmer or 0
        )
        text = cls(spec)
        text.fit_notes = list(filter(None, (sample_note, note)))
        return text

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer of the spec."""
        return read_tokenizer(self.spec.tokenizer, self.spec.vocab_size)

    @cached_property
    def tfidf(self) -> "TfidfFeatures | None":
        """The TF-IDF features of the spec; None where there are none."""
        return read_tfidf(self.spec.tfidf, self.spec.tfidf_size)

    def prepare(self, column: TextColumn, notes: list[str]) -> TextColumn:
        """Computes tokens and TF-IDF weights of texts."""
        tokens = tokenize(column.texts, self.tokenizer)  # faster than a cache of them
        tfidf = cached(weigh_texts)(column.texts, self.spec.tfidf) if self.spec.tfidf else None
        over, count = tokens.lengths - self.spec.max_length, len(tokens.values)
        cut = over[over > 0]
        if len(cut) and self.spec.long_texts == "windows":
            notes.append(
                f"{len(cut):,} of {len(tokens):,} texts are read in windows of at most {self.spec.max_length} tokens"
            )
        elif len(cut):
            off = "off" if self.spec.long_texts == "head" else "between beginning and end"
            notes.append(
                f"cut {len(cut):,} texts {off} at {self.spec.max_length} tokens, {len(cut) / len(tokens):.1%} of the texts and "
                f"{cut.sum() / count:.1%} of all tokens (data.max_length, data.long_texts)"
            )
        unknown = sum(int((tokens.values[i : i + PART] == UNK_ID).sum()) for i in range(0, count, PART))
        if unknown > MANY_UNKNOWN * count:
            notes.append(
                f"{unknown / count:.0%} of the tokens of {len(tokens):,} texts are unknown, the encoder does not see them: "
                "data.tokens=char or bpe knows scripts without blanks and rare words"
            )
        is_changed = self.spec.end_token or (len(cut) and self.spec.long_texts != "windows")
        limited = Ragged(map(self._limited, tokens)) if is_changed else tokens
        return replace(column, tokens=limited, tfidf=tfidf)

    def _limited(self, tokens: np.ndarray) -> np.ndarray:
        """What is read of the tokens, with the end token where texts have one."""
        tokens = self.spec.shorten(tokens)
        return np.append(tokens, np.int32(END_ID)) if self.spec.end_token else tokens

    def preprocess(self, values: Sequence[Any]) -> TextColumn:
        """Reads texts, or those of several columns; None and empty texts are missing."""
        texts = [self._one_text(value) for value in values]
        tokens = [self._limited(numbers) for numbers in tokenize(texts, self.tokenizer)]
        return TextColumn(texts, [], tokens, None if self.tfidf is None else self.tfidf.matrix(texts))

    def _one_text(self, value: Any) -> str:
        """A cleaned text; a list of texts, or a mapping from columns to texts, where there are several columns."""
        columns = self.spec.columns
        if isinstance(value, Mapping) and columns and value.keys() <= set(columns):
            value = [value.get(column) for column in columns]
        if isinstance(value, list | tuple) and columns and len(value) == len(columns):
            wrong = next((text for text in value if text is not None and not isinstance(text, str)), None)
            value = join_texts(value, Texts(self.spec.texts)) if wrong is None else wrong
        if value is not None and not isinstance(value, str):
            of_columns = f" (or a list of those of {', '.join(columns)})" if columns else ""
            raise UserError(f"a text is needed{of_columns}, not {type(value).__name__}: {value!r:.60}")
        return self._clean(value or "")

    def _clean(self, text: str) -> str:
        return in_kmers(clean(text), self.spec.kmer)

    def collate(self, examples: Sequence[TextExample | None]) -> TextTensors:
        """Pads texts, or their windows, to the longest."""
        nothing = TextExample(torch.zeros(0, dtype=torch.long))
        rows = [nothing if example is None else example for example in examples]
        pieces, numbers = [row.tokens for row in rows], None
        if self.spec.long_texts == "windows":
            windows = [self.spec.windows(tokens) for tokens in pieces]
            pieces = [window for those in windows for window in those]
            if len(pieces) > len(rows):
                numbers = torch.repeat_interleave(torch.tensor([len(those) for those in windows]))
        tokens, padding = pad_stack(pieces)
        if not self.spec.tfidf_size:
            return TextTensors(tokens, padding, windows=numbers)
        return TextTensors(
            tokens,
            padding,
            torch.from_numpy(np.concatenate([row.features for row in rows]).astype(np.int64)),
            torch.from_numpy(np.concatenate([row.weights for row in rows]).astype(np.float32)),
            torch.from_numpy(np.cumsum([0, *(len(row.features) for row in rows[:-1])])),
            numbers,
        )

    def augmentation(self, level: Augmentation, options: Any) -> Callable[[TextExample], TextExample] | None:
        """Removes tokens or makes them unknown; the source of a generated text keeps its length."""
        shares, change = (HIDDEN, hide_tokens) if self.spec.end_token else (DROPPED, drop_tokens)
        window = self.spec.windows if self.spec.long_texts == "windows" else None
        return partial(_vary, change=change, share=shares[level], window=window) if shares[level] or window else None

    def explain(self, name: str, embedding: TextEmbedding, tensors: TextTensors, raw: Any) -> InputExplanation:
        """Words as units."""
        return explain_text(name, self.spec, self.tokenizer, self.tfidf, embedding, tensors, self._one_text(raw))

    @classmethod
    def example_values(cls, count: int) -> list[str]:
        """Short texts of different length."""
        return [f"{('bad', 'good')[i % 2]} film{' and book' * (i % 3)} number {i % 5}" for i in range(count)]


def _vary(
    example: TextExample,
    change: Callable[[Tensor, float], Tensor],
    share: float,
    window: Callable[[Tensor], list[Tensor]] | None,
) -> TextExample:
    """A random window of a text, if it is read in windows, with some tokens changed."""
    tokens = example.tokens
    if window is not None:
        windows = window(tokens)
        tokens = windows[int(torch.rand(()) * len(windows))]
    return example._replace(tokens=change(tokens, share) if share else tokens)


def read_tfidf(written: str, size: int | None = None) -> "TfidfFeatures | None":
    """TF-IDF features from their JSON, with their number if that is known; None from an empty text."""
    if not written:
        return None
    from mla_train.data.tfidf import TfidfFeatures

    return TfidfFeatures.from_json(written, size)


def learn_vocabulary(
    texts: Sequence[str],
    kind: TokenizerKind,
    vocab_size: int,
    lowercase: bool,
    min_frequency: int,
    tfidf_features: int,
    tokenizer: str = "",
) -> tuple[str, str, int]:
    """Learns TF-IDF features, and tokens unless the JSON of a tokenizer is given, from training texts, as `TextOptions` say.

    Returns:
        JSON of the tokenizer, JSON of the features (empty is none), number of features.
    """
    tokenizer = tokenizer or learn_tokenizer(texts, kind, vocab_size, lowercase, min_frequency).to_str()
    if not tfidf_features:
        return tokenizer, "", 0
    from mla_train.data.tfidf import TfidfFeatures

    features = TfidfFeatures.learn(texts, tfidf_features)
    return tokenizer, features.to_json(), len(features)


def weigh_texts(texts: Sequence[str], tfidf: str) -> "scipy.sparse.csr_matrix":
    """TF-IDF weights `(texts, features)`, of features as JSON."""
    features = read_tfidf(tfidf)
    assert features is not None
    return features.matrix(texts)
