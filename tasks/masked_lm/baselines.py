"""What fills a gap without a network: the most frequent token, and the likeliest one between its neighbours."""

from functools import cached_property, partial

import numpy as np
from scipy.sparse import csr_matrix

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.data.tokenizers import UNK_ID
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions

TEXT = "text"
CHUNK = 1000  # gaps whose scores of all tokens are in memory
MOST_TOKENS = 10_000_000  # of the training split that neighbours are counted in
CHOSEN_BY = 5000  # gaps of val
SHARES = (0.1, 0.3, 0.6)
"""Weights of both neighbours together that are tried; half of the rest, and a tenth, go to one neighbour alone."""


def filling_baselines(data: Dataset) -> Baselines:
    """The most frequent token, and a trigram of the token and its neighbours, mixed with what each of these says alone."""
    return {"unigram": partial(_unigram, data), "trigram": partial(_trigram, data)}


class Counts:
    """How often tokens, and tokens beside others, occur in the training split."""

    def __init__(self, data: Dataset) -> None:
        tokens = data.train.columns[TEXT].tokens
        self.size = data.spec.inputs[TEXT].spec.vocab_size
        ends = np.cumsum(data.train.columns[TEXT].lengths())
        kept = tokens[: max(1, int(np.searchsorted(ends, MOST_TOKENS)))]
        # A zero, which is no token, stands before and behind each text.
        self.row = np.concatenate([piece for each in kept for piece in (each, [0])]).astype(np.int64)
        self.row = np.concatenate([[0], self.row])

    @cached_property
    def alone(self) -> np.ndarray:
        """Probability of each token, with one more of each, `(vocab_size,)`."""
        counts = np.bincount(self.row, minlength=self.size) + 1.0
        counts[: UNK_ID + 1] = 0
        return counts / counts.sum()

    @cached_property
    def after(self) -> csr_matrix:
        """Probability of a token, by the one before it, `(vocab_size, vocab_size)`."""
        return self._matrix(self.row[:-1], self.row[1:], self.size)

    @cached_property
    def before(self) -> csr_matrix:
        """Probability of a token, by the one behind it, `(vocab_size, vocab_size)`."""
        return self._matrix(self.row[1:], self.row[:-1], self.size)

    @cached_property
    def _pairs(self) -> np.ndarray:
        return np.unique(self.row[:-2] * self.size + self.row[2:])

    @cached_property
    def between(self) -> csr_matrix:
        """Probability of a token, by its neighbours, `(pairs, vocab_size)`."""
        pairs = np.searchsorted(self._pairs, self.row[:-2] * self.size + self.row[2:])
        return self._matrix(pairs, self.row[1:-1], len(self._pairs))

    def pair(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Number of each pair of neighbours, -1 for one that was never seen, `(gaps,)`."""
        keys = left * self.size + right
        places = np.searchsorted(self._pairs, keys).clip(max=len(self._pairs) - 1)
        return np.where(self._pairs[places] == keys, places, -1)

    def _matrix(self, given: np.ndarray, token: np.ndarray, rows: int) -> csr_matrix:
        is_token = token > UNK_ID
        given, token = given[is_token], token[is_token]
        counts = csr_matrix((np.ones(len(given)), (given, token)), shape=(rows, self.size))
        sums = np.asarray(counts.sum(1)).ravel()
        counts.data /= np.repeat(np.maximum(sums, 1), np.diff(counts.indptr))
        return counts


def _gaps(split: Split) -> tuple[np.ndarray, ...]:
    """Number of the text, tokens to the left and right, and the true token of each gap, `(gaps,)` each."""
    rows, lefts, rights, true = [], [], [], []
    for number, (tokens, hidden) in enumerate(zip(split.columns[TEXT].tokens, split.targets, strict=True)):
        places = np.flatnonzero(hidden)
        padded = np.concatenate([[0], tokens, [0]])
        rows.append(np.full(len(places), number))
        lefts.append(padded[places])
        rights.append(padded[places + 2])
        true.append(hidden[places])
    return tuple(np.concatenate(each).astype(np.int64) for each in (rows, lefts, rights, true))


def _scores(counts: Counts, left: np.ndarray, right: np.ndarray, share: float) -> np.ndarray:
    """Probabilities of all tokens, `(gaps, vocab_size)`: a mixture, whose parts that know nothing pass theirs on."""
    alone = np.broadcast_to(counts.alone, (len(left), counts.size))
    single = np.zeros((len(left), counts.size))
    for matrix, neighbour in ((counts.after, left), (counts.before, right)):
        said = matrix[neighbour].toarray()
        knows = (said.sum(1) > 0) & (neighbour != UNK_ID)
        single += 0.5 * np.where(knows[:, None], said, alone)
    mixed = 0.9 * single + 0.1 * alone
    pairs = counts.pair(left, right)
    known = (pairs >= 0) & (left != UNK_ID) & (right != UNK_ID)
    both = counts.between[np.maximum(pairs, 0)].toarray()
    known &= both.sum(1) > 0
    return np.where(known[:, None], share * both + (1 - share) * mixed, mixed)


def _evaluated(split: Split, counts: Counts, share: float | None) -> Predictions:
    """The columns of `MaskedTokens.predict` that metrics are made of; a share of None is the most frequent token."""
    rows, lefts, rights, true = _gaps(split)
    best, chance = np.empty(len(true), np.int64), np.empty(len(true))
    if share is None:
        best[:], chance[:] = counts.alone.argmax(), counts.alone[true]
    else:
        for start in range(0, len(true), CHUNK):
            part = slice(start, start + CHUNK)
            scores = _scores(counts, lefts[part], rights[part], share)
            best[part], chance[part] = scores.argmax(1), scores[np.arange(len(scores)), true[part]]
    size = len(split.targets)
    loss = -np.log(np.maximum(chance, 1e-12))
    return {
        "gaps": np.bincount(rows, minlength=size),
        "correct": np.bincount(rows, best == true, minlength=size),
        "loss": np.bincount(rows, loss, minlength=size),
    }


def _unigram(data: Dataset, limit: Limit) -> Baseline:
    counts = Counts(data)
    return Baseline(_evaluated(data.val, counts, None), _evaluated(data.test, counts, None))


def _trigram(data: Dataset, limit: Limit) -> Baseline:
    counts = Counts(data)
    few = _first(data.val, CHOSEN_BY)
    best = min(SHARES, key=lambda share: _evaluated(few, counts, share)["loss"].sum())
    return Baseline(_evaluated(data.val, counts, best), _evaluated(data.test, counts, best), {"share": best})


def _first(split: Split, gaps: int) -> Split:
    """The first texts of a split, with so many gaps."""
    ends = np.cumsum([np.count_nonzero(hidden) for hidden in split.targets])
    return split.first(max(1, int(np.searchsorted(ends, gaps))))
