"""What a network must know of texts, and what it reads of them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class TextSpec:
    """Vocabulary and features of texts.

    Attributes:
        vocab_size: Number of tokens.
        tokenizer: JSON of the `tokenizers` library.
        max_length: Longest text in tokens; the rest is cut off.
        tfidf_size: Number of TF-IDF features; 0 is none.
        tfidf: JSON of `TfidfFeatures`; empty is none.
        end_token: Whether each text ends with an end token, as sources of a generated text do.
    """

    vocab_size: int
    tokenizer: str
    max_length: int
    tfidf_size: int = 0
    tfidf: str = ""
    end_token: bool = False


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
    """

    tokens: Tensor
    padding: Tensor
    features: Tensor | None = None
    weights: Tensor | None = None
    offsets: Tensor | None = None
