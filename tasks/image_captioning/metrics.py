"""How well captions agree with references word by word; loaded when texts are scored, not when they are written."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from mla_train.heads.text_metrics import TextMetrics


class CaptionMetrics(TextMetrics):
    """Metrics of generated texts, and means over texts of the F1 of words, with the best reference of each.

    `word_f1` compares words in any order (as SQuAD does, Rajpurkar et al. 2016), `rougeL` the longest common subsequence of
    words (Lin 2004). Words are in lower case, without punctuation.
    """

    def __call__(
        self, texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()
    ) -> dict[str, float]:
        """See `TextMetrics.__call__`."""
        scores = super().__call__(texts, references, others)
        return scores | {name: float(values.mean()) for name, values in agreement(texts, references, others).items()}

    def of_draws(
        self,
        texts: Sequence[str],
        references: Sequence[str],
        others: Sequence[Sequence[str]],
        draws: Iterable[np.ndarray],
    ) -> list[dict[str, float]]:
        """See `TextMetrics.of_draws`."""
        places = list(draws)
        by_text = agreement(texts, references, others)
        means = [{name: float(values[drawn].mean()) for name, values in by_text.items()} for drawn in places]
        return [
            scores | mean
            for scores, mean in zip(super().of_draws(texts, references, others, places), means, strict=True)
        ]


def agreement(
    texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()
) -> dict[str, np.ndarray]:
    """`word_f1` and `rougeL` of each text with the best of its references, `(texts,)`; see `TextMetrics.__call__`."""
    pairs = [
        [(words(text), words(each)) for each in (reference, *more)]
        for text, reference, more in zip(texts, references, others or [()] * len(texts), strict=True)
    ]
    agreements = {"word_f1": (shared_words, 1), "rougeL": (common_subsequence, 100)}
    return {
        name: np.array([scale * max(f1(agree(*pair), *pair) for pair in each) for each in pairs])
        for name, (agree, scale) in agreements.items()
    }


def words(text: str) -> list[str]:
    """Words in lower case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def f1(agreeing: int, text: Sequence[str], reference: Sequence[str]) -> float:
    """Harmonic mean of the shares of the words of both that agree; 1 where both have none."""
    total = len(text) + len(reference)
    return 2 * agreeing / total if total else 1.0


def shared_words(text: Sequence[str], reference: Sequence[str]) -> int:
    """Number of words that both have, in any order."""
    return (Counter(text) & Counter(reference)).total()


def common_subsequence(text: Sequence[str], reference: Sequence[str]) -> int:
    """Length of the longest sequence of words that both have in this order."""
    row = [0] * (len(reference) + 1)
    for word in text:
        above = row.copy()
        for place, other in enumerate(reference, 1):
            row[place] = above[place - 1] + 1 if word == other else max(above[place], row[place - 1])
    return row[-1]
