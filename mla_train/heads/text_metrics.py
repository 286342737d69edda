"""How good generated texts are: BLEU and chrF by sacrebleu, ROUGE by rouge-score; loaded when texts are scored, not when they are written."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from importlib.metadata import version
from itertools import zip_longest
from math import nan
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacremoses import MosesTokenizer

from mla_train.data.languages import bleu_tokenizer, scored_language
from mla_train.errors import require

TRANSLATION = ("bleu", "bleu_tokenized", "chrf", "exact_match")
ROUGE = ("rouge1", "rouge2", "rougeL")
METRICS = (*TRANSLATION, *ROUGE, "word_f1")


class TextMetrics:
    """Metrics of generated texts against one reference each, or several.

    `bleu` is sacrebleu's on plain text, with its tokenizer for the language (characters where words are not set apart and
    no dictionary is installed). `bleu_tokenized` is near to what papers on Multi30k report: both sides cut into words as
    Moses does, without its normalisation of punctuation, and in lower case, then BLEU; words that are not set apart are cut
    as for `bleu`. `exact_match` is the share that equals a reference. `rouge1`, `rouge2` and `rougeL` (Lin 2004) are means
    over texts of the F1 of words, pairs of words and the longest common subsequence of words; English words count by their
    stems, and several references by the best. `word_f1` is the mean F1 of words in any order, see the function.

    Args:
        language: Language of the texts, such as de; where its tokenizer is blind for the script of the references that are
            scored first, their own counts.
        lowercase: Whether the texts are in lower case: references are brought there too.
        names: Names of the metrics that are computed, of `METRICS`.

    Raises:
        UserError: There is no metric of a name.
    """

    def __init__(self, language: str, lowercase: bool, names: Collection[str] = TRANSLATION) -> None:
        for name in names:
            require(name in METRICS, f"{name} is no metric of texts; there are {', '.join(METRICS)}")
        self.language, self.lowercase, self.names = language, lowercase, names
        self.chrf = CHRF(lowercase=lowercase)
        self.bleu_tokenized = BLEU(tokenize="none", force=True)
        self.bleu: BLEU | None = None
        self.rouge: Any = None

    def _set_language(self, references: Sequence[str]) -> None:
        """Chooses the tokenizers, by the references that are scored first."""
        language = scored_language(self.language, references)
        tokenizer = bleu_tokenizer(language)
        self.bleu = bleu = BLEU(lowercase=self.lowercase, tokenize=tokenizer)
        moses = MosesTokenizer(lang=language)
        self.cut = "sacremoses" if tokenizer == "13a" else f"sacrebleu's {tokenizer}"

        @lru_cache(maxsize=20_000)  # references come back each epoch
        def words(text: str) -> str:
            cut = moses.tokenize(text, return_str=True, escape=False) if tokenizer == "13a" else bleu.tokenizer(text)
            return cut.lower()

        self.words = words
        if chosen := [name for name in ROUGE if name in self.names]:
            from rouge_score.rouge_scorer import RougeScorer

            # Its own tokenizer knows the letters a to z alone.
            self.rouge = RougeScorer(chosen, use_stemmer=language == "en", tokenizer=None if language == "en" else self)

    def tokenize(self, text: str) -> list[str]:
        """Words of a text in lower case, without punctuation, as rouge-score asks for them."""
        return [word for word in self.words(text).split() if any(map(str.isalnum, word))]

    def __call__(
        self, texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()
    ) -> dict[str, float]:
        """All metrics; exact match and F1 of words from 0 to 1, the others from 0 to 100.

        Args:
            texts: Generated texts.
            references: A reference of each.
            others: Further references of each; empty where none has any.
        """
        return self.of_draws(texts, references, others, [np.arange(len(texts))])[0]

    def of_draws(
        self,
        texts: Sequence[str],
        references: Sequence[str],
        others: Sequence[Sequence[str]],
        draws: Iterable[np.ndarray],
    ) -> list[dict[str, float]]:
        """All metrics of several choices of texts, each the places of its texts.

        BLEU and chrF are functions of sums over texts, the others are means: each text is compared once, n-grams are counted
        as sacrebleu does in its own tests.
        """
        if self.bleu is None:
            self._set_language(references)
        streams: list[Any] = [references, *zip_longest(*others)]
        sums: dict[str, tuple[Any, np.ndarray]] = {}
        for name in ("bleu", "bleu_tokenized", "chrf"):
            if name in self.names:
                sums[name] = self._counts(name, texts, streams)
        means = (
            {"exact_match": np.array(self._matches(texts, streams), dtype=float)} if "exact_match" in self.names else {}
        )
        if self.rouge is not None:
            means |= self._rouge(texts, streams)
        if "word_f1" in self.names:
            means["word_f1"] = word_f1(texts, references, others)
        return [
            {
                name: metric._compute_score_from_stats(rows[p].sum(0).tolist()).score
                for name, (metric, rows) in sums.items()
            }
            | {name: float(values[p].mean()) if len(p) else nan for name, values in means.items()}
            for p in draws
        ]

    def _counts(self, name: str, texts: Sequence[str], streams: list[Any]) -> tuple[Any, np.ndarray]:
        """A metric of sacrebleu and what it counts in each text, `(texts, counts)`."""
        metric: Any = getattr(self, name)
        if name == "bleu_tokenized":
            texts, *streams = [[text and self.words(text) for text in stream] for stream in (texts, *streams)]
        return metric, np.array(metric._extract_corpus_statistics(texts, streams))

    def _rouge(self, texts: Sequence[str], streams: list[Any]) -> dict[str, np.ndarray]:
        """ROUGE of each text, `(texts,)`, by name."""
        rows = [
            self.rouge.score_multi([reference for reference in every if reference is not None], text)
            for text, *every in zip(texts, *streams, strict=True)
        ]
        return {name: np.array([100 * row[name].fmeasure for row in rows]) for name in self.rouge.rouge_types}

    def _matches(self, texts: Sequence[str], streams: Sequence[Sequence[str]]) -> list[bool]:
        """Whether each text equals a reference."""
        return [self._form(text) in map(self._form, every) for text, *every in zip(texts, *streams, strict=True)]

    def _form(self, text: str | None) -> str | None:
        """The text as it is compared."""
        return text.lower() if text and self.lowercase else text

    @property
    def signatures(self) -> dict[str, str]:
        """Versions and options of the metrics, those of sacrebleu as it writes them; known after the first call."""
        signatures = {}
        for name in self.names:
            if name in ROUGE:
                how = f"words by {self.cut}" if self.rouge._tokenizer is self else "stemmed"
                signatures[name] = f"rouge-score {version('rouge-score')}, F1, {how}, mean over texts"
            elif name not in ("exact_match", "word_f1"):
                signatures[name] = str(getattr(self, name).get_signature())
        if "bleu_tokenized" in signatures:
            signatures["bleu_tokenized"] += f", after {self.cut} and lower-casing"
        return signatures


def word_f1(texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()) -> np.ndarray:
    """F1 of the words of each text in any order, with the best of its references, `(texts,)` (Rajpurkar et al. 2016).

    The arguments are those of `TextMetrics.__call__`. Words are in lower case, without punctuation.
    """
    rows = zip(texts, references, others or [()] * len(texts), strict=True)
    return np.array([max(_f1(words_of(text), words_of(each)) for each in (first, *more)) for text, first, more in rows])


def words_of(text: str) -> Counter[str]:
    """Words and how often each occurs."""
    return Counter(re.findall(r"\w+", text.lower()))


def _f1(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 1.0
