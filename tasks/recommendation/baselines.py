"""Simple recommenders on the same histories: what is popular, what users have together, and a linear autoencoder."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from mla_train.heads.ranking import Ranking, metrics_of, ranked
from mla_train.modalities.items.neighbours import Neighbours

HISTORY = "history"
DECAYS, SHRINKS, STRENGTHS = (0.7, 0.8, 0.9), (10.0, 0.0, 20.0), (500.0, 200.0, 1000.0)
COUNT, ALL, LAST = 100, 1000, 8  # neighbours of an item; items of a history that item-kNN and the decayed one sum over
CHUNK = 128  # histories that are scored at a time
Score = Callable[[list[np.ndarray]], np.ndarray]
"""From numbers of the items of some histories to scores of all items, `(histories, catalogue)`."""


def ranking_baselines(data: Dataset) -> Baselines:
    """The most popular items, item-kNN over whole and over the last items, and EASE."""
    return {
        "popularity": partial(_popularity, data),
        "item_knn": partial(_neighbours, data, ALL, (1.0,)),
        "decayed_item_knn": partial(_neighbours, data, LAST, DECAYS),
        "ease": partial(_ease, data),
    }


def training_histories(data: Dataset) -> list[np.ndarray]:
    """Numbers of the items of each training user, with the last one."""
    column = data.train.columns[HISTORY]
    return [
        np.append(column[place].seen, target) if target else column[place].seen
        for place, target in enumerate(data.train.targets)
    ]


def predictions_of(split: Split, score: Score) -> Predictions:
    """The columns of `Ranking.predict` that metrics need."""
    column, parts = split.columns[HISTORY], []
    for start in range(0, len(split.targets), CHUNK):
        histories = [column[place].seen for place in range(start, min(start + CHUNK, len(split.targets)))]
        scores = np.array(score(histories), float)
        for row, history in zip(scores, histories, strict=True):
            row[history - 1] = -np.inf
        parts.append(ranked(scores, split.targets[start : start + CHUNK]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def best(data: Dataset, candidates: Iterable[tuple[dict[str, Any], Score]], limit: Limit) -> Baseline:
    """The candidate with the best monitored metric on val; without time the first, the usual one."""
    chosen: tuple[float, dict[str, Any], Score, Predictions] | None = None
    for settings, score in candidates:
        val = predictions_of(data.val, score)
        value = metrics_of(val["rank"])[Ranking.monitor]
        if chosen is None or value > chosen[0]:
            chosen = value, settings, score, val
        if limit.is_over:
            break
    assert chosen is not None
    return Baseline(chosen[3], predictions_of(data.test, chosen[2]), chosen[1])


def _popularity(data: Dataset, limit: Limit) -> Baseline:
    counts = np.array(data.spec.inputs[HISTORY].spec.counts, float)
    return best(data, [({}, lambda histories: np.tile(counts, (len(histories), 1)))], limit)


def _neighbours(data: Dataset, lags: int, decays: tuple[float, ...], limit: Limit) -> Baseline:
    knn, settings = choose_neighbours(data, lags, decays, COUNT, limit)
    score = partial(knn_scores, knn)
    return Baseline(predictions_of(data.val, score), predictions_of(data.test, score), settings)


def choose_neighbours(
    data: Dataset, lags: int, decays: Sequence[float], count: int, limit: Limit
) -> tuple[Neighbours, dict[str, float]]:
    """Item-kNN of the training histories that is best on val, and its settings.

    Args:
        data: Data set.
        lags: Number of items of a history that count.
        decays: Weights of an item beside that of the next, to choose from.
        count: Number of neighbours of each item.
        limit: How long to choose; without time the first settings are taken, the usual ones.
    """
    histories, size = training_histories(data), len(data.spec.inputs[HISTORY].spec.catalogue)
    found: list[tuple[float, Neighbours, dict[str, float]]] = []
    for shrink in SHRINKS:
        learned = Neighbours(size, count, lags, shrink)
        learned.learn(histories)
        for decay in decays:
            knn = deepcopy(learned)
            knn.set_decay(decay)
            val = predictions_of(data.val, partial(knn_scores, knn))
            found.append((metrics_of(val["rank"])[Ranking.monitor], knn, {"shrink": shrink, "decay": decay}))
            if limit.is_over:
                return found[0][1:]
    return max(found, key=lambda each: each[0])[1:]


@torch.no_grad()
def knn_scores(knn: Neighbours, histories: list[np.ndarray]) -> np.ndarray:
    """Scores by item-kNN."""
    recent = torch.zeros(len(histories), knn.lags, dtype=torch.long)
    for row, history in zip(recent, histories, strict=True):
        newest = torch.from_numpy(history[::-1][: knn.lags].copy())
        row[: len(newest)] = newest
    return knn(recent).numpy()


def _ease(data: Dataset, limit: Limit) -> Baseline:
    """EASE (Steck 2019), through the inverse of users x users where they are fewer than items: the same numbers."""
    from scipy.sparse import csr_matrix

    histories, size = training_histories(data), len(data.spec.inputs[HISTORY].spec.catalogue)

    def rows(histories: list[np.ndarray]) -> Any:
        places = np.repeat(np.arange(len(histories)), [len(each) for each in histories])
        columns = np.concatenate([*histories, np.zeros(0, np.int64)]).astype(np.int64) - 1
        return csr_matrix((np.ones(len(places)), (places, columns)), shape=(len(histories), size))

    train = rows(histories)

    def candidates() -> Iterable[tuple[dict[str, Any], Score]]:
        for strength in STRENGTHS:
            scores = ease_scores(train, strength)
            yield {"l2": strength}, partial(_of_rows, scores, rows)

    return best(data, candidates(), limit)


def _of_rows(
    scores: Callable[[Any], np.ndarray], rows: Callable[[Any], Any], histories: list[np.ndarray]
) -> np.ndarray:
    return scores(rows(histories))


def ease_scores(train: Any, strength: float) -> Callable[[Any], np.ndarray]:
    """From histories to scores, both `(histories, catalogue)`: with P the inverse of X'X + strength, h (I - P / diag(P)).

    Args:
        train: X, 1 where a training user has an item, sparse, `(users, catalogue)`.
        strength: Strength of the penalty.
    """
    kernel = np.linalg.inv(
        (train @ train.T).toarray() + strength * np.eye(train.shape[0])
    )  # P = (I - X' kernel X) / strength
    projected = train.T @ kernel  # (catalogue, users)
    diagonal = (1 - np.asarray(train.T.multiply(projected).sum(1)).ravel()) / strength

    def scores(histories: Any) -> np.ndarray:
        inverse = (histories.toarray() - (histories @ projected) @ train) / strength
        return histories.toarray() - inverse / diagonal

    return scores
