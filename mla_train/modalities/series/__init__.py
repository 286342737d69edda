"""Time series: windows of a table where a forecast is made, else whole series of any length."""

from mla_train.modalities.series.preprocess import Series, SeriesColumn, SeriesTensors
from mla_train.modalities.series.spec import SeriesSpec

__all__ = ["Series", "SeriesColumn", "SeriesSpec", "SeriesTensors"]
