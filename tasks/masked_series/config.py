"""Options of the task; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import MaskedPatchOptions, SeriesNetworkOptions


@dataclass
class MaskedSeriesConfig(SeriesNetworkOptions, MaskedPatchOptions):
    """Hidden patches of series are filled in."""

    reads: ClassVar = ("series_classification",)  # whose data sets are read, without their labels

    _target_: str = "tasks.masked_series.MaskedSeries"
    name: str = "masked_series"
    patch: int = 10
