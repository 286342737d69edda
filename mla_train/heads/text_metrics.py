"""How good generated texts are, by sacrebleu: loaded when texts are scored, not when they are written."""

from collections.abc import Sequence
from functools import lru_cache

from sacrebleu.metrics import BLEU, CHRF
from sacremoses import MosesTokenizer

# Languages that put no blanks between words, and how sacrebleu cuts them.
TOKENIZERS = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "my": "char", "km": "char"}


class TextMetrics:
    """Metrics of generated texts against one reference each.

    `bleu` is sacrebleu's on plain text (characters where words are not set apart). `bleu_tokenized` is near to what papers
    on Multi30k report: both sides cut into words as Moses does, without its normalisation of punctuation, and in lower
    case, then BLEU. `exact_match` is the share that equals the reference.

    Args:
        language: Language of the texts, such as de.
        lowercase: Whether the texts are in lower case: references are brought there too.
    """

    def __init__(self, language: str, lowercase: bool) -> None:
        self.lowercase = lowercase
        self.bleu = BLEU(lowercase=lowercase, tokenize=TOKENIZERS.get(language.split("_")[0], "13a"))
        self.bleu_tokenized = BLEU(tokenize="none", force=True)
        self.chrf = CHRF(lowercase=lowercase)
        moses = MosesTokenizer(lang=language)

        @lru_cache(maxsize=20_000)  # references come back each epoch
        def words(text: str) -> str:
            return moses.tokenize(text, return_str=True, escape=False).lower()

        self.words = words

    def __call__(self, texts: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        """All metrics; those of BLEU and chrF from 0 to 100, exact match from 0 to 1."""
        pairs = zip(texts, references, strict=True)
        same = [a.lower() == b.lower() if self.lowercase else a == b for a, b in pairs]
        tokenized = [[self.words(text) for text in side] for side in (texts, references)]
        return {
            "bleu": self.bleu.corpus_score(texts, [references]).score,
            "bleu_tokenized": self.bleu_tokenized.corpus_score(tokenized[0], [tokenized[1]]).score,
            "chrf": self.chrf.corpus_score(texts, [references]).score,
            "exact_match": sum(same) / len(same),
        }

    @property
    def signatures(self) -> dict[str, str]:
        """Versions and options of the metrics, as sacrebleu writes them; known after the first call."""
        return {
            "bleu": str(self.bleu.get_signature()),
            "bleu_tokenized": f"{self.bleu_tokenized.get_signature()}, after sacremoses and lower-casing",
            "chrf": str(self.chrf.get_signature()),
        }
