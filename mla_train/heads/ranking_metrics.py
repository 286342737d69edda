"""Places of true items among all others, and metrics of these."""

import numpy as np

from mla_train.heads.base import Predictions

TOP = 10  # items that metrics look at, and that are recommended
NO_ITEM = -1  # in place of a recommended item, where fewer than `TOP` are left


def ranked(scores: np.ndarray, targets: np.ndarray | None, top: int = TOP) -> Predictions:
    """The best items, and with targets the number of items in front of the true one.

    Items of equal score stand in front of the true one: ties flatter no model.

    Args:
        scores: Scores of all items, of those that are not to be recommended -inf, `(examples, catalogue)`.
        targets: Number of the true item, from 1; 0 for one that is not in the catalogue, `(examples,)`.
        top: Number of items.

    Returns:
        `predicted`, places in the catalogue or `NO_ITEM`, `(examples, top)`, and `rank`, `(examples,)`.
    """
    top = min(top, scores.shape[1])
    best = np.sort(
        np.argpartition(-scores, top - 1, 1)[:, :top], 1
    )  # in the order of the catalogue where scores are equal
    inside = np.argsort(-np.take_along_axis(scores, best, 1), 1, kind="stable")
    order = np.take_along_axis(best, inside, 1)
    columns: Predictions = {"predicted": np.where(np.isneginf(np.take_along_axis(scores, order, 1)), NO_ITEM, order)}
    if targets is not None:
        own = np.take_along_axis(scores, (targets - 1).clip(min=0)[:, None], 1)
        columns["rank"] = np.where(targets > 0, (scores >= own).sum(1) - 1, scores.shape[1])
    return columns


def metrics_of(ranks: np.ndarray) -> dict[str, float]:
    """NDCG, hit rate and mean reciprocal rank of one true item each, from the number of items in front of it, `(examples,)`."""
    is_hit = ranks < TOP
    return {
        f"ndcg@{TOP}": float(np.where(is_hit, 1 / np.log2(ranks + 2), 0).mean()),
        f"hr@{TOP}": float(is_hit.mean()),
        "mrr": float((1 / (ranks + 1)).mean()),
    }
