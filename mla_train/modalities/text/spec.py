"""What a network must know of texts."""

from dataclasses import dataclass


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
