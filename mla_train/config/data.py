"""Options that data sets of several tasks share."""

from dataclasses import dataclass
from enum import Enum

from mla_train.config.checks import at_least
from mla_train.errors import require


class OnError(Enum):
    """What to do with an example that cannot be read."""

    stop = "stop"
    skip = "skip"


class TokenizerKind(Enum):
    """Unit of text: pieces of words down to bytes (bpe), whole words, or single characters."""

    bpe = "bpe"
    word = "word"
    char = "char"


def check_shares(val_share: float, test_share: float) -> None:
    """Refuses shares of train that cannot be split off for val and test."""
    require(0 < val_share < 1, f"data.val_share={val_share}: must lie between 0 and 1")
    require(0 < test_share < 1, f"data.test_share={test_share}: must lie between 0 and 1")


@dataclass
class TextOptions:
    """How texts become tokens and TF-IDF features.

    Attributes:
        tokens: Unit of text: bpe, word or char.
        vocab_size: Largest number of tokens, learnt on the training split.
        min_frequency: Occurrences below which a token is unknown.
        lowercase: Whether upper case is folded.
        tfidf_features: Largest number of TF-IDF features of each kind (words and pairs; pieces of words); 0 is none.
        max_length: Longest text in tokens; the rest is cut off, and counted.
    """

    tokens: TokenizerKind = TokenizerKind.word
    vocab_size: int = 30000
    min_frequency: int = 2
    lowercase: bool = True
    tfidf_features: int = 100000
    max_length: int = 512

    def check(self) -> None:
        """Refuses values without a meaning."""
        require(self.vocab_size >= 2, f"data.vocab_size={self.vocab_size}: must be 2 or more, 10000 is usual")
        at_least(1, self, "data", "min_frequency", "max_length")
        at_least(0, self, "data", "tfidf_features")
