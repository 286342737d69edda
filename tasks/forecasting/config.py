"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import ForecastOptions, SeriesTableOptions, TaskOptions, WindowOptions


@dataclass
class ForecastingConfig(TaskOptions, ForecastOptions):
    """Forecasts of time series."""

    _target_: str = "tasks.forecasting.Forecasting"
    name: str = "forecasting"


@dataclass
class TrafficConfig(WindowOptions):
    """Hourly traffic on an American highway with weather, two years, from the package autots."""

    _target_: str = "tasks.forecasting.read_traffic"
    name: str = "traffic"
    look_back: int = 168


@dataclass
class MarketConfig(WindowOptions):
    """What prices inside the packages arch and skfolio say of risk and return.

    Attributes:
        dataset: sp500_volatility, sp500_returns or stock_volatility.
    """

    _target_: str = "tasks.forecasting.read_market"
    name: str = "sp500_volatility"
    dataset: str = "sp500_volatility"
    look_back: int = 44
    horizon: int = 1
    period: int | None = 5


@dataclass
class SeriesCsvConfig(WindowOptions, SeriesTableOptions):
    """A table of time series: one column of times, the others are series."""

    _target_: str = "tasks.forecasting.read_series_csv"
    name: str = "series_csv"
