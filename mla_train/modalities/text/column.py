"""Texts of a split: cleaned, as tokens, with TF-IDF weights; those of a corpus are made when they are asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from mla_train.data.examples import selected
from mla_train.data.mapped import Mapped
from mla_train.data.ragged import Ragged
from mla_train.data.text_store import TextStore
from mla_train.modalities.base import ListColumn

if TYPE_CHECKING:  # scipy is loaded only where there are TF-IDF features
    import scipy.sparse

LEARNED_BYTES = 200_000_000
"""Bytes of the texts of a corpus that a vocabulary is learned from."""


def hashed(text: str) -> int:
    """A number of 64 bits that equal texts share, 0 for an empty one."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big") or 1 if text else 0


class TextExample(NamedTuple):
    """A text as a batch is made of it.

    Attributes:
        tokens: Token numbers, `(length,)`.
        features: Numbers of its TF-IDF features, `(features,)`.
        weights: Their weights, `(features,)`.
    """

    tokens: Tensor
    features: np.ndarray = np.zeros(0, np.int32)
    weights: np.ndarray = np.zeros(0, np.float32)


@dataclass
class TextColumn(ListColumn):
    """Texts of a split, cleaned; an empty one is missing.

    Attributes:
        tokens: Token numbers of each text.
        tfidf: TF-IDF weights, `(texts, features)`.
        hashes: Hash of each text, 0 of an empty one, by which those of a corpus are compared; None compares the texts.
    """

    values: Any
    tokens: Sequence[np.ndarray] = ()
    tfidf: "scipy.sparse.csr_matrix | None" = None
    hashes: np.ndarray | None = None

    @classmethod
    def of(cls, values: Sequence[Any], clean: Callable[[Any], str]) -> "TextColumn":
        """The column of raw texts, which are cleaned when they are asked for where they are those of a corpus."""
        if not isinstance(values, TextStore):
            return cls([clean(value) for value in values])
        texts = Mapped(clean, values)
        return cls(texts, hashes=np.fromiter(map(hashed, texts), np.uint64, len(texts)))

    @property
    def texts(self) -> Sequence[str]:
        """The cleaned texts."""
        return self.values

    def is_missing(self) -> np.ndarray:
        """True where a text is empty, `(texts,)`."""
        return super().is_missing() if self.hashes is None else self.hashes == 0

    def to_learn_from(self) -> tuple[list[str], str]:
        """Texts of which a vocabulary is learned, and a note where they are some of a large corpus."""
        source = getattr(self.values, "source", None)
        if not isinstance(source, TextStore) or source.size <= LEARNED_BYTES:
            return [text for text in self.values if text], ""
        count = max(1, int(len(source) * LEARNED_BYTES / source.size))
        places = np.linspace(0, len(source) - 1, count).astype(int)
        return [text for text in selected(self.values, places) if text], (
            f"the vocabulary is learned from {count:,} of {len(source):,} training texts, evenly spaced"
        )

    def __getitem__(self, index: int) -> TextExample | None:
        """One text; None where there is none."""
        if not self.values[index]:
            return None
        tokens = torch.from_numpy(self.tokens[index].astype(np.int64))
        if self.tfidf is None:
            return TextExample(tokens)
        row = slice(self.tfidf.indptr[index], self.tfidf.indptr[index + 1])
        return TextExample(tokens, self.tfidf.indices[row], self.tfidf.data[row])

    def select(self, index: np.ndarray) -> Self:
        """Some of the texts."""
        return replace(
            self,
            values=selected(self.values, index),
            broken=[],
            tokens=selected(self.tokens, index) if len(self.tokens) else (),
            tfidf=None if self.tfidf is None else self.tfidf[index],
            hashes=None if self.hashes is None else self.hashes[index],
        )

    def lengths(self) -> np.ndarray:
        """Number of tokens of each text."""
        if isinstance(self.tokens, Ragged):
            return self.tokens.lengths.astype(np.int64)
        return np.array([len(tokens) for tokens in self.tokens])

    def keys(self) -> Any:
        """The texts, or their hashes."""
        return self.values if self.hashes is None else self.hashes

    def recorded(self) -> Any:
        """The texts."""
        return self.values
