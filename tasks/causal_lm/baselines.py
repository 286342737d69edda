"""What foresees bytes without a network: how often each follows others, and general compressors of files."""

import bz2
import lzma
from collections.abc import Callable
from functools import partial
from math import log

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.data.tokenizers import token_bytes
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions

MOST_BYTES = 20_000_000  # of the training split that n-grams are counted in
ORDERS = (1, 2, 3, 4, 5, 6)  # bytes that an n-gram has
DISCOUNTS = (0.5, 0.7, 0.9)
COMPRESSORS: dict[str, tuple[Callable[[bytes], bytes], int]] = {
    "lzma": (lzma.compress, 2_000_000),
    "bz2": (bz2.compress, 500_000),  # it sees 900,000 bytes at a time
}
"""Each with the number of training bytes that it is given, the last ones."""


def byte_baselines(data: Dataset) -> Baselines:
    """N-grams of bytes, and compressors that have read the training split before."""
    return {"ngram": partial(_ngram, data), **{name: partial(_compressor, data, name) for name in COMPRESSORS}}


def bytes_of(split: Split, table: list[bytes]) -> list[bytes]:
    """The bytes of each piece of a split, from those of each token."""
    return [_written(tokens, table) for tokens in split.targets]


def last_bytes(split: Split, table: list[bytes], most: int) -> bytes:
    """The last bytes of a split, from those of each token."""
    pieces: list[bytes] = []
    size = 0
    for place in range(len(split.targets) - 1, -1, -1):
        if size >= most:
            break
        pieces.append(_written(split.targets[place], table))
        size += len(pieces[-1])
    return b"".join(reversed(pieces))[-most:]


def _written(tokens: np.ndarray, table: list[bytes]) -> bytes:
    return b"".join(table[token] for token in tokens.tolist())


class Counts:
    """How often bytes follow the bytes before them in a text.

    The probability of a byte behind a context mixes that of its frequency with that of the context without its first
    byte (absolute discounting, Ney et al. 1994): `(max(count - d, 0) + d * kinds * shorter) / total`, where `kinds` is the
    number of different bytes that follow the context.

    Args:
        text: Training bytes.
    """

    def __init__(self, text: bytes) -> None:
        self.tables = []
        for order in ORDERS:
            keys, counts = np.unique(_keys(text, order), return_counts=True)
            contexts, starts, kinds = np.unique(keys >> 8, return_index=True, return_counts=True)
            self.tables.append((keys, counts, contexts, np.add.reduceat(counts, starts), kinds))

    def found(self, text: bytes) -> list[tuple[np.ndarray, ...]]:
        """For each order the count, the total and the kinds of each byte of a text, `(bytes,)` each."""
        rows = []
        for order, (keys, counts, contexts, totals, kinds) in zip(ORDERS, self.tables, strict=True):
            wanted = _keys(text, order)
            context = wanted >> 8
            rows.append(
                (_looked_up(keys, counts, wanted), *(_looked_up(contexts, each, context) for each in (totals, kinds)))
            )
        return rows


def chances(found: list[tuple[np.ndarray, ...]], order: int, discount: float) -> np.ndarray:
    """Probability of each byte of a text, `(bytes,)`, by n-grams of up to so many bytes; see `Counts.found`."""
    mixed = np.full(len(found[0][0]), 1 / 256)
    for count, total, kinds in found[:order]:
        known = total > 0
        own = (np.maximum(count - discount, 0) + discount * kinds * mixed) / np.maximum(total, 1)
        mixed = np.where(known, own, mixed)
    return mixed


def _keys(text: bytes, order: int) -> np.ndarray:
    """Each byte of a text with those before it, as one number, `(bytes,)`; zeros stand before the first."""
    row = np.concatenate([np.zeros(order - 1, np.int64), np.frombuffer(text, np.uint8).astype(np.int64)])
    keys = np.zeros(len(text), np.int64)
    for place in range(order):
        keys = (keys << 8) | row[place : place + len(text)]
    return keys


def _looked_up(keys: np.ndarray, values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The value of each wanted key, 0 where there is none; keys are sorted."""
    places = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.where(keys[places] == wanted, values[places], 0)


def _ngram(data: Dataset, limit: Limit) -> Baseline:
    train, val, test = _bytes_of_splits(data, MOST_BYTES)
    counts = Counts(train)
    of_val, of_test = (counts.found(b"".join(each)) for each in (val, test))
    candidates = [(order, discount) for order in ORDERS for discount in DISCOUNTS]
    order, discount = min(candidates, key=lambda each: -np.log(chances(of_val, *each)).sum())
    losses = [-np.log(chances(found, order, discount)) for found in (of_val, of_test)]
    return Baseline(_by_piece(val, losses[0]), _by_piece(test, losses[1]), {"bytes": order, "discount": discount})


def _by_piece(pieces: list[bytes], losses: np.ndarray) -> Predictions:
    """The columns of `NextTokens.predict` that bits per byte are made of, from the loss of each byte, `(bytes,)`."""
    sizes = np.array([len(piece) for piece in pieces])
    return {"loss": np.bincount(np.repeat(np.arange(len(sizes)), sizes), losses, len(sizes)), "bytes": sizes}


def _compressor(data: Dataset, name: str, limit: Limit) -> Baseline:
    compress, most = COMPRESSORS[name]
    read, val, test = _bytes_of_splits(data, most)
    before = len(compress(read))

    def columns(pieces: list[bytes]) -> Predictions:
        """The bits that a split adds, shared out among its bytes."""
        text = b"".join(pieces)
        bits = 8 * (len(compress(read + text)) - before)
        return _by_piece(pieces, np.full(len(text), bits * log(2) / max(len(text), 1)))

    return Baseline(columns(val), columns(test), {"training bytes": len(read)})


def _bytes_of_splits(data: Dataset, most: int) -> tuple[bytes, list[bytes], list[bytes]]:
    """The last bytes of train, and those of each piece of val and test."""
    text = data.spec.inputs["text"]
    table = token_bytes(text.tokenizer)  # type: ignore[attr-defined]
    return last_bytes(data.train, table, most), bytes_of(data.val, table), bytes_of(data.test, table)
