"""Series to class, classes or number."""

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.classical import series_baselines
from mla_train.dataset import Dataset
from mla_train.modalities import Series
from mla_train.task import Task


class SeriesClassification(Task):
    """Series to class, classes or number."""

    inputs = {"series": Series}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, the nearest series, and linear models of statistics and of convolutions."""
        return majority_or_mean(data) | series_baselines(data)
