"""How good translations are, by sacrebleu."""

from functools import lru_cache

from sacrebleu.metrics import BLEU, CHRF
from sacremoses import MosesTokenizer

# Languages that put no blanks between words.
CUT = {"zh": "zh", "ja": "char", "ko": "char", "th": "char", "lo": "char", "my": "char", "km": "char"}


class Scores:
    """Scores of translations against one reference each.

    `bleu` is sacrebleu's on plain text (characters where words are not set apart). `bleu_tokenized` is near to what papers
    on Multi30k report: both sides cut into words as Moses does, without its normalisation of punctuation, and in lower
    case, then BLEU. `exact_match` is the share that is the reference to
    the letter.

    Args:
        language: Of the translations, such as de.
        lowercase: Translations are in lower case: references are brought there too.
    """

    def __init__(self, language: str, lowercase: bool) -> None:
        self.lowercase = lowercase
        self.bleu = BLEU(lowercase=lowercase, tokenize=CUT.get(language.split("_")[0], "13a"))
        self.bleu_tokenized = BLEU(tokenize="none", force=True)
        self.chrf = CHRF(lowercase=lowercase)
        moses = MosesTokenizer(lang=language)

        @lru_cache(maxsize=20_000)  # references come back each epoch
        def words(text: str) -> str:
            return moses.tokenize(text, return_str=True, escape=False).lower()

        self.words = words

    def __call__(self, outputs: list[str], references: list[str]) -> dict[str, float]:
        """All scores; those of BLEU and chrF from 0 to 100, exact match from 0 to 1."""
        pairs = zip(outputs, references, strict=True)
        same = [o.lower() == r.lower() if self.lowercase else o == r for o, r in pairs]
        tokenized = [[self.words(text) for text in side] for side in (outputs, references)]
        return {
            "bleu": self.bleu.corpus_score(outputs, [references]).score,
            "bleu_tokenized": self.bleu_tokenized.corpus_score(tokenized[0], [tokenized[1]]).score,
            "chrf": self.chrf.corpus_score(outputs, [references]).score,
            "exact_match": sum(same) / len(same),
        }

    @property
    def signatures(self) -> dict[str, str]:
        """What sacrebleu says of how it counted; known after the first scores."""
        return {
            "bleu": str(self.bleu.get_signature()),
            "bleu_tokenized": f"{self.bleu_tokenized.get_signature()}, after sacremoses and lower-casing",
            "chrf": str(self.chrf.get_signature()),
        }
