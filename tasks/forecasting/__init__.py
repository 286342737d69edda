"""How does a time series go on? Nothing heavy is imported before it is asked for."""

from typing import Any

HOMES = {"ForecastingTask": "task", "TrafficData": "traffic", "SeriesCsvData": "series_csv"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
