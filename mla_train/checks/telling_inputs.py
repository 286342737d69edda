"""Inputs that tell the target almost alone: such a score is often an accident of how the data was collected."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LEAST_PRECISION, LEAST_COVERAGE = 0.95, 0.8
LEAST_CLASS = 10  # examples
LEAST_ACCURACY, LEAST_GAIN = 0.95, 0.2
LEAST_CORRELATION = 0.99
LIKELIEST = 20  # columns of which trees are grown


class TellingToken(NamedTuple):
    """A token that tells a class: the share of its texts that have the class, and of the texts of the class that have it."""

    token: str
    label: int
    precision: float
    coverage: float


def telling_tokens(texts: Sequence[str], labels: np.ndarray) -> list[TellingToken]:
    """The token that tells each class best, where one tells it almost alone; `labels` are class numbers `(texts,)`."""
    from sklearn.feature_extraction.text import CountVectorizer

    pattern = r"(?u)\w+|[^\w\s]"
    vectorizer = CountVectorizer(token_pattern=pattern, binary=True, dtype=np.float32)
    try:
        table = vectorizer.fit_transform(texts)
    except ValueError:  # no text has a token
        return []
    tokens, occurs = vectorizer.get_feature_names_out(), np.asarray(table.sum(0))[0]
    telling = []
    for label, size in zip(*np.unique(labels, return_counts=True), strict=True):
        if size < LEAST_CLASS:
            continue
        inside = np.asarray(table[labels == label].sum(0))[0]
        precision, coverage = inside / occurs, inside / size
        best = int((precision * coverage).argmax())
        if precision[best] >= LEAST_PRECISION and coverage[best] >= LEAST_COVERAGE:
            token = TellingToken(str(tokens[best]), int(label), float(precision[best]), float(coverage[best]))
            telling.append(token)
    return telling


def telling_columns(table: np.ndarray, labels: np.ndarray, is_number: bool = False) -> dict[int, float]:
    """Columns of numbers `(examples, columns)` that tell the target almost alone.

    Args:
        table: Values without gaps.
        labels: Class numbers, or numbers to be predicted, `(examples,)`.
        is_number: Whether labels are numbers to be predicted.

    Returns:
        Number of each such column, and the balanced accuracy of a small tree on it alone, on examples that it was not
        grown on; or its rank correlation with the labels.
    """
    varies = np.flatnonzero(table.std(0) > 0)
    if is_number:
        ranks = np.argsort(np.argsort(np.c_[table[:, varies], labels], axis=0), axis=0)
        correlations: Any = np.abs(np.asarray(np.corrcoef(ranks.T))[-1, :-1]) if len(varies) else []
        pairs = zip(varies.tolist(), map(float, correlations), strict=True)
        return {column: value for column, value in pairs if value >= LEAST_CORRELATION}
    from sklearn.feature_selection import f_classif
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    if not len(varies) or len(sizes) < 2 or sizes.min() < LEAST_CLASS:
        return {}
    with np.errstate(divide="ignore"):  # of columns that are constant in each class
        variance_ratio = np.asarray(f_classif(table[:, varies], labels)[0])
    order = varies[np.argsort(-variance_ratio)][:LIKELIEST]
    telling = {}
    for column in order.tolist():
        tree = DecisionTreeClassifier(max_leaf_nodes=2 * len(sizes), min_samples_leaf=3, random_state=0)
        predicted = cross_val_predict(
            tree, table[:, [column]], labels, cv=StratifiedKFold(3, shuffle=True, random_state=0)
        )
        accuracy = float(balanced_accuracy_score(labels, predicted))
        if accuracy >= max(LEAST_ACCURACY, 1 / len(sizes) + LEAST_GAIN):
            telling[column] = accuracy
    return telling


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Absolute correlation over the steps where both are measured; 0 where one does not change."""
    both = ~(np.isnan(one) | np.isnan(other))
    if both.sum() < LEAST_CLASS or one[both].std() == 0 or other[both].std() == 0:
        return 0.0
    return float(abs(np.corrcoef(one[both], other[both])[0, 1]))


def telling_lead(covariate: np.ndarray, target: np.ndarray, horizon: int) -> int | None:
    """Steps ahead, 1 to the horizon, that a covariate of the past knows a series `(steps,)`; None where it does not.

    A series that repeats itself is known ahead from its own past; that is no leak.
    """
    for lead in range(1, min(horizon, len(target) - 1) + 1):
        ahead = correlation(covariate[:-lead], target[lead:])
        if ahead >= LEAST_CORRELATION and ahead > correlation(target[:-lead], target[lead:]) + 1 - LEAST_CORRELATION:
            return lead
    return None
