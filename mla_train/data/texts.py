"""What reads texts: one form for what looks the same, tokens, terms, and hiding some of them from training."""

import unicodedata
from collections.abc import Sequence

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from mla_train.config import Augmentation, TokenizerKind
from mla_train.data.terms import Terms
from mla_train.data.tokenizers import UNK_ID, learn_tokenizer, read_tokenizer

# Share of the tokens that are hidden from training, each time others: half removed, half made unknown.
HIDDEN = {Augmentation.none: 0.0, Augmentation.light: 0.2, Augmentation.strong: 0.4}


def hide(tokens: Tensor, share: float) -> Tensor:
    """Removes half of a random share of tokens and makes the other half unknown; one token stays at least.

    Args:
        tokens: `(length,)`.
        share: Of the tokens.
    """
    chance = torch.rand(len(tokens))
    tokens = tokens.masked_fill(chance < share, UNK_ID)
    kept = tokens[chance >= share / 2]
    return kept if len(kept) else tokens[:1]


def clean(text: str) -> str:
    """One form for what looks the same (Unicode NFC), single blanks."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def read_texts(
    texts: dict[str, list[str]], kind: TokenizerKind, vocab_size: int, lowercase: bool, min_frequency: int, terms: int
) -> tuple[str, dict[str, list[np.ndarray]], str, dict[str, scipy.sparse.csr_matrix]]:
    """Learns tokens and terms on the training part and finds them in all parts.

    Args:
        texts: Of the parts; one is "train".
        kind: What a token is.
        vocab_size: Most tokens.
        lowercase: Fold upper case.
        min_frequency: How often a token must occur.
        terms: Most terms of each kind; 0 is none.

    Returns:
        The tokenizer as JSON, token numbers of each text, the terms as JSON, weights of the terms.
    """
    tokenizer = learn_tokenizer(texts["train"], kind, vocab_size, lowercase, min_frequency)
    tokens: dict[str, list[np.ndarray]] = {}
    for part, some in texts.items():
        tokens[part] = []
        for start in range(0, len(some), 1000):
            for encoding in tokenizer.encode_batch_fast(some[start : start + 1000]):
                tokens[part].append(np.array(encoding.ids or [UNK_ID], dtype=np.int32))
    if not terms:
        nothing = {part: scipy.sparse.csr_matrix((len(some), 0), dtype=np.float32) for part, some in texts.items()}
        return tokenizer.to_str(), tokens, "", nothing
    known = Terms.learn(texts["train"], terms)
    return tokenizer.to_str(), tokens, known.to_json(), {part: known.matrix(some) for part, some in texts.items()}


class TextReader:
    """Reads texts as those were read that a model has learnt from.

    Args:
        tokenizer: JSON.
        terms: JSON; empty is none.
        max_length: Longest text in tokens.
    """

    def __init__(self, tokenizer: str, terms: str, max_length: int) -> None:
        self.tokenizer = read_tokenizer(tokenizer)
        self.terms = Terms.from_json(terms) if terms else None
        self.max_length = max_length

    def __call__(self, texts: Sequence[str]) -> tuple[list[np.ndarray], scipy.sparse.csr_matrix]:
        """Token numbers of each text, and weights of its terms, `(texts, terms)`."""
        encodings = self.tokenizer.encode_batch_fast(list(texts))
        tokens = [np.array(e.ids[: self.max_length] or [UNK_ID], dtype=np.int32) for e in encodings]
        if self.terms is None:
            return tokens, scipy.sparse.csr_matrix((len(texts), 0), dtype=np.float32)
        return tokens, self.terms.matrix(list(texts))
