"""What a network must know of texts, and what it reads of them."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from torch import Tensor


@dataclass
class TextSpec:
    """Vocabulary and features of texts.

    Attributes:
        vocab_size: Number of tokens.
        tokenizer: JSON of the `tokenizers` library.
        max_length: Longest text in tokens.
        tfidf_size: Number of TF-IDF features; 0 is none.
        tfidf: JSON of `TfidfFeatures`; empty is none.
        end_token: Whether each text ends with an end token, as sources of a generated text do.
        long_texts: Handling of longer texts, a name of `LongTexts`.
        columns: Columns whose texts become one; empty where there is one column.
        texts: How they become one, a name of `Texts`.
        kmer: Number of characters of the overlapping pieces that words are read as; 0 reads whole words.

    The values that `carried` names belong to the weights of the embedding, and come along with them.
    """

    carried: ClassVar = ("vocab_size", "tokenizer", "end_token")
    one_of: ClassVar = {"long_texts": ("head", "head_tail", "windows"), "texts": ("join", "pair")}

    vocab_size: int
    tokenizer: str
    max_length: int
    tfidf_size: int = 0
    tfidf: str = ""
    end_token: bool = False
    long_texts: str = "head"
    columns: list[str] = field(default_factory=list)
    texts: str = "join"
    kmer: int = 0

    def shorten(self, tokens: Any) -> Any:
        """What is read of the tokens of a text, an array or a list with an item for each."""
        if self.long_texts == "windows" or len(tokens) <= self.max_length:
            return tokens
        tail = self.max_length // 2 if self.long_texts == "head_tail" else 0
        head, end = tokens[: self.max_length - tail], tokens[len(tokens) - tail :]
        return np.concatenate([head, end]) if isinstance(tokens, np.ndarray) else [*head, *end]

    def windows(self, tokens: Tensor) -> list[Tensor]:
        """The tokens of a text, `(length,)`, in windows of equal size, one or more."""
        return list(tokens.tensor_split(max(1, -(-len(tokens) // self.max_length))))


@dataclass
class TextTensors:
    """A batch of texts.

    Attributes:
        tokens: Token numbers, padded with 0, `(batch, length)`.
        padding: True at padding, `(batch, length)`.
        features: Numbers of the TF-IDF features of all texts in a row, `(features,)`; None where there are none.
        weights: Their weights, `(features,)`.
        offsets: Places at which the features of each text begin, `(batch,)`. In an exported graph there are none:
            features and weights are then padded with weight 0, `(batch, features)`.
        windows: Number of the text that each row of tokens is a window of, `(rows,)`; None where each row is a text.
    """

    tokens: Tensor
    padding: Tensor
    features: Tensor | None = None
    weights: Tensor | None = None
    offsets: Tensor | None = None
    windows: Tensor | None = None
