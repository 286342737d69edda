"""The linear forecaster in closed form: where the network begins, and the baseline that it has to beat.

With past and future of a window less their centre (the last value, or the mean of the past), and all series pooled:

    W = (X'X + strength I)^-1 X'Y            forecast = (past - centre) W + centre
"""

from dataclasses import dataclass

import numpy as np

STRENGTHS = tuple(10.0 ** (power / 4) for power in range(0, 33))
ROWS = 4096  # windows that are multiplied at a time


@dataclass
class Ridge:
    """A fitted linear forecaster.

    Attributes:
        weight: `(look_back, horizon)`.
        last: Centred on the last value instead of the mean of the past.
        strength: Of the penalty.
    """

    weight: np.ndarray
    last: bool
    strength: float

    def __call__(self, past: np.ndarray) -> np.ndarray:
        """Forecasts `(..., horizon)` from pasts `(..., look_back)`."""
        middle = centre(past, self.last)
        return (past - middle) @ self.weight + middle


def centre(past: np.ndarray, last: bool) -> np.ndarray:
    """The last value or the mean of pasts `(..., look_back)`, `(..., 1)`."""
    return past[..., -1:] if last else past.mean(-1, keepdims=True)


def moments(past: np.ndarray, future: np.ndarray, last: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Sums of products over all windows and series.

    Args:
        past: `(windows, channels, look_back)`.
        future: `(windows, channels, horizon)`.
        last: Centre on the last value.

    Returns:
        X'X, X'Y and the sum of Y squared.
    """
    look_back, horizon = past.shape[-1], future.shape[-1]
    xx, xy, yy = np.zeros((look_back, look_back)), np.zeros((look_back, horizon)), 0.0
    for row in range(0, len(past), ROWS):
        x, y = past[row : row + ROWS].astype(np.float64), future[row : row + ROWS].astype(np.float64)
        middle = centre(x, last)
        x, y = (x - middle).reshape(-1, look_back), (y - middle).reshape(-1, horizon)
        xx += x.T @ x
        xy += x.T @ y
        yy += float((y * y).sum())
    return xx, xy, yy


def fit(
    train: tuple[np.ndarray, np.ndarray], val: tuple[np.ndarray, np.ndarray], strengths: tuple[float, ...] = STRENGTHS
) -> Ridge:
    """The ridge whose centre and strength are best on the validation windows.

    The greatest strengths leave next to nothing of the weights: the forecast then is the centre itself.

    Args:
        train: Past and future of the training windows, `(windows, channels, look_back)` and `(..., horizon)`.
        val: The same of the validation windows.
        strengths: Penalties to choose from.
    """
    best, least = None, np.inf
    for last in (True, False):
        xx, xy, _ = moments(*train, last)
        seen_xx, seen_xy, seen_yy = moments(*val, last)
        values, vectors = np.linalg.eigh(xx)
        turned = vectors.T @ xy
        for strength in strengths:
            weight = vectors @ (turned / (values + strength)[:, None])
            # |Y - XW|^2 on val, from its moments.
            error = seen_yy - 2 * float((weight * seen_xy).sum()) + float((weight * (seen_xx @ weight)).sum())
            if error < least:
                best, least = Ridge(weight, last, strength), error
    assert best is not None
    return best
