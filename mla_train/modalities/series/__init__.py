"""Time series: windows of a table where a forecast is made, else whole series of any length."""

from mla_train.modalities.series.preprocess import Series, SeriesColumn
from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors

__all__ = ["Series", "SeriesColumn", "SeriesSpec", "SeriesTensors"]
