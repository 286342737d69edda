"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import (
    FileOptions,
    LabelOptions,
    PooledHeadOptions,
    SeriesNetworkOptions,
    SplitOptions,
    TaskOptions,
)


@dataclass
class SeriesClassificationConfig(TaskOptions, SeriesNetworkOptions, PooledHeadOptions):
    """Series to class, classes or number.

    Attributes:
        statistics: Whether mean, slope, quartiles and the like of each channel are read beside the encoder.
    """

    _target_: str = "tasks.series_classification.SeriesClassification"
    name: str = "series_classification"
    patch: int = 2
    statistics: bool = True


@dataclass
class BundledSeriesConfig(SplitOptions):
    """A data set of the UCR and UEA archives that ships with the package aeon.

    Attributes:
        dataset: JapaneseVowels, OSULeaf, ArrowHead, ACSF1, GunPoint, ItalyPowerDemand or BasicMotions.
    """

    _target_: str = "tasks.series_classification.read_bundled"
    name: str = "japanese_vowels"
    dataset: str = "JapaneseVowels"


@dataclass
class SeriesFilesConfig(FileOptions, LabelOptions, SplitOptions):
    """Labelled series: .ts and .tsv of the UCR and UEA archives, or tables with a row a series or a row a step.

    Attributes:
        series_column: Column that tells series apart where each step has a row; null reads each row as a series.
        time_column: Column by which the steps of a series are ordered; null keeps the order of the rows.
    """

    _target_: str = "tasks.series_classification.read_series"
    name: str = "series_files"
    series_column: str | None = None
    time_column: str | None = None
