"""How sure scores are: bootstrap intervals of metrics, and of the difference of two models on the same examples.

Examples are drawn with replacement (Efron 1979): within each class, so that a rare one is in every draw; whole groups where
the data has groups; and blocks as long as the horizon where windows of a series overlap.
"""

from collections.abc import Iterator
from math import isfinite

import numpy as np

from mla_train.heads.base import Head, Predictions

DRAWS = 1000
FEWER_DRAWS = (300, 100)
MOST_NUMBERS = 1e8  # that all draws read
LEVELS = (0.025, 0.975)
Bounds = dict[str, tuple[float, float]]
"""Lower and upper end of the interval of each metric."""


def drawn_places(head: Head, predictions: Predictions, draws: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Places of the examples of each draw, the same ones for all predictions of a split.

    Args:
        head: Head that made the predictions.
        predictions: Columns of a whole split; those named `group` say which examples are drawn together, `(examples,)`.
        draws: Number of draws.
        seed: Seed of the draws.
    """
    generator = np.random.default_rng(seed)
    units = _units(head, predictions)
    for _ in range(draws):
        chosen = [generator.integers(0, len(stratum), len(stratum)) for stratum in units]
        yield np.concatenate(
            [piece for stratum, places in zip(units, chosen, strict=True) for piece in _joined(stratum, places)]
        )


def _units(head: Head, predictions: Predictions) -> list[list[np.ndarray] | np.ndarray]:
    """What is drawn, by strata: places of single examples, or the places of each group or block."""
    count, block = _count(predictions), getattr(head.spec, "horizon", 1)
    if "group" in predictions:
        _, numbers = np.unique(predictions["group"], return_inverse=True)
        order = np.argsort(numbers, kind="stable")
        return [np.split(order, np.cumsum(np.bincount(numbers))[:-1])]
    if block > 1:
        return [[np.arange(start, min(start + block, count)) for start in range(0, count, block)]]
    if head.kind == "classification":
        return [np.flatnonzero(predictions["label"] == label) for label in np.unique(predictions["label"])]
    return [np.arange(count)]


def _joined(stratum: list[np.ndarray] | np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    return [stratum[chosen]] if isinstance(stratum, np.ndarray) else [stratum[number] for number in chosen]


def _count(predictions: Predictions) -> int:
    return len(next(iter(predictions.values())))


def drawn_metrics(head: Head, predictions: Predictions, draws: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Each metric of each draw, `(draws,)`."""
    return head.metrics_of_draws(predictions, drawn_places(head, predictions, draws, seed)) if draws else {}


def bounds_of(drawn: dict[str, np.ndarray]) -> Bounds:
    """Ends of the 95 % interval of each metric, from its draws; without metrics that are not always a number."""
    ends = {name: np.quantile(values, LEVELS) for name, values in drawn.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items() if isfinite(high - low)}


def affordable(head: Head, predictions: Predictions) -> int:
    """Number of draws that take some seconds, 0 where even few take long; never by the clock, so that runs repeat."""
    numbers = _count(predictions) if head.draws_sums else sum(map(np.size, predictions.values()))
    return next((draws for draws in (DRAWS, *FEWER_DRAWS) if draws * numbers <= MOST_NUMBERS), 0)
