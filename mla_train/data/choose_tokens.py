"""The kind of token that suits texts: words, or characters where most words would be unknown."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mla_train.config import TokenizerKind

NO_BLANKS = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
"""Thai, Lao, Burmese, Khmer, kana and Chinese characters."""
WORD = r"[\w\u0300-\u036f\u0900-\u109f\u1780-\u17ff]+"
"""Letters, digits and the vowel signs of Asian scripts, which are no letters of their own."""
MOST_TEXTS, FEWEST_TEXTS = 10_000, 50
HELD_OUT = 5  # every fifth text
MANY_UNKNOWN, MANY_UNKNOWN_WITHOUT_BLANKS = 0.5, 0.25


def choose_tokens(texts: Sequence[str], min_frequency: int, lowercase: bool) -> tuple[TokenizerKind, str]:
    """Words, or characters where words of a held-out fifth of the training texts are mostly unknown to the others.

    Texts of a script without blanks need fewer unknown words: punctuation and pieces between it may be known.

    Returns:
        The kind of token, and a line for the user; empty where it is words.
    """
    if not texts:
        return TokenizerKind.word, ""
    places = np.linspace(0, len(texts) - 1, min(len(texts), MOST_TEXTS)).astype(int)
    words = [re.findall(WORD, texts[place].lower() if lowercase else texts[place]) for place in places]
    counts = Counter(word for number, some in enumerate(words) if number % HELD_OUT for word in some)
    asked = [word for some in words[::HELD_OUT] for word in some]
    if not asked:
        return TokenizerKind.word, ""
    unknown = sum(counts[word] < min_frequency for word in asked) / len(asked)
    letters = "".join(asked)
    without_blanks = len(re.findall(f"[{NO_BLANKS}]", letters)) > len(letters) / 2
    if len(texts) < FEWEST_TEXTS and not without_blanks:
        return TokenizerKind.word, ""
    if unknown <= (MANY_UNKNOWN_WITHOUT_BLANKS if without_blanks else MANY_UNKNOWN):
        return TokenizerKind.word, ""
    why = ", as the script has no blanks" if without_blanks else ""
    return TokenizerKind.char, (
        f"tokens are characters: {unknown:.0%} of the words of held-out training texts are unknown to the others{why} "
        "(data.tokens=word, bpe or char)"
    )
