"""Token numbers of texts, also of long ones and of more than the memory holds."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mla_train.data.ragged import Ragged
from mla_train.data.tokenizers import UNK_ID

PART = 4_000_000
"""Characters, or tokens, that are worked on at a time."""
BETWEEN_WORDS = re.compile(r"(?<=[^\W\d_]) (?=[^\W\d_])")
"""A blank before which a text can be cut: what is before and behind it has the same tokens alone."""


def tokenize(texts: Sequence[str], tokenizer: Any, end: int | None = None) -> Ragged:
    """Token numbers of each text; a text without a token of the vocabulary is one unknown token, an empty one none.

    Args:
        texts: Cleaned texts.
        tokenizer: Tokenizer.
        end: Token that stands behind those of each text; None is none.
    """
    behind = [] if end is None else [end]

    def tokens() -> Iterator[np.ndarray]:
        for batch in _batches(texts):
            if len(batch[0]) > PART:  # it is alone
                parts = [np.array(tokenizer.encode(part).ids, np.int32) for part in _parts(batch[0])]
                ids = np.concatenate(parts)
                yield np.append(ids if len(ids) else np.int32(UNK_ID), behind).astype(np.int32)
                continue
            for text, encoding in zip(batch, tokenizer.encode_batch_fast(batch), strict=True):
                yield np.array(((encoding.ids or [UNK_ID]) if text else []) + behind, dtype=np.int32)

    return Ragged(tokens())


def _batches(texts: Sequence[str]) -> Iterator[list[str]]:
    """Texts by the thousand, or fewer that are long."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        characters += len(text)
        if batch and (len(batch) == 1000 or characters > PART):
            yield batch
            batch, characters = [], len(text)
        batch.append(text)
    if batch:
        yield batch


def _parts(text: str) -> Iterator[str]:
    """A long text in parts whose tokens are those of the whole."""
    start = 0
    while blank := BETWEEN_WORDS.search(text, start + PART):
        yield text[start : blank.start()]
        start = blank.start()
    yield text[start:]
