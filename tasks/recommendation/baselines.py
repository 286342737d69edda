"""Simple recommenders on the same histories: what is popular, what users have together, and a linear autoencoder."""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from mla_train.heads.ranking_metrics import TOP, metrics_of, ranked
from mla_train.modalities.items.neighbours import Neighbours

HISTORY = "history"
DECAYS, DAMPINGS, STRENGTHS = (0.6, 0.7), (10.0, 3.0, 30.0), (500.0, 200.0, 1000.0)
NEAR = (0.3, 0.5, 0.0)  # shares of what is near in item-kNN
CHUNK = 128  # histories that are scored at a time
Score = Callable[[list[np.ndarray]], np.ndarray]
"""From numbers of the items of some histories to scores of all items, `(histories, catalogue)`."""


def ranking_baselines(data: Dataset) -> Baselines:
    """The most popular items, item-kNN over whole and over the last items, and EASE."""
    return {
        "popularity": partial(_popularity, data),
        "item_knn": partial(_linear, data, item_knn, "damping", DAMPINGS),
        "decayed_item_knn": partial(_neighbours, data, (0.0,)),
        "sequential_item_knn": partial(_neighbours, data, NEAR),
        "ease": partial(_linear, data, ease, "l2", STRENGTHS),
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
        scores = np.array(score(histories))
        for row, history in zip(scores, histories, strict=True):
            row[history - 1] = -np.inf
        parts.append(ranked(scores, split.targets[start : start + CHUNK]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def best(data: Dataset, candidates: Iterable[tuple[dict[str, Any], Score]], limit: Limit) -> Baseline:
    """The candidate with the best monitored metric on val; without time the first, the usual one."""
    chosen: tuple[float, dict[str, Any], Score, Predictions] | None = None
    for settings, score in candidates:
        val = predictions_of(data.val, score)
        value = metrics_of(val["rank"])[f"ndcg@{TOP}"]
        if chosen is None or value > chosen[0]:
            chosen = value, settings, score, val
        if limit.is_over:
            break
    assert chosen is not None
    return Baseline(chosen[3], predictions_of(data.test, chosen[2]), chosen[1])


def _popularity(data: Dataset, limit: Limit) -> Baseline:
    counts = np.array(data.spec.inputs[HISTORY].spec.counts, float)
    return best(data, [({}, lambda histories: np.tile(counts, (len(histories), 1)))], limit)


def _neighbours(data: Dataset, near: Sequence[float], limit: Limit) -> Baseline:
    spec: Any = data.spec.inputs[HISTORY].spec
    knn = Neighbours(len(spec.catalogue), len(data.train), spec.longest)
    settings = fit_neighbours(knn, data, limit, near)
    val, test = (predictions_of(split, knn.of_histories) for split in (data.val, data.test))
    return Baseline(val, test, settings)


def fit_neighbours(knn: Neighbours, data: Dataset, limit: Limit, near: Sequence[float] = NEAR) -> dict[str, float]:
    """Fits item-kNN to the training histories, and chooses its settings on val: damping and decay, then the share of what is near.

    Returns:
        The settings; the first ones, which are usual, where there is no time to choose.
    """
    knn.learn(training_histories(data))
    best = (-1.0, DAMPINGS[0], DECAYS[0], near[0])
    for damping, decay, share in [*product(DAMPINGS, DECAYS, near[:1]), *((0.0, 0.0, share) for share in near[1:])]:
        chosen = (damping, decay, share) if damping else (*best[1:3], share)
        knn.set(*chosen)
        value = metrics_of(predictions_of(data.val, knn.of_histories)["rank"])[f"ndcg@{TOP}"]
        best = max(best, (value, *chosen))
        if limit.is_over:
            break
    knn.set(*best[1:])
    return dict(zip(("damping", "decay", "near"), best[1:], strict=True))


def _linear(
    data: Dataset, model: Callable[[Any, float], Score], name: str, values: Sequence[float], limit: Limit
) -> Baseline:
    """A model of whole histories as rows of 0 and 1, sparse, `(histories, catalogue)`, and of one number."""
    from scipy.sparse import csr_matrix

    histories, size = training_histories(data), len(data.spec.inputs[HISTORY].spec.catalogue)

    def rows(histories: list[np.ndarray]) -> Any:
        places = np.repeat(np.arange(len(histories)), [len(each) for each in histories])
        columns = np.concatenate(histories) - 1
        return csr_matrix((np.ones(len(places)), (places, columns)), shape=(len(histories), size))

    train = rows(histories)

    def candidates() -> Iterable[tuple[dict[str, Any], Score]]:
        for value in values:
            scores = model(train, value)
            yield {name: value}, lambda histories, scores=scores: scores(rows(histories))  # type: ignore[misc]

    return best(data, candidates(), limit)


def item_knn(train: Any, damping: float) -> Callable[[Any], np.ndarray]:
    """From histories to the sums of damped cosine similarities to their items (Sarwar et al. 2001).

    Args:
        train: 1 where a training user has an item, sparse, `(users, catalogue)`.
        damping: Added to numbers of users.
    """
    scale = 1 / np.sqrt(np.asarray(train.sum(0)).ravel() + damping)
    return lambda histories: (histories.multiply(scale).tocsr() @ train.T @ train).toarray() * scale


def ease(train: Any, strength: float) -> Callable[[Any], np.ndarray]:
    """From histories h to h (I - P / diag(P)), where P is the inverse of X'X + strength (EASE, Steck 2019).

    The inverse is computed for users x users: P = (I - X' (XX' + strength)^-1 X) / strength.

    Args:
        train: X, 1 where a training user has an item, sparse, `(users, catalogue)`.
        strength: Strength of the penalty.
    """
    kernel = np.linalg.inv((train @ train.T).toarray() + strength * np.eye(train.shape[0]))
    projected = train.T @ kernel  # (catalogue, users)
    diagonal = (1 - np.asarray(train.T.multiply(projected).sum(1)).ravel()) / strength

    def scores(histories: Any) -> np.ndarray:
        inverse = (histories.toarray() - (histories @ projected) @ train) / strength
        return histories.toarray() - inverse / diagonal

    return scores
