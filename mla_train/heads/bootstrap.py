"""How sure scores are: bootstrap intervals of metrics, and of the difference of two models on the same examples.

Examples are drawn with replacement (Efron 1979): within each class, so that a rare one is in every draw; whole groups where
the data has groups; of few groups the intervals are too narrow, of eleven by a sixth. Windows of a series overlap, so that their
errors resemble each other over a horizon at least: they are drawn as blocks of three horizons, which begin anywhere and go on at
the first window behind the last (circular block bootstrap, Politis and Romano 1992). Blocks of one horizon would give two thirds
of the variance. Errors of neighbouring windows that share no step resemble each other, too: where horizons are short, a block has
as many windows as the cube root of their number, the rate of Hall, Horowitz and Jing (1995).
"""

from collections.abc import Iterator
from math import isfinite

import numpy as np

from mla_train.heads.base import Head, Predictions

DRAWS = 1000
FEWER_DRAWS = (300, 100)
MOST_NUMBERS = 1.5e8  # that all draws read
LEVELS = (0.025, 0.975)
HORIZONS, LEAST_BLOCKS = 3, 5  # length of a block, and number of them that a split must have
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
    count, horizon = _count(predictions), _windows_apart(head, predictions)
    if horizon and "group" not in predictions:
        for _ in range(draws):
            yield block_places(count, horizon, generator)
        return
    units = _units(head, predictions)
    for _ in range(draws):
        chosen = [generator.integers(0, len(stratum), len(stratum)) for stratum in units]
        yield np.concatenate(
            [piece for stratum, places in zip(units, chosen, strict=True) for piece in _joined(stratum, places)]
        )


def _windows_apart(head: Head, predictions: Predictions) -> int:
    """Number of windows from one to the next that is scored on other steps; 0 where examples are no windows."""
    now = predictions.get("now", ())
    apart = max(1, int(np.abs(np.diff(now)).min())) if len(now) > 1 else 1
    scored = getattr(head.spec, "horizon", 0) or getattr(head.spec, "look_back", 0)
    return -(-scored // apart)


def block_places(count: int, horizon: int, generator: np.random.Generator) -> np.ndarray:
    """Places of windows that follow each other, drawn as blocks, `(count,)`; blocks are shorter where there are few windows."""
    length = max(1, min(max(HORIZONS * horizon, round(count ** (1 / 3))), count // LEAST_BLOCKS))
    starts = generator.integers(0, count, -(-count // length))
    return (starts[:, None] + np.arange(length)).ravel()[:count] % count


def _units(head: Head, predictions: Predictions) -> list[list[np.ndarray] | np.ndarray]:
    """What is drawn, by strata: places of single examples, or the places of each group."""
    if "group" in predictions:
        _, numbers = np.unique(predictions["group"], return_inverse=True)
        order = np.argsort(numbers, kind="stable")
        return [np.split(order, np.cumsum(np.bincount(numbers))[:-1])]
    if head.kind == "classification":
        return [np.flatnonzero(predictions["label"] == label) for label in np.unique(predictions["label"])]
    return [np.arange(_count(predictions))]


def _joined(stratum: list[np.ndarray] | np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    return [stratum[chosen]] if isinstance(stratum, np.ndarray) else [stratum[number] for number in chosen]


def _count(predictions: Predictions) -> int:
    return len(next(iter(predictions.values())))


def drawn_metrics(head: Head, predictions: Predictions, draws: int = DRAWS, seed: int = 0) -> dict[str, np.ndarray]:
    """Each metric of each draw, `(draws,)`."""
    return head.metrics_of_draws(predictions, drawn_places(head, predictions, draws, seed)) if draws else {}


def bounds_of(drawn: dict[str, np.ndarray]) -> Bounds:
    """Ends of the 95 % interval of each metric, from its draws.

    Without metrics that are not always a number, and without the calibration error: it is a sum of absolute values, which is
    too high on few examples, and in draws of them higher still.
    """
    ends = {name: np.quantile(values, LEVELS) for name, values in drawn.items() if name != "ece"}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items() if isfinite(high - low)}


def affordable(head: Head, predictions: Predictions) -> int:
    """Number of draws that take some seconds; never by the clock, so that runs repeat.

    0 where even few take long, or where a split has too few groups, or windows of a series, to tell how they differ.
    """
    if "group" in predictions and len(np.unique(predictions["group"])) < LEAST_BLOCKS:
        return 0  # the draws would hardly differ
    count, horizon = _count(predictions), _windows_apart(head, predictions)
    if horizon > 1 and count < LEAST_BLOCKS * horizon:
        return 0
    numbers = count if head.draws_sums else sum(map(np.size, predictions.values()))
    return next((draws for draws in (DRAWS, *FEWER_DRAWS) if draws * numbers <= MOST_NUMBERS), 0)
