"""Time series: windows of a table where a forecast is made, else whole series of any length."""

from typing import TYPE_CHECKING

from mla_train.lazy import lazy_names

if TYPE_CHECKING:
    from mla_train.modalities.series.preprocess import Series, SeriesColumn
    from mla_train.modalities.series.spec import SeriesSpec, SeriesTensors

__all__ = ["Series", "SeriesColumn", "SeriesSpec", "SeriesTensors"]

__getattr__ = lazy_names(
    __name__, {"Series": "preprocess", "SeriesColumn": "preprocess", "SeriesSpec": "spec", "SeriesTensors": "spec"}
)
