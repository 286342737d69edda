"""Texts that a language model reads in pieces."""

from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch

from mla_train.data.ragged import Ragged
from mla_train.modalities.text.column import TextColumn, TextExample


@dataclass
class PieceColumn(TextColumn):
    """Pieces of texts, of which none is missing; `values` may be made of tokens when they are asked for.

    Attributes:
        pieces: The same pieces as tokens before anything was hidden or put in front.
    """

    pieces: Ragged = field(default_factory=Ragged)

    def __getitem__(self, index: int) -> TextExample:
        """One piece."""
        return TextExample(torch.from_numpy(self.tokens[index].astype(np.int64)))

    def select(self, index: np.ndarray) -> Self:
        """Some of the pieces."""
        return replace(super().select(index), pieces=self.pieces.select(index))

    def is_missing(self) -> np.ndarray:
        """True nowhere, `(pieces,)`."""
        return np.zeros(len(self.pieces), dtype=bool)

    def lengths(self) -> np.ndarray:
        """Number of tokens of each piece."""
        return self.pieces.lengths.astype(np.int64)

    def recorded(self) -> Any:
        """The texts; of many their lengths, as the targets say the rest."""
        return self.lengths() if self.is_large else self.values

    @property
    def is_large(self) -> bool:  # type: ignore[override]
        """See `Column`."""
        return self.pieces.is_large


def decoded(tokens: np.ndarray, tokenizer: Any) -> str:
    """The text of a piece; a blank where it has none."""
    return tokenizer.decode(tokens.tolist()) or " "


def count_tokens(column: PieceColumn) -> int:
    """Number of tokens of all pieces."""
    return int(column.pieces.lengths.sum(dtype=np.int64))
