"""How many words of captions are right; loaded when texts are scored, not when they are written."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from mla_train.heads.text_metrics import TextMetrics


class CaptionMetrics(TextMetrics):
    """Metrics of generated texts, and the mean `word_f1`."""

    def __call__(
        self, texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()
    ) -> dict[str, float]:
        """See `TextMetrics.__call__`."""
        scores = super().__call__(texts, references, others)
        return scores | {"word_f1": float(word_f1(texts, references, others).mean())}

    def of_draws(
        self,
        texts: Sequence[str],
        references: Sequence[str],
        others: Sequence[Sequence[str]],
        draws: Iterable[np.ndarray],
    ) -> list[dict[str, float]]:
        """See `TextMetrics.of_draws`."""
        places, values = list(draws), word_f1(texts, references, others)
        scores = super().of_draws(texts, references, others, places)
        return [row | {"word_f1": float(values[drawn].mean())} for row, drawn in zip(scores, places, strict=True)]


def word_f1(texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()) -> np.ndarray:
    """F1 of the words of each text in any order, with the best of its references, `(texts,)` (Rajpurkar et al. 2016).

    The arguments are those of `TextMetrics.__call__`. Words are in lower case, without punctuation.
    """
    rows = zip(texts, references, others or [()] * len(texts), strict=True)
    return np.array([max(_f1(words(text), words(each)) for each in (first, *more)) for text, first, more in rows])


def words(text: str) -> Counter[str]:
    """Words and how often each occurs."""
    return Counter(re.findall(r"\w+", text.lower()))


def _f1(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 1.0
