"""Sentence pairs that are likely no translations: equal sides, unlikely lengths, a side in another script or language."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mla_train.data.languages import script, usual_script
from tasks.translation.config import PairNoise

MOST_RATIO = 3.0  # of the lengths of both sides, over the usual ratio
ADDED = 10  # characters, so that short sentences may differ more
FOREIGN = 10  # times as many texts of the other side have a word, which then is one of its language
LEAST_TEXTS, LEAST_WORDS = 3, 3  # texts that have a word, and such words, from which on it counts
USUAL = 0.8  # share of texts in one script by which others are odd

Texts = Sequence[str]


def find_noise(sources: Texts, targets: Texts) -> dict[PairNoise, np.ndarray]:
    """True at the pairs of each kind of noise, `(pairs,)`; what is usual is learnt from these pairs."""
    return {kind: find(sources, targets) for kind, find in _FINDERS.items()}


def describe(noise: Mapping[PairNoise, np.ndarray]) -> str:
    """How many pairs are of each kind; empty without any."""
    words = {
        PairNoise.identical: "have equal sides",
        PairNoise.ratio: f"differ in length by more than {MOST_RATIO:g} times the usual ratio",
        PairNoise.script: "have a side in another script than usual",
        PairNoise.language: "have a side in the language of the other",
    }
    return ", ".join(f"{places.sum():,} {words[kind]}" for kind, places in noise.items() if places.any())


def _identical(sources: Texts, targets: Texts) -> np.ndarray:
    return np.array([" ".join(a.split()) == " ".join(b.split()) for a, b in zip(sources, targets, strict=True)])


def _unlikely_ratio(sources: Texts, targets: Texts) -> np.ndarray:
    lengths = [np.array([len(text.strip()) + ADDED for text in side]) for side in (sources, targets)]
    ratio = np.log(lengths[1] / lengths[0])
    return np.abs(ratio - np.median(ratio)) > np.log(MOST_RATIO)


def _odd_script(sources: Texts, targets: Texts) -> np.ndarray:
    odd = np.zeros(len(sources), dtype=bool)
    for side in (sources, targets):
        scripts = ["KANA" if name == "CJK" else name for name in map(script, side)]  # Japanese mixes both
        usual = usual_script(scripts, USUAL)
        odd |= np.array([bool(name and usual) and name != usual for name in scripts])
    return odd


def _other_language(sources: Texts, targets: Texts) -> np.ndarray:
    """Pairs of which a side has mostly words that are common on the other side and rare on its own; equal sides aside."""
    sides = [[set(re.findall(r"[^\W\d_]+", text.lower())) for text in side] for side in (sources, targets)]
    counts = [Counter(word for words in side for word in words) for side in sides]
    odd = np.zeros(len(sources), dtype=bool)
    for side, own, other in ((sides[0], counts[0], counts[1]), (sides[1], counts[1], counts[0])):
        for place, words in enumerate(side):
            known = [word for word in words if max(own[word] - 1, other[word]) >= LEAST_TEXTS]
            foreign = sum(other[word] >= FOREIGN * (own[word] - 1) and other[word] >= LEAST_TEXTS for word in known)
            odd[place] |= foreign >= LEAST_WORDS and 3 * foreign > 2 * len(known)
    return odd & ~_identical(sources, targets)


_FINDERS: dict[PairNoise, Callable[[Texts, Texts], np.ndarray]] = {
    PairNoise.identical: _identical,
    PairNoise.ratio: _unlikely_ratio,
    PairNoise.script: _odd_script,
    PairNoise.language: _other_language,
}
