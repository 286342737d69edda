"""A text in words: which token stands in which, what is left when some are taken out, which terms hang on which."""

import re
from collections.abc import Sequence

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from mla_train.data.terms import Terms
from mla_train.inspect.views import Words

FEWEST = 4  # words; a shorter text is shown by its tokens


class TextUnits:
    """A text in words, or in tokens where it has few words.

    Args:
        text: Cleaned.
        tokenizer: That the model reads with.
        max_length: Most tokens that it reads.

    Attributes:
        words: The units.
        of: In which unit each token stands, `(tokens,)`.
    """

    def __init__(self, text: str, tokenizer: Tokenizer, max_length: int) -> None:
        self.text = text
        offsets = tokenizer.encode(text).offsets[:max_length]
        spans = [match.span() for match in re.finditer(r"\S+", text)]
        if len(spans) < FEWEST:
            spans = sorted({span for span in offsets if text[slice(*span)].strip()}) or spans
        self.spans = spans
        self.words = Words([text[a:b].strip() for a, b in spans])
        # A token that stands between words, such as a blank, belongs to the one before; a blank may open a token.
        firsts = [a + len(text[a:b]) - len(text[a:b].lstrip()) for a, b in offsets]
        found = np.searchsorted([a for a, _ in spans], np.array(firsts, dtype=int), side="right") - 1
        self.of = torch.from_numpy(found.clip(min=0))

    def without(self, kept: Sequence[bool] | np.ndarray) -> str:
        """What is left of the text.

        Args:
            kept: Which units stay, `(units,)`.
        """
        left, place = [], 0
        for stays, (a, b) in zip(kept, self.spans, strict=True):
            left += [self.text[place : b if stays else a]]
            place = b
        return " ".join(("".join(left) + self.text[place:]).split())

    def gather(self, found: Tensor) -> Tensor:
        """Sums over the tokens of each unit, `(units,)`.

        Args:
            found: Of embedded tokens, `(1, tokens, dim)`; what follows the text's own tokens belongs to none.
        """
        return torch.zeros(len(self.words)).index_add(0, self.of, found[0, : len(self.of)].sum(-1))

    def term_shares(self, terms: Terms, numbers: np.ndarray) -> Tensor:
        """How much of some of the text's terms belongs to each unit: to those that hold it, in equal parts.

        A term that no unit holds alone belongs to the neighbours that hold it together, else to all.

        Args:
            terms: That the model knows.
            numbers: Of the text's terms, `(terms,)`.

        Returns:
            `(units, terms)`; columns sum to one.
        """
        labels = self.words.labels
        alone = (terms.matrix(labels)[:, numbers].toarray() != 0).astype(np.float32)
        lacking = ~alone.any(0)
        if len(labels) > 1 and lacking.any():
            ends = [(self.spans[i][0], self.spans[i + 1][1]) for i in range(len(labels) - 1)]
            pairs = terms.matrix([self.text[a:b] for a, b in ends])[:, numbers].toarray() != 0
            alone[:-1] += pairs * lacking
            alone[1:] += pairs * lacking
        alone[:, ~alone.any(0)] = 1
        return torch.from_numpy(alone / alone.sum(0))
