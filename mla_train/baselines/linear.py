"""Linear models of a table of features: their weights, which a network can begin with, and their predictions.

The penalty is chosen by the loss on val, of classes after their scores are divided by a temperature: that is less a matter
of luck than the number of mistakes. Penalties are tried from the strongest on, until one is worse than the one before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from mla_train.baselines.base import Baseline, Limit
from mla_train.data.cache import cached
from mla_train.dataset import Dataset
from mla_train.heads import Predictions
from mla_train.heads.calibration import best_temperature, cross_entropy, known_classes
from mla_train.heads.class_metrics import above_threshold, best_threshold

Table = Any
"""Features of a split as numpy array or sparse matrix, `(examples, features)`."""
MOST_WORK = 3e9  # numbers in the table times outputs: beyond it a fit takes minutes
MOST_CACHED = 2e7  # weights that are kept on disk
CERTAIN = 10.0  # log odds of a label that all training examples have


@dataclass
class Linear:
    """A fitted linear model: scores are `table @ weight + bias`.

    Those of classes and labels are log odds, calibrated on val; those of numbers are in units of the label.

    Attributes:
        weight: `(features, outputs)`.
        bias: `(outputs,)`.
        strength: Inverse strength of the penalty; 0 where the model is a mean of others.
        loss: Loss on val.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    loss: float

    def scores(self, table: Table) -> np.ndarray:
        """`(examples, outputs)`."""
        return np.asarray(table @ self.weight) + self.bias


Fit = Callable[[Table, np.ndarray, int, float], tuple[np.ndarray, np.ndarray]]
"""From table, targets, number of outputs and strength to weight and bias."""


def logistic_regression(
    table: Table, targets: np.ndarray, outputs: int, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Multinomial logistic regression."""
    from sklearn.linear_model import LogisticRegression

    # The gradients of a rare class are small from the first step on.
    tolerance = 1e-3 if np.bincount(targets).min() * 20 > len(targets) / outputs else 1e-6
    model = LogisticRegression(C=strength, max_iter=300, tol=tolerance).fit(table, targets)
    return _both_classes(model.coef_.T, model.intercept_) if outputs == 2 else (model.coef_.T, model.intercept_)


def linear_svm(table: Table, targets: np.ndarray, outputs: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """A linear support vector machine, each class against all others."""
    from sklearn.svm import LinearSVC

    model = LinearSVC(C=strength, random_state=0).fit(table, targets)
    return _both_classes(model.coef_.T, model.intercept_) if outputs == 2 else (model.coef_.T, model.intercept_)


def nb_svm(table: Table, targets: np.ndarray, outputs: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """A linear support vector machine of scaled features, each class against all others (Wang and Manning 2012).

    The scale of a feature is the logarithm of how much more often the class has it than all others.
    """
    from scipy.sparse import diags
    from sklearn.svm import LinearSVC

    occurs, weights, biases = table > 0, [], []
    for number in [1] if outputs == 2 else range(outputs):
        of_class = targets == number
        here, elsewhere = (np.asarray(occurs[rows].sum(0)).ravel() + 1.0 for rows in (of_class, ~of_class))
        ratio = np.log(here / here.sum()) - np.log(elsewhere / elsewhere.sum())
        ratio /= np.abs(ratio).max()
        model = LinearSVC(C=10 * strength, random_state=0).fit(table @ diags(ratio), of_class)
        weights.append(model.coef_[0] * ratio)
        biases.append(model.intercept_[0])
    weight, bias = np.stack(weights, 1), np.array(biases)
    return _both_classes(weight, bias) if outputs == 2 else (weight, bias)


def ridge(table: Table, targets: np.ndarray, outputs: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Ridge regression."""
    from sklearn.linear_model import Ridge

    model = Ridge(1 / strength).fit(table, targets)
    return model.coef_[:, None], np.array([model.intercept_])


def each_label(table: Table, targets: np.ndarray, outputs: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """A logistic regression for each of several labels."""
    from sklearn.linear_model import LogisticRegression

    weight, bias = np.zeros((table.shape[1], outputs)), np.zeros(outputs)
    for number, label in enumerate(targets.T):
        if label.min() == label.max():
            bias[number] = CERTAIN if label[0] else -CERTAIN
            continue
        model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(table, label > 0)
        weight[:, number], bias[number] = model.coef_[0], model.intercept_[0]
    return weight, bias


def _both_classes(weight: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores of two classes from those of the second."""
    return np.concatenate([-weight, weight], 1) / 2, np.concatenate([-bias, bias]) / 2


METHODS: dict[str, dict[str, tuple[Fit, tuple[float, ...]]]] = {
    "classification": {
        "linear": (logistic_regression, (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)),
        "linear_svm": (linear_svm, (0.1, 0.3, 1.0, 3.0)),
        "nb_svm": (nb_svm, (0.1, 0.3, 1.0)),
    },
    "multilabel": {"linear": (each_label, (0.1, 1.0, 10.0, 100.0))},
    "regression": {"linear": (ridge, (0.001, 0.01, 0.1, 1.0, 10.0))},
}
"""Kind of answer to the linear models for it: how each is fitted, and strengths to choose from."""
USUAL = 1.0
MEAN, AVERAGED = "linear_nb_svm", ("linear", "nb_svm")
"""A linear model whose scores are the mean of those of two that err on different examples."""


def methods_of(kind: str) -> list[str]:
    """Names of the linear models for a kind of answer."""
    return [*METHODS[kind], MEAN] if set(AVERAGED) <= METHODS[kind].keys() else [*METHODS[kind]]


def fit_linear(
    method: str, kind: str, train: Table, targets: np.ndarray, val: Table, val_targets: np.ndarray, outputs: int,
    quick: bool = False,
) -> Linear:  # fmt: skip
    """The linear model with the least loss on val."""
    fit, strengths = METHODS[kind][method]
    best: Linear | None = None
    for strength in (USUAL,) if quick else strengths:
        model = _calibrated(*fit(train, targets, outputs, strength), strength, kind, val, val_targets)
        if best is not None and model.loss >= best.loss:
            break
        best = model
    assert best is not None
    return best


def _calibrated(
    weight: np.ndarray, bias: np.ndarray, strength: float, kind: str, val: Table, val_targets: np.ndarray
) -> Linear:
    """A linear model of some weights, divided by the temperature that is best on val."""
    scores, temperature = np.asarray(val @ weight) + bias, 1.0
    if kind == "regression":
        loss = float(np.abs(scores[:, 0] - val_targets).mean())
    else:
        temperature = best_temperature(scores, val_targets)
        loss = cross_entropy(*known_classes(scores / temperature, val_targets))
    weight, bias = (each.astype(np.float32) for each in (weight / temperature, bias / temperature))
    return Linear(weight, bias, strength, loss)


def linear_of(method: str, tables: list[Table], data: Dataset, quick: bool = False) -> Linear | None:
    """The linear model of tables of train, val and test, see `fit_linear`; None where it would take too long."""
    from scipy.sparse import issparse

    head: Any = data.spec.head
    kind, outputs = head.kind, head.count_outputs(data.spec.target)
    if (tables[0].nnz if issparse(tables[0]) else tables[0].size) * outputs > MOST_WORK:
        return None
    is_small = tables[0].shape[1] * outputs < MOST_CACHED
    if method == MEAN:
        if not is_small:  # both would be fitted once more
            return None
        parts = [linear_of(each, tables, data, quick) for each in AVERAGED]
        weight, bias = (np.mean([getattr(each, name) for each in parts], 0) for name in ("weight", "bias"))
        return _calibrated(weight, bias, 0.0, kind, tables[1], data.val.targets)
    fit = cached(fit_linear, kind=Linear) if is_small else fit_linear
    return fit(method, kind, tables[0], data.train.targets, tables[1], data.val.targets, outputs, quick)


def linear_baseline(method: str, tables: Callable[[], list[Table]], data: Dataset, limit: Limit) -> Baseline | None:
    """Predictions of a linear model."""
    _, val, test = tables()
    model = linear_of(method, tables(), data, limit.quick)
    if model is None:
        return None
    spec = data.spec.target
    scores = {"val": model.scores(val), "test": model.scores(test)}
    predictions = {split: read_scores(data, split, each) for split, each in scores.items()}
    chosen: dict[str, Any] = {"strength": model.strength} if model.strength else {"mean_of": list(AVERAGED)}
    if data.spec.head.kind == "classification" and len(spec.classes) == 2 and spec.is_imbalanced:
        labels = predictions["val"]["label"]
        threshold = best_threshold(predictions["val"]["probability"][:, spec.positive], labels == spec.positive)
        chosen["threshold"] = threshold
        for each in predictions.values():
            each["predicted"] = above_threshold(each["probability"], spec.positive, threshold)
    return Baseline(predictions["val"], predictions["test"], chosen)


def read_scores(data: Dataset, split: str, scores: np.ndarray) -> Predictions:
    """Predictions from the scores of a split, `(examples, outputs)`, as the head of the data makes them."""
    columns: Predictions = {"label": getattr(data, split).targets}
    kind = data.spec.head.kind
    if kind == "regression":
        return columns | {"predicted": scores[:, 0]}
    if kind == "multilabel":
        probability = 1 / (1 + np.exp(-scores))
        return columns | {"predicted": (probability > 0.5).astype(np.float32), "probability": probability}
    odds = np.exp(scores - scores.max(1, keepdims=True))
    return columns | {"predicted": scores.argmax(1), "probability": odds / odds.sum(1, keepdims=True)}
