"""Time series: windows of a table where a forecast is made, else whole series of any length."""

from mla_train.modalities.series.preprocess import Series
from mla_train.modalities.series.spec import SeriesSpec
from mla_train.modalities.series.tensors import SeriesColumn, SeriesTensors

__all__ = ["Series", "SeriesColumn", "SeriesSpec", "SeriesTensors"]
