"""Options that tasks share for what they read."""

from dataclasses import dataclass
from enum import Enum

from mla_train.errors import require


class OnError(Enum):
    """What to do with an example that cannot be read."""

    stop = "stop"
    skip = "skip"


class TokenizerKind(Enum):
    """What a token is: pieces of words down to bytes (bpe), whole words, or single characters."""

    bpe = "bpe"
    word = "word"
    char = "char"


def check_shares(val_share: float, test_share: float) -> None:
    """Looks for shares of train that cannot be cut off for val and test."""
    require(0 < val_share < 1, f"data.val_share={val_share}: must lie between 0 and 1")
    require(0 < test_share < 1, f"data.test_share={test_share}: must lie between 0 and 1")


@dataclass
class TextOptions:
    """How texts are read.

    Attributes:
        tokens: What a token is.
        vocab_size: Most tokens; learnt on the training split.
        min_frequency: How often a token must occur.
        lowercase: Fold upper case.
        terms: Most terms of each kind (words and pairs of words; pieces of words); 0 is none.
        max_length: Longest text in tokens; the rest is cut off, and counted.
    """

    tokens: TokenizerKind = TokenizerKind.word
    vocab_size: int = 30000
    min_frequency: int = 2
    lowercase: bool = True
    terms: int = 100000
    max_length: int = 512

    def check(self) -> None:
        """Looks for values that cannot be meant."""
        require(self.vocab_size >= 2, f"data.vocab_size={self.vocab_size}: must be 2 or more, 10000 is usual")
        require(self.min_frequency >= 1, f"data.min_frequency={self.min_frequency}: must be 1 or more")
        require(self.terms >= 0, f"data.terms={self.terms}: must be 0 (none) or more")
        require(self.max_length >= 1, f"data.max_length={self.max_length}: must be 1 or more")
