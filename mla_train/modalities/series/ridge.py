"""The linear forecaster in closed form: where the network begins, and the baseline that it has to beat.

With past X and future Y of a window less what its centre makes of them, and all series pooled:

    W = V (V X'X V + strength I)^-1 V X'Y            forecast = X W + centre

The centre is the last value, the mean of the past, or the mean of that place of the cycle over the past. V is the identity,
or lets what a weight may be fade with the age of what it reads: the penalised least squares of a prior by which recent
values matter more. Centre, fading and strength are those with the least error on validation windows; the cycle's centre
and fading must be worth a hundredth of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

STRENGTHS = tuple(10.0 ** (power / 4) for power in range(0, 33))
MARGIN = 0.01  # by which the error must be less to take what knows the cycle
MOST_VALUES = 600_000_000  # of the training windows that a forecaster is fitted to; of more, every n-th window is read
Pairs = Iterable[tuple[np.ndarray, np.ndarray]]
"""Pieces of the windows of a split: past `(windows, series, look_back)` and future `(windows, series, horizon)`."""


@dataclass
class Ridge:
    """A fitted linear forecaster.

    Attributes:
        weight: `(look_back, horizon)`, the centre's included: each column sums to 1, so levels are carried on.
        centre: "last", "mean" or "season".
        memory: Steps in which the weights' prior variance falls to 1/e; None if all ages are alike.
        strength: Strength of the penalty.
    """

    weight: np.ndarray
    centre: str
    memory: int | None
    strength: float

    def __call__(self, past: np.ndarray) -> np.ndarray:
        """Forecasts `(..., horizon)` from pasts `(..., look_back)`."""
        mean = past.mean(-1, keepdims=True)  # weights sum to 1: this changes rounding alone
        return (past - mean) @ self.weight + mean


def centres(look_back: int, horizon: int, period: int | None = None) -> Iterator[tuple[str, np.ndarray]]:
    """What a window is measured from, as weights of its past for each of its steps, `(look_back, look_back + horizon)`.

    The mean of the places of a cycle is left out where `period` is None or longer than the past.
    """
    last = np.zeros((look_back, look_back + horizon))
    last[-1] = 1
    yield "last", last
    for name, steps in (("mean", 1), ("season", period)):
        if steps is not None and steps <= look_back:
            alike = (np.arange(look_back)[:, None] - np.arange(look_back + horizon)) % steps == 0
            yield name, alike / alike.sum(0)


def moments(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, float]:
    """Sums of products over all windows and series, past and future less the mean of the past.

    Returns:
        X'X, X'Y and the sum of Y squared.
    """
    xx: Any = 0.0
    xy: Any = 0.0
    yy = 0.0
    for past, future in pairs:
        x, y = past.astype(np.float64), future.astype(np.float64)
        mean = x.mean(-1, keepdims=True)
        x, y = (x - mean).reshape(-1, x.shape[-1]), (y - mean).reshape(-1, y.shape[-1])
        xx += x.T @ x
        xy += x.T @ y
        yy += float((y * y).sum())
    return xx, xy, yy


def fit(
    train: Pairs,
    val: Pairs,
    period: int | None = None,
    strengths: tuple[float, ...] = STRENGTHS,
) -> Ridge:
    """The ridge whose centre, memory and strength are best on the validation windows, the plain one if nearly as good.

    The greatest strengths leave next to nothing of the weights: the forecast then is the centre itself.

    Args:
        train: Training windows.
        val: Validation windows.
        period: Steps of the cycle, which is also the memory that is tried; None is the plain ridge, which knows neither.
        strengths: Penalties to choose from.
    """
    xx, xy, _ = moments(train)
    seen_xx, seen_xy, seen_yy = moments(val)
    look_back, horizon = xy.shape
    age = np.arange(look_back)[::-1]
    best: dict[bool, tuple[float, Ridge]] = {}
    for name, of_step in centres(look_back, horizon, period):
        centre = of_step[:, look_back:]
        less = np.eye(look_back) - of_step[:, :look_back]
        for memory in (None,) if period is None else (None, period):
            fading = np.ones(look_back) if memory is None else np.exp(-age / (2 * memory))
            turn = less * fading
            values, vectors = np.linalg.eigh(turn.T @ xx @ turn)
            back, turned = turn @ vectors, vectors.T @ (turn.T @ (xy - xx @ centre))
            for strength in strengths:
                weight = centre + back @ (turned / (values + strength)[:, None])
                # |Y - XW|^2 on val, from its moments.
                error = seen_yy - 2 * float((weight * seen_xy).sum()) + float((weight * (seen_xx @ weight)).sum())
                knows = name == "season" or memory is not None
                if knows not in best or error < best[knows][0]:
                    best[knows] = error, Ridge(weight, name, memory, strength)
    knows = True in best and best[True][0] < (1 - MARGIN) * best[False][0]
    return best[knows][1]


def seasonal_naive(look_back: int, horizon: int, period: int) -> np.ndarray:
    """The value a whole number of periods before, the nearest that is known, as weights `(look_back, horizon)`."""
    steps = np.arange(horizon)
    weight = np.zeros((look_back, horizon))
    weight[look_back + steps - period * (steps // period + 1), steps] = 1
    return weight


def squared_errors(weight: np.ndarray, pairs: Pairs, real: Iterable[np.ndarray]) -> np.ndarray:
    """Squared errors of a linear forecast, summed over the measured steps of each window, `(windows,)`.

    Args:
        weight: Weights of the past, `(look_back, horizon)`.
        pairs: Windows.
        real: True where a step to be forecast was measured, of each piece.
    """
    pieces = zip(pairs, real, strict=True)
    return np.concatenate(
        [((past @ weight - future) ** 2 * known).sum((1, 2), dtype=np.float64) for (past, future), known in pieces]
    )
