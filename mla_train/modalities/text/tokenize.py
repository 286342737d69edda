"""Token numbers of texts, also of long ones and of more than the memory holds."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mla_train.data.ragged import Ragged
from mla_train.data.texts import in_batches, in_pieces
from mla_train.data.tokenizers import UNK_ID

PART = 4_000_000
"""Tokens that are worked on at a time."""


def tokenize(texts: Sequence[str], tokenizer: Any, end: int | None = None) -> Ragged:
    """Token numbers of each text; a text without a token of the vocabulary is one unknown token, an empty one none.

    Args:
        texts: Cleaned texts.
        tokenizer: Tokenizer.
        end: Token that stands behind those of each text; None is none.
    """

    def tokens() -> Iterator[np.ndarray]:
        for batch in in_batches(texts):
            if len(batch) == 1:
                parts = [np.array(tokenizer.encode_batch_fast([each])[0].ids, np.int32) for each in in_pieces(batch[0])]
                numbers = [np.concatenate(parts)]
            else:
                numbers = [np.array(encoding.ids, np.int32) for encoding in tokenizer.encode_batch_fast(batch)]
            for text, each in zip(batch, numbers, strict=True):
                known = (each if len(each) else np.array([UNK_ID], np.int32)) if text else each[:0]
                yield known if end is None else np.append(known, np.int32(end))

    return Ragged(tokens())
