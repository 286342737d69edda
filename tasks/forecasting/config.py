"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import at_least
from mla_train.errors import require


class Channels(Enum):
    """independent: each series is read alone, by the same network; mixing: tokens of all series see each other."""

    independent = "independent"
    mixing = "mixing"


class Loss(Enum):
    mse = "mse"
    mae = "mae"
    huber = "huber"


class Resample(Enum):
    """What to do with time stamps that do not follow each other at one distance."""

    refuse = "refuse"
    mean = "mean"
    fill = "fill"


@dataclass
class ForecastingTaskConfig:
    """The forecaster: a sum of parts, each of which can be left out so that its worth is measured.

    Attributes:
        linear: A linear path that begins as the ridge regression of the training windows.
        residual: The encoder, which learns what is left, behind a gate that begins shut.
        cycle: A learned profile of the daily or weekly cycle, taken out first and added again.
        calendar: Hour, weekday and season, and other covariates that are known ahead, as the encoder sees them.
        channels: Whether series see each other.
        patch: Steps that make up a token.
        loss: Of the point forecast, in scaled units.
        quantiles: Levels that are forecast beside the point; [] is none.
    """

    _target_: str = "tasks.forecasting.ForecastingTask"
    name: str = "forecasting"
    linear: bool = True
    residual: bool = True
    cycle: bool = True
    calendar: bool = True
    channels: Channels = Channels.independent
    patch: int = 24
    loss: Loss = Loss.huber
    quantiles: list[float] = field(default_factory=lambda: [0.1, 0.5, 0.9])

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        at_least(1, self, "task", "patch")
        require(
            self.linear or self.residual or self.cycle,
            "task.linear, task.residual and task.cycle are all off: set one to true",
        )
        rising = all(0 < q < 1 for q in self.quantiles) and self.quantiles == sorted(set(self.quantiles))
        require(rising, f"task.quantiles={self.quantiles}: must rise and lie between 0 and 1, such as [0.1,0.5,0.9]")


@dataclass
class SeriesConfig:
    """What all sets of time series have in common.

    Attributes:
        look_back: Steps that are read.
        horizon: Steps that are forecast.
        period: Steps of a cycle, such as 24 for hours of a day; null finds it from the training rows.
        split: Shares of train and val, the rest is test; or the row at which val begins, the row at which test begins and,
            if need be, the row at which it ends; or the dates of these borders.
    """

    look_back: int = 96
    horizon: int = 24
    period: int | None = None
    split: list[Any] = field(default_factory=lambda: [0.7, 0.1])

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        at_least(2, self, "data", "look_back", "period")
        at_least(1, self, "data", "horizon")
        require(
            len(self.split) in (2, 3), f"data.split={self.split}: must be two shares, or two or three rows or dates"
        )


@dataclass
class TrafficDataConfig(SeriesConfig):
    """Hourly traffic on an American highway with weather, two years, from the package autots."""

    _target_: str = "tasks.forecasting.TrafficData"
    name: str = "traffic"
    look_back: int = 168


@dataclass
class SeriesCsvDataConfig(SeriesConfig):
    """A table of time series: one column of times, the others are series.

    Attributes:
        path: CSV or parquet.
        time_column: Where the times stand; null takes the first column that can be read as times.
        targets: Columns that are forecast; null is all numeric ones.
        known: Columns that are known ahead, such as holidays or prices.
        observed: Columns that are known up to the present, such as the weather.
        resample: Irregular or missing times: refuse, mean of the rows in a step, or fill with the last value.
        rows: Read only so many; null is all.
        frequency: Distance of two rows when resampled, such as 1h; null takes the most frequent distance.
    """

    _target_: str = "tasks.forecasting.SeriesCsvData"
    name: str = "series_csv"
    path: str | None = None
    time_column: str | None = None
    targets: list[str] | None = None
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    rows: int | None = None
    resample: Resample = Resample.refuse
    frequency: str | None = None

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        at_least(1, self, "data", "rows")
        require(
            self.targets is None or len(self.targets) > 0, "data.targets=[]: name a column, or leave it out for all"
        )
        require(
            self.frequency is None or self.resample is not Resample.refuse,
            f"data.frequency={self.frequency} is the distance of rows after resampling: add data.resample=mean or fill",
        )
