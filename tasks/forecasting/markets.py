"""Prices that packages hold: daily variances and returns of the S&P 500, weekly variances of 20 stocks."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from mla_train.errors import UserError, did_you_mean
from mla_train.modalities.series.spec import own_column
from mla_train.modalities.series.tables import SeriesTable
from tasks.forecasting.config import MarketConfig


def read_market(options: MarketConfig) -> SeriesTable:
    """Reads a data set of `DATASETS`.

    Raises:
        UserError: There is no such data set, or its package is not installed.
    """
    if options.dataset not in DATASETS:
        raise UserError(f"data.dataset={options.dataset}: no such data set. {did_you_mean(options.dataset, DATASETS)}")
    return DATASETS[options.dataset]()


def sp500_volatility() -> SeriesTable:
    """Daily variance of the S&P 500 by its highs and lows, with the returns so far."""
    return SeriesTable(sp500(), ["variance"], observed=["return"], transform="log")


def sp500_returns() -> SeriesTable:
    """Daily return of the S&P 500, with the variances so far."""
    return SeriesTable(sp500(), ["return"], observed=["variance"])


def sp500() -> pd.DataFrame:
    """Variance in percent squared and return in percent of each working day, 1999 to 2018; holidays are gaps."""
    prices = read_prices("arch", "data/sp500/sp500.csv.gz", "pip install arch").asfreq("B")
    return pd.DataFrame({"variance": garman_klass(prices), "return": percent_change(prices["Close"].ffill())})


def garman_klass(prices: pd.DataFrame) -> pd.Series:
    """Variance of each day, in percent squared, from its open, high, low and close (Garman and Klass 1980)."""
    high_low, open_close = (100 * np.log(prices[a] / prices[b]) for a, b in (("High", "Low"), ("Close", "Open")))
    return 0.5 * high_low**2 - (2 * np.log(2) - 1) * open_close**2


def percent_change(prices: pd.DataFrame) -> pd.DataFrame:
    """Logarithmic returns in percent."""
    return 100 * np.log(prices).diff()


def stock_volatility() -> SeriesTable:
    """Weekly variance of 20 American stocks, the mean of the squared daily returns, with the returns of each and of all so far.

    The file has no more than closing prices. Weeks in which a price never moved have no logarithm and are gaps. `market` is the
    return of all stocks in equal parts, `market_risk` the logarithm of its variance.
    """
    # The package needs a solver and a plotting library, of which nothing is used here.
    prices = read_prices("skfolio", "datasets/data/sp500_dataset.csv.gz", "pip install --no-deps skfolio")
    daily = percent_change(prices)
    variance = (daily**2).resample("W-FRI").mean()
    still = int((variance == 0).to_numpy().sum())
    returns = daily.resample("W-FRI").sum().rename(columns=lambda stock: own_column("return", stock))
    all_stocks = daily.mean(axis=1)
    market = all_stocks.resample("W-FRI").sum().rename("market")
    risk = np.log((all_stocks**2).resample("W-FRI").mean()).rename("market_risk")
    return SeriesTable(
        pd.concat([variance.replace(0, np.nan), returns, market, risk], axis=1),
        list(prices.columns),
        observed=["return", "market", "market_risk"],
        own=["return"],
        series_column="stock",
        value_column="variance",
        transform="log",
        notes=[f"{still} weeks of a stock without any change of its price are gaps"],
    )


def read_prices(package: str, file: str, install: str) -> pd.DataFrame:
    """A table of prices by days, from a file of a package that is not imported.

    Raises:
        UserError: The package is not installed.
    """
    module = find_spec(package)
    if module is None or module.origin is None:
        raise UserError(
            f"this data set is read from a file of the package {package}, which is not installed: {install}"
        )
    return pd.read_csv(Path(module.origin).parent / file, parse_dates=["Date"], index_col="Date")


DATASETS = {each.__name__: each for each in (sp500_volatility, sp500_returns, stock_volatility)}
