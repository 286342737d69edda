"""How good generated texts are, by sacrebleu: loaded when texts are scored, not when they are written."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF
from sacremoses import MosesTokenizer

from mla_train.data.languages import bleu_tokenizer, scored_language


class TextMetrics:
    """Metrics of generated texts against one reference each, or several.

    `bleu` is sacrebleu's on plain text, with its tokenizer for the language (characters where words are not set apart and
    no dictionary is installed). `bleu_tokenized` is near to what papers on Multi30k report: both sides cut into words as
    Moses does, without its normalisation of punctuation, and in lower case, then BLEU; words that are not set apart are cut
    as for `bleu`. `exact_match` is the share that equals a reference.

    Args:
        language: Language of the texts, such as de; where its tokenizer is blind for the script of the references that are
            scored first, their own counts.
        lowercase: Whether the texts are in lower case: references are brought there too.
    """

    def __init__(self, language: str, lowercase: bool) -> None:
        self.language, self.lowercase = language, lowercase
        self.chrf = CHRF(lowercase=lowercase)
        self.bleu_tokenized = BLEU(tokenize="none", force=True)
        self.bleu: BLEU | None = None

    def _set_language(self, references: Sequence[str]) -> BLEU:
        """Chooses the tokenizers, by the references that are scored first."""
        language = scored_language(self.language, references)
        tokenizer = bleu_tokenizer(language)
        bleu = BLEU(lowercase=self.lowercase, tokenize=tokenizer)
        moses = MosesTokenizer(lang=language)
        self.cut = "sacremoses" if tokenizer == "13a" else f"sacrebleu's {tokenizer}"

        @lru_cache(maxsize=20_000)  # references come back each epoch
        def words(text: str) -> str:
            cut = moses.tokenize(text, return_str=True, escape=False) if tokenizer == "13a" else bleu.tokenizer(text)
            return cut.lower()

        self.words = words
        return bleu

    def __call__(
        self, texts: Sequence[str], references: Sequence[str], others: Sequence[Sequence[str]] = ()
    ) -> dict[str, float]:
        """All metrics; those of BLEU and chrF from 0 to 100, exact match from 0 to 1.

        Args:
            texts: Generated texts.
            references: A reference of each.
            others: Further references of each; empty where none has any.
        """
        if self.bleu is None:
            self.bleu = self._set_language(references)
        streams, tokenized = self._streams(references, others)
        same = self._matches(texts, streams)
        written = [self.words(text) for text in texts]
        return {
            "bleu": self.bleu.corpus_score(texts, streams).score,
            "bleu_tokenized": self.bleu_tokenized.corpus_score(written, tokenized).score,
            "chrf": self.chrf.corpus_score(texts, streams).score,
            "exact_match": sum(same) / len(same),
        }

    def of_draws(
        self,
        texts: Sequence[str],
        references: Sequence[str],
        others: Sequence[Sequence[str]],
        draws: Iterable[np.ndarray],
    ) -> list[dict[str, float]]:
        """All metrics of several choices of texts, each the places of its texts.

        BLEU and chrF are functions of sums over texts: n-grams are counted once, as sacrebleu does in its own tests.
        """
        if self.bleu is None:
            self.bleu = self._set_language(references)
        streams, tokenized = self._streams(references, others)
        written = [self.words(text) for text in texts]
        counted = {
            "bleu": (self.bleu, texts, streams),
            "bleu_tokenized": (self.bleu_tokenized, written, tokenized),
            "chrf": (self.chrf, texts, streams),
        }
        sums: dict[str, Any] = {
            name: (metric, np.array(metric._extract_corpus_statistics(hypotheses, stream)))
            for name, (metric, hypotheses, stream) in counted.items()
        }
        same = np.array(self._matches(texts, streams), dtype=float)
        return [
            {
                name: metric._compute_score_from_stats(rows[p].sum(0).tolist()).score
                for name, (metric, rows) in sums.items()
            }
            | {"exact_match": float(same[p].mean())}
            for p in draws
        ]

    def _streams(self, references: Sequence[str], others: Sequence[Sequence[str]]) -> tuple[list[Any], list[Any]]:
        """First references, second ones and so on; the same cut into words."""
        streams: list[Any] = [references, *zip_longest(*others)]
        return streams, [[text and self.words(text) for text in stream] for stream in streams]

    def _matches(self, texts: Sequence[str], streams: Sequence[Sequence[str]]) -> list[bool]:
        """Whether each text equals a reference."""
        return [self._form(text) in map(self._form, every) for text, *every in zip(texts, *streams, strict=True)]

    def _form(self, text: str | None) -> str | None:
        """The text as it is compared."""
        return text.lower() if text and self.lowercase else text

    @property
    def signatures(self) -> dict[str, str]:
        """Versions and options of the metrics, as sacrebleu writes them; known after the first call."""
        assert self.bleu is not None
        return {
            "bleu": str(self.bleu.get_signature()),
            "bleu_tokenized": f"{self.bleu_tokenized.get_signature()}, after {self.cut} and lower-casing",
            "chrf": str(self.chrf.get_signature()),
        }
