"""Windows of time series: cut out of one scaled table, all of a batch at once.

    table --scale--> ScaledSeries --WindowColumn--> Window --cut--> tensors

Training, evaluation and prediction from files take this path.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from mla_train.config import Transform
from mla_train.errors import UserError
from mla_train.modalities.base import Column
from mla_train.modalities.series.calendar import calendar
from mla_train.modalities.series.frequency import steps_between
from mla_train.modalities.series.spec import SeriesSpec, first_time
from mla_train.modalities.series.tables import SeriesTable
from mla_train.modalities.series.transforms import transformed

PIECE_WINDOWS, PIECE_NUMBERS = 4096, 30_000_000
LEAST = {
    Transform.log.value: (0, "log(value)", "log1p takes zero, and asinh all"),
    Transform.log1p.value: (-1, "log(1 + value)", "asinh takes all"),
}
"""What values must be above, by the transform, its formula, and other ones."""


@dataclass(eq=False)
class ScaledSeries:
    """A table, ready to be cut.

    Attributes:
        table: Table as it was read.
        values: Scaled by training rows, gaps filled with the last value before them, `(rows, series)`.
        real: True where a value was measured, `(rows, series)`.
        known: Calendar and scaled covariates that are known ahead, `(rows, series, num_known)`; `(rows, 1, num_known)` where
            series share them.
        observed: Scaled covariates that are known up to the present, `(rows, series, num_observed)`, likewise.
        phase: Place in the cycle of the first row.
    """

    table: SeriesTable
    values: np.ndarray
    real: np.ndarray
    known: np.ndarray
    observed: np.ndarray
    phase: int = 0


class Window(NamedTuple):
    """A window of a table.

    Attributes:
        series: Table that it is cut out of.
        now: Row of the first step that is forecast.
        shown: Index of the series that an explanation is about.
    """

    series: ScaledSeries
    now: int
    shown: int = 0


@dataclass
class WindowColumn(Column):
    """The windows of a split; each begins `step` rows after the one before.

    Attributes:
        series: Table that they are cut out of.
        first: Row of the first step that the first window forecasts.
        count: Number of windows.
        look_back: Number of steps that are read.
        horizon: Number of steps that are forecast.
        step: Number of rows from one window to the next.
    """

    series: ScaledSeries
    first: int
    count: int
    look_back: int
    horizon: int
    step: int = 1

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Window:
        """One window; nothing is copied."""
        return Window(self.series, self.first + index * self.step)

    @property
    def end(self) -> int:
        """Row behind the last step of the last window."""
        return self.first + (self.count - 1) * self.step + self.horizon

    @property
    def now(self) -> np.ndarray:
        """Row of the first step that each window forecasts, `(windows,)`."""
        return self.first + np.arange(self.count) * self.step

    def select(self, index: np.ndarray) -> "WindowColumn":
        """Some windows that follow each other."""
        return replace(self, first=self.first + int(index[0]) * self.step, count=len(index))

    def thinned(self, most: int) -> "WindowColumn":
        """Every n-th window, so that at most so many values are forecast; windows that follow each other do not part.

        The n is a divisor of the horizon: windows that begin a horizon apart stay, and each row is forecast.
        """
        values = self.count * self.series.values.shape[1] * self.horizon
        steps = [step for step in range(1, self.horizon + 1) if self.horizon % step == 0]
        step = next((step for step in steps if values <= most * step), self.horizon)
        return replace(self, count=-(-self.count // step), step=step)

    def pieces(self) -> Iterator["WindowColumn"]:
        """The windows in pieces that fit in memory as float64."""
        numbers = self.series.values.shape[1] * (self.look_back + self.horizon)
        rows = min(PIECE_WINDOWS, max(1, PIECE_NUMBERS // numbers))
        for start in range(0, self.count, rows):
            yield self.select(np.arange(start, min(start + rows, self.count)))

    def pairs(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Past and future of `windows`, of one piece after the other."""
        return (piece.windows() for piece in self.pieces())

    def is_missing(self) -> np.ndarray:
        """No window is missing, `(windows,)`."""
        return np.zeros(self.count, dtype=bool)

    def raw(self, index: int) -> Window:
        """One window, which `Series.preprocess` takes as it is."""
        return self[index]

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Past `(windows, series, look_back)` and future `(windows, series, horizon)`, scaled, without copying."""
        rows = self.series.values[self.first - self.look_back : self.end]
        cut = np.lib.stride_tricks.sliding_window_view(rows, self.look_back + self.horizon, axis=0)
        cut = cut[:: self.step]
        return cut[..., : self.look_back], cut[..., self.look_back :]

    def real_future(self) -> np.ndarray:
        """True where a step to be forecast was measured, `(windows, series, horizon)`."""
        real = self.series.real[self.first : self.end]
        return np.lib.stride_tricks.sliding_window_view(real, self.horizon, axis=0)[:: self.step]

    def places(self, period: int) -> np.ndarray:
        """Place in the cycle of each step, `(windows, look_back + horizon)`."""
        starts = self.series.phase - self.look_back + self.now
        return (starts[:, None] + np.arange(self.look_back + self.horizon)) % period


def by_series(windows: Sequence[Window]) -> Iterator[tuple[ScaledSeries, np.ndarray]]:
    """Tables of the windows of a batch, one after the other, with the rows at which their forecasts begin."""
    start = 0
    for end in range(1, len(windows) + 1):
        if end == len(windows) or windows[end].series is not windows[start].series:
            yield windows[start].series, np.array([window.now for window in windows[start:end]])
            start = end


def transformed_values(table: SeriesTable, transform: str) -> np.ndarray:
    """The series of a table after a transform, `(rows, series)`; a UserError where a value does not allow it."""
    values = table.values
    if transform in LEAST:
        least, formula, other = LEAST[transform]
        for name, column in zip(table.names, values.T, strict=True):
            low = np.flatnonzero(column <= least)
            if len(low):
                raise UserError(
                    f"task.transform={transform}: {name} is {column[low[0]]:g} at {table.times[low[0]]}, and {formula} needs "
                    f"values above {least}; task.transform={other}"
                )
    return transformed(values, transform)


def filled(values: np.ndarray) -> np.ndarray:
    """Gaps take the last value before them, those at the beginning zero: nothing comes from the future; `(rows, ...)`."""
    columns = values.reshape(len(values), math.prod(values.shape[1:]))
    return pd.DataFrame(columns).ffill().fillna(0.0).to_numpy().reshape(values.shape)


def scale(table: SeriesTable, spec: SeriesSpec) -> ScaledSeries:
    """Scales a table with the columns of the spec by the training rows of the model, and adds the calendar.

    Raises:
        UserError: A value has no logarithm where the model needs it.
    """
    values = filled((transformed_values(table, spec.transform) - spec.mean) / spec.std).astype(np.float32)
    covariates = filled((table.covariates - spec.covariate_mean) / spec.covariate_std).astype(np.float32)
    known, observed = np.split(covariates, [len(spec.known)], -1)
    days = calendar(table.times, spec.yearly).astype(np.float32)[:, None]
    known = np.concatenate([np.broadcast_to(days, (*known.shape[:2], days.shape[2])), known], -1)
    phase = steps_between(first_time(spec), table.times[0], spec.frequency) % spec.period
    return ScaledSeries(table, values, ~np.isnan(table.values), known, observed, phase)


def cycle_profile(series: ScaledSeries, rows: int, period: int) -> np.ndarray:
    """Mean of the measured values at each place of the cycle, `(period, series)`; 0, the mean, where there are none.

    Args:
        series: Table.
        rows: Number of training rows.
        period: Number of steps of a cycle.
    """
    real = series.real[:rows]
    values = np.where(real, series.values[:rows], 0)
    places = np.arange(rows) % period
    sums = np.stack([values[places == place].sum(0) for place in range(period)])
    counts = np.stack([real[places == place].sum(0) for place in range(period)])
    return (sums / np.maximum(counts, 1)).astype(np.float32)
