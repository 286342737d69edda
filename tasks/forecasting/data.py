"""What all sets of time series share: borders, scaling, gaps, calendar, windows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from mla_train.config import Augmentation
from mla_train.data.batch import Batch
from mla_train.data.module import DataModule
from mla_train.errors import UserError

# What `light` does to a window that is learnt from: noise on its past, over its spread. `strong` also stretches past and
# future by a random factor about 1 and hides a share of the past's steps as if they were gaps.
NOISE, STRETCH, HIDDEN = 0.02, 0.1, 0.02


@dataclass
class ForecastingFacts:
    """What the network must know of the series.

    Attributes:
        names: Of the series that are forecast.
        look_back: Steps that are read.
        horizon: Steps that are forecast.
        period: Steps of a cycle.
        num_known: Covariates that are known ahead, calendar included.
        num_observed: Covariates that are known up to the present.
        gaps: Some steps of the past that are learnt from are gaps.
        mean: Of each series, over training rows.
        std: Of each series, over training rows.
        naive_error: Mean absolute error of last period's value on training rows, scaled; MASE divides by it. 1 where a
            series repeats itself.
        start: Time of the first row: cycles are counted from there.
        yearly: The calendar tells the day of the year.
    """

    names: list[str]
    look_back: int
    horizon: int
    period: int
    num_known: int
    num_observed: int
    gaps: bool
    mean: list[float]
    std: list[float]
    naive_error: list[float]
    start: str = ""
    yearly: bool = False


@dataclass
class ForecastBatch(Batch):
    """Windows, in scaled units.

    Attributes:
        past: What is read, `(batch, channels, look_back)`; gaps hold the last value before them.
        future: What is to be forecast, `(batch, channels, horizon)`.
        real: True where a value was measured, `(batch, channels, look_back + horizon)`.
        known: Covariates known ahead, `(batch, look_back + horizon, num_known)`.
        observed: Covariates known up to the present, `(batch, look_back, num_observed)`.
        phase: Place in the cycle of the first step, `(batch,)`.
    """

    past: Tensor
    future: Tensor
    real: Tensor
    known: Tensor
    observed: Tensor
    phase: Tensor


@dataclass
class Series:
    """A table of time series.

    Attributes:
        times: Of each row, at one distance.
        names: Of the series.
        values: `(rows, channels)`; NaN is a gap.
        known: Covariates known ahead, `(rows, covariates)`.
        observed: Covariates known up to the present, `(rows, covariates)`.
    """

    times: pd.DatetimeIndex
    names: list[str]
    values: np.ndarray
    known: np.ndarray
    observed: np.ndarray


class Windows:
    """The windows of a part, by their place.

    Args:
        first: Row at which the first window begins.
        count: Number of windows; each begins a row after the one before.
    """

    def __init__(self, first: int, count: int) -> None:
        self.first = first
        self.count = count

    def __len__(self) -> int:
        """Number of windows."""
        return self.count

    def __getitem__(self, index: int) -> tuple[int, int]:
        """The place and the row at which the window begins; a batch is cut out of the table at once."""
        return index, self.first + index


class SeriesData(DataModule):
    """Base of sets of time series: a subclass reads the table, this one does the rest.

    Attributes:
        series: The table as it was read.
        borders: Rows at which val and test begin and test ends.
        values: Scaled by training rows, gaps filled with the last value before them, `(rows, channels)`.
        real: True where a value was measured, `(rows, channels)`.
        known: Calendar and scaled covariates known ahead, `(rows, num_known)`.
        observed: Scaled covariates known up to the present, `(rows, num_observed)`.
    """

    train: Windows
    val: Windows
    test: Windows
    facts: ForecastingFacts

    def finish(self, series: Series) -> None:
        """Splits, scales and derives the facts.

        Raises:
            UserError: There are too few rows, or a series says nothing.
        """
        options = self.config.data
        look_back, horizon = options.look_back, options.horizon
        self.series = series
        a, b, end = self.borders = _borders(options.split, series.times)
        lacking = {
            "train": look_back + horizon - a,
            "val": horizon - (b - a),
            "test": horizon - (end - b),
        }
        for part, rows in lacking.items():
            if rows > 0 or a < look_back:
                raise UserError(
                    f"{len(series.times):,} rows are too few: {part} lacks {max(rows, look_back - a):,} rows for "
                    f"data.look_back={look_back} and data.horizon={horizon}. Needed are {look_back + horizon:,} rows of "
                    f"train and {horizon:,} each of val and test; the borders are now at rows {a:,}, {b:,} and {end:,}"
                )
        empty = [name for name, column in zip(series.names, series.values[:a].T, strict=True) if np.isnan(column).all()]
        if empty:
            raise UserError(f"column {', '.join(empty)} has no value in the training rows; leave it out: data.targets=")
        self.real = ~np.isnan(series.values)
        for part, rows in (("val", self.real[a:b]), ("test", self.real[b:end])):
            if not rows.any():
                raise UserError(f"{part} has no measured value; move its borders: data.split=")
        mean, std = np.nanmean(series.values[:a], 0), np.nanstd(series.values[:a], 0)
        still = std < 1e-9 * np.maximum(1.0, np.abs(mean))
        constant = [name for name, value in zip(series.names, still, strict=True) if value]
        if constant:
            self.notes.append(f"{', '.join(constant)} does not change in the training rows; it is only centred")
        std = np.where(still, 1.0, std)
        self.values = filled((series.values - mean) / std).astype(np.float32)
        gaps = int((~self.real).sum())
        if gaps:
            self.notes.append(f"{gaps:,} missing values: read as the last value before them, not scored")
        # A season that was seen once cannot be told from what else happened on its days.
        yearly = bool(series.times[a - 1] - series.times[0] >= pd.Timedelta(days=2 * 365))
        covariates = [filled(_scaled(part, a)) for part in (series.known, series.observed)]
        self.known = np.concatenate([calendar(series.times, yearly), covariates[0]], 1).astype(np.float32)
        self.observed = covariates[1].astype(np.float32)
        self.train = Windows(0, a - look_back - horizon + 1)
        self.val = Windows(a - look_back, b - a - horizon + 1)
        self.test = Windows(b - look_back, end - b - horizon + 1)
        period = options.period or find_period(self.values[:a])
        if options.period is None:
            self.notes.append(f"the cycle is {period} steps long (data.period)")
        most = a - horizon - 1
        if period > most:
            raise UserError(f"data.period={period}: {a:,} training rows allow at most {most}")
        change = np.where(
            self.real[period:a] & self.real[: a - period], self.values[period:a] - self.values[: a - period], 0
        )
        pairs = (self.real[period:a] & self.real[: a - period]).sum(0)
        naive = np.abs(change).sum(0) / np.maximum(pairs, 1)
        naive = np.where(naive < 1e-6, 1.0, naive)  # a series that repeats itself: its mase is its mae
        gappy = not self.real[:a].all() or self.config.regularization.augmentation is Augmentation.strong
        self.facts = ForecastingFacts(
            series.names, look_back, horizon, period, self.known.shape[1], self.observed.shape[1], gappy,
            mean.tolist(), std.tolist(), naive.tolist(), str(series.times[0]), yearly,
        )  # fmt: skip

    def windows(self, part: str, places: Sequence[int] | np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Past and future of windows, scaled, without copying if all are wanted.

        Args:
            part: "train", "val" or "test".
            places: Which; None is all.

        Returns:
            `(windows, channels, look_back)` and `(windows, channels, horizon)`.
        """
        split, look_back = getattr(self, part), self.facts.look_back
        length = look_back + self.facts.horizon
        rows = self.values[split.first : split.first + len(split) + length - 1]
        cut = np.lib.stride_tricks.sliding_window_view(rows, length, axis=0)
        cut = cut if places is None else cut[places]
        return cut[..., :look_back], cut[..., look_back:]

    def collate(self, examples: Sequence[Any], training: bool) -> ForecastBatch:
        """Cuts windows out of the table, and varies those that are learnt from."""
        index, starts = (np.array(column) for column in zip(*examples, strict=True))
        look_back, horizon = self.facts.look_back, self.facts.horizon
        rows = starts[:, None] + np.arange(look_back + horizon)
        values = torch.from_numpy(self.values[rows]).transpose(1, 2)
        real = torch.from_numpy(self.real[rows]).transpose(1, 2)
        if training:
            values, real = varied(values, real, look_back, self.config.regularization.augmentation)
        return ForecastBatch(
            torch.from_numpy(index),
            values[..., :look_back],
            values[..., look_back:],
            real,
            torch.from_numpy(self.known[rows]),
            torch.from_numpy(self.observed[rows[:, :look_back]]),
            torch.from_numpy(starts % self.facts.period),
        )


def varied(values: Tensor, real: Tensor, look_back: int, augmentation: Augmentation) -> tuple[Tensor, Tensor]:
    """Windows, changed a little.

    Args:
        values: Past and future, `(batch, channels, steps)`.
        real: True where a value was measured, of the same shape.
        look_back: Steps that are past.
        augmentation: How much.
    """
    if augmentation is Augmentation.none:
        return values, real
    past, future = values[..., :look_back], values[..., look_back:]
    mean, spread = past.mean(-1, keepdim=True), past.std(-1, keepdim=True)
    if augmentation is Augmentation.strong:
        factor = 1 + STRETCH * torch.randn_like(mean)
        past, future = mean + factor * (past - mean), mean + factor * (future - mean)
        seen = torch.rand_like(past) >= HIDDEN
        seen[..., 0] = True
        last = torch.where(seen, torch.arange(look_back), 0).cummax(-1).values  # as gaps are filled
        past, real = past.gather(-1, last), torch.cat([real[..., :look_back] & seen, real[..., look_back:]], -1)
    past = past + NOISE * spread * torch.randn_like(past)
    return torch.cat([past, future], -1), real


def calendar(times: pd.DatetimeIndex, yearly: bool) -> np.ndarray:
    """Sine and cosine of the time of day, the day of the week and, if wanted, the day of the year, `(rows, 4 or 6)`.

    Args:
        times: Of the rows.
        yearly: Tell the day of the year, as where training rows span two years.
    """
    day = (times.hour + times.minute / 60 + times.second / 3600) / 24
    turns = [day, (times.weekday + day) / 7]
    if yearly:
        turns.append((times.day_of_year - 1 + day) / 365.25)
    angles = np.stack(turns, 1) * 2 * np.pi
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)


def find_period(values: np.ndarray, longest: int = 800) -> int:
    """The cycle at which series resemble themselves most, by the mean autocorrelation of their differences' sums.

    Args:
        values: Without gaps, `(rows, channels)`.
        longest: Cycle that is looked for, in steps.
    """
    rows = len(values)
    longest = min(longest, rows // 3)
    centred = values - values.mean(0)
    spectrum = np.abs(np.fft.rfft(centred, 2 * rows, axis=0)) ** 2
    correlation = np.fft.irfft(spectrum, axis=0)[: longest + 1].real
    shared = rows - np.arange(longest + 1)
    correlation = (correlation / np.maximum(correlation[0], 1e-12)).mean(1) * rows / shared
    peaks = [
        lag
        for lag in range(2, longest)
        if correlation[lag] >= correlation[lag - 1] and correlation[lag] >= correlation[lag + 1]
    ]
    if not peaks:
        return min(24, max(2, longest))
    best = max(correlation[lag] for lag in peaks)
    # Whole multiples of a cycle resemble it as much: the first that is nearly as good.
    return next(lag for lag in peaks if correlation[lag] >= best - 0.05)


def filled(values: np.ndarray) -> np.ndarray:
    """Gaps take the last value before them, those at the beginning zero: nothing from the future."""
    return pd.DataFrame(values).ffill().fillna(0.0).to_numpy()


def _scaled(values: np.ndarray, rows: int) -> np.ndarray:
    """Covariates, scaled by training rows."""
    if not values.shape[1]:
        return values
    std = np.nanstd(values[:rows], 0)
    return (values - np.nanmean(values[:rows], 0)) / np.where(std < 1e-12, 1.0, std)


def _borders(split: Sequence[Any], times: pd.DatetimeIndex) -> tuple[int, int, int]:
    """Rows at which val and test begin and test ends."""
    rows = len(times)
    if all(isinstance(value, float) for value in split):
        train, val = split[:2]
        if len(split) > 2:
            raise UserError(f"data.split={list(split)}: two shares, of train and val; the rest is test")
        if not (0 < train < 1 and 0 < val < 1 and train + val < 1):
            raise UserError(f"data.split={list(split)}: shares of train and val must leave something for test")
        return round(rows * train), round(rows * train) + round(rows * val), rows
    found = []
    for value in split:
        if isinstance(value, int):
            found.append(value)
            continue
        try:
            date = pd.Timestamp(datetime.fromisoformat(str(value)))
            date = date.tz_convert("UTC").tz_localize(None) if date.tz is not None else date
            found.append(int(times.searchsorted(date)))
        except ValueError as error:
            raise UserError(f"data.split: {value} is no share, row or date such as 2018-01-31") from error
    borders = [*found, rows][:3]
    if not 0 < borders[0] < borders[1] < borders[2] <= rows:
        raise UserError(f"data.split={list(split)}: gives the rows {borders} of {rows:,}, which do not rise")
    return borders[0], borders[1], borders[2]
