"""The units of a text: the word of each token, occlusion of words, and shares of words in TF-IDF terms."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.terms import Terms
from mla_train.explain.explanation import WordUnits

MIN_WORDS = 4  # a text with fewer words is shown by its tokens


class TextUnits:
    """A text in words, or in tokens if it has few words.

    Args:
        text: Cleaned text.
        tokenizer: Tokenizer of the model.
        max_length: Maximum number of tokens that the model reads.

    Attributes:
        units: The words or tokens.
        token_units: Index of each token's unit, `(tokens,)`.
    """

    def __init__(self, text: str, tokenizer: Tokenizer, max_length: int) -> None:
        self.text = text
        offsets = tokenizer.encode(text).offsets[:max_length]
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        if len(spans) < MIN_WORDS:
            spans = sorted({span for span in offsets if text[slice(*span)].strip()}) or spans
        self.spans = spans
        self.units = WordUnits([text[a:b].strip() for a, b in spans])
        # A token between words, such as a blank, belongs to the word before; a token may start with a blank.
        starts = [a + len(text[a:b]) - len(text[a:b].lstrip()) for a, b in offsets]
        indices = np.searchsorted([a for a, _ in spans], np.array(starts, dtype=int), side="right") - 1
        self.token_units = torch.from_numpy(indices.clip(min=0))

    def occlude(self, kept: Sequence[bool] | np.ndarray) -> str:
        """The text without some units.

        Args:
            kept: False for units to remove, `(units,)`.
        """
        pieces, end = [], 0
        for is_kept, (a, b) in zip(kept, self.spans, strict=True):
            pieces += [self.text[end : b if is_kept else a]]
            end = b
        return " ".join(("".join(pieces) + self.text[end:]).split())

    def gather(self, embedded: Tensor) -> Tensor:
        """Sums over the tokens of each unit, `(units,)`.

        Args:
            embedded: Embedded tokens, `(1, tokens, dim)`; those after the text's own tokens belong to no unit.
        """
        return torch.zeros(len(self.units)).index_add(0, self.token_units, embedded[0, : len(self.token_units)].sum(-1))

    def term_shares(self, terms: Terms, numbers: np.ndarray) -> Tensor:
        """Share of each unit in some of the text's terms: equal shares for all units that contain a term.

        A term that no single unit contains belongs to the neighbours that contain it together, else to all.

        Args:
            terms: Terms that the model knows.
            numbers: Indices of the text's terms, `(terms,)`.

        Returns:
            `(units, terms)`; columns sum to one.
        """
        labels = self.units.labels
        shares = (terms.matrix(labels)[:, numbers].toarray() != 0).astype(np.float32)
        is_missing = ~shares.any(0)
        if len(labels) > 1 and is_missing.any():
            ends = [(self.spans[i][0], self.spans[i + 1][1]) for i in range(len(labels) - 1)]
            pairs = terms.matrix([self.text[a:b] for a, b in ends])[:, numbers].toarray() != 0
            shares[:-1] += pairs * is_missing
            shares[1:] += pairs * is_missing
        shares[:, ~shares.any(0)] = 1
        return torch.from_numpy(shares / shares.sum(0))
