"""Time series to their future. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {"Forecasting": "task", "read_traffic": "traffic", "read_market": "markets", "read_series_csv": "table"},
)
