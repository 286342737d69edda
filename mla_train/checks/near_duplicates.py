"""Equal and nearly equal examples.

Pairs are arrays `(pairs, 2)` of places: an example, and the later one that repeats it. Each example repeats at most one.
"""

import re
from collections.abc import Hashable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

SHINGLE = 5  # characters
HASHES, ROWS = (
    24,
    4,
)  # of MinHash (Broder 1997): six bands of four, which pairs of similarity .8 share with probability .96
LEAST_JACCARD = 0.8
HASH_SIDE, THUMBNAIL_SIDE = 8, 16
ORDERS = 6  # orders of the bits of an image hash, in each of which similar images are neighbours
NEIGHBOURS = 3
MOST_BITS, LEAST_CORRELATION = 4, 0.99
BATCH = 4_000_000  # characters


def equal_pairs(keys: Sequence[Hashable]) -> np.ndarray:
    """Pairs of equal keys."""
    first: dict[Hashable, int] = {}
    pairs = [(first.setdefault(key, place), place) for place, key in enumerate(keys)]
    return np.array([pair for pair in pairs if pair[0] != pair[1]], dtype=int).reshape(-1, 2)


def near_texts(texts: Sequence[str]) -> np.ndarray:
    """Pairs of texts whose letters and digits are the same, or that share most of their sequences of five characters."""
    texts = [normalized(text) for text in texts]
    signatures = np.concatenate([_signatures(batch) for batch in _batches(texts)] or [np.zeros((0, HASHES), np.uint32)])
    bands = signatures.reshape(len(texts), HASHES // ROWS, ROWS).astype(np.uint64)
    keys = (bands * np.array([1, 2654435761, 40503, 2246822519], np.uint64)).sum(2)
    pairs = candidate_pairs(keys, equal=True)
    agreement = (signatures[pairs[:, 0]] == signatures[pairs[:, 1]]).mean(1)
    likely = agreement > LEAST_JACCARD - 0.25
    pairs = _best(pairs[likely], agreement[likely])
    alike = [bool(texts[a]) and jaccard(texts[a], texts[b]) >= LEAST_JACCARD for a, b in pairs.tolist()]
    return pairs[np.array(alike, dtype=bool)]


def normalized(text: str) -> str:
    """Lower-case letters and digits with single blanks; the text itself where most of it are other signs."""
    text = " ".join(text.lower().split())
    words = re.findall(r"[^\W_]+", text)
    return " ".join(words) if sum(map(len, words)) > len(text) / 2 else text


def jaccard(one: str, other: str) -> float:
    """Share of the sequences of five characters in either text that are in both."""
    first, second = ({text[i : i + SHINGLE] for i in range(max(1, len(text) - SHINGLE + 1))} for text in (one, other))
    return len(first & second) / len(first | second)


def near_images(images: Tensor) -> np.ndarray:
    """Pairs of images `(images, channels, height, width)` with the same average hash but for a few bits, and alike."""
    thumbnails = torch.cat([_thumbnails(some) for some in images.split(2000)])
    small = F.adaptive_avg_pool2d(thumbnails, HASH_SIDE).flatten(1)
    bits = (small > small.mean(1, keepdim=True)).numpy()
    generator = np.random.default_rng(0)
    orders = [generator.permutation(bits.shape[1]) for _ in range(ORDERS)]
    powers = np.uint64(2) ** np.arange(bits.shape[1], dtype=np.uint64)
    keys = np.stack([(bits[:, order] * powers).sum(1) for order in orders], 1)
    pairs = candidate_pairs(keys)
    pairs = pairs[(bits[pairs[:, 0]] != bits[pairs[:, 1]]).sum(1) <= MOST_BITS]
    flat = thumbnails.flatten(1)
    flat = flat - flat.mean(1, keepdim=True)
    norms = flat.norm(dim=1)
    alike = ((flat[pairs[:, 0]] * flat[pairs[:, 1]]).sum(1) / (norms[pairs[:, 0]] * norms[pairs[:, 1]])).numpy()
    likely = alike >= LEAST_CORRELATION  # not so for images of one colour, which are NaN
    return _best(pairs[likely], alike[likely])


def candidate_pairs(keys: np.ndarray, equal: bool = False) -> np.ndarray:
    """Pairs that are neighbours in the order of a column of keys `(examples, columns)`, or have the same one as the first.

    With `equal` neighbours, too, must have the same key.
    """
    count, pairs = len(keys), []
    for column in keys.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        begins = np.r_[True, ordered[1:] != ordered[:-1]][:count]
        first = np.maximum.accumulate(np.where(begins, np.arange(count), 0))
        pairs.append(order[first] * count + order)  # equal keys stand in the order of their places
        for step in range(1, NEIGHBOURS + 1):
            one, other, same = order[:-step], order[step:], first[:-step] == first[step:]
            numbers = np.minimum(one, other) * count + np.maximum(one, other)
            pairs.append(numbers[same] if equal else numbers)
    numbers = np.unique(np.concatenate(pairs)) if pairs else np.zeros(0, dtype=int)
    pairs_of_places = np.stack(np.divmod(numbers, max(count, 1)), 1)
    return pairs_of_places[pairs_of_places[:, 0] != pairs_of_places[:, 1]]


def _best(pairs: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """The most similar of the earlier examples of each later one, and of these the first."""
    order = np.lexsort((pairs[:, 0], -similarity, pairs[:, 1]))
    return pairs[order][np.unique(pairs[order, 1], return_index=True)[1]]


def _batches(texts: Sequence[str]) -> list[list[str]]:
    """Texts in batches of about so many characters."""
    numbers = np.cumsum([len(text) + SHINGLE for text in texts]) // BATCH
    return [[texts[i] for i in np.flatnonzero(numbers == number).tolist()] for number in np.unique(numbers)]


def _signatures(texts: Sequence[str]) -> np.ndarray:
    """MinHash of the sequences of five characters of each text, `(texts, hashes)`."""
    padded = [text.ljust(SHINGLE) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "replace"), np.uint32).astype(np.uint64)
    lengths = np.array([len(text) for text in padded])
    count = len(codes) - SHINGLE + 1
    shingles = np.zeros(count, np.uint64)
    for step in range(SHINGLE):
        shingles = shingles * np.uint64(1_000_003) + codes[step : step + count]
    number = np.repeat(np.arange(len(texts)), lengths)
    whole = number[:count] == number[SHINGLE - 1 :]
    shingles, starts = shingles[whole], np.r_[0, np.cumsum(lengths - SHINGLE + 1)[:-1]]
    generator = np.random.default_rng(0)
    signatures = np.zeros((len(texts), HASHES), np.uint32)
    for i in range(HASHES):
        factor, shift = generator.integers(1, 2**63, 2, dtype=np.uint64)
        mixed = (shingles + shift) * (factor | np.uint64(1))
        mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        signatures[:, i] = np.minimum.reduceat((mixed >> np.uint64(32)).astype(np.uint32), starts)
    return signatures


def _thumbnails(images: Tensor) -> Tensor:
    """Grey images of at most 16 x 16 pixels."""
    side = min(THUMBNAIL_SIDE, *images.shape[-2:])
    return F.adaptive_avg_pool2d(images.float().mean(1, keepdim=True), side)
