"""Text to class, classes or number."""

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.classical import text_baselines
from mla_train.dataset import Dataset
from mla_train.modalities import Text
from mla_train.task import Task


class TextClassification(Task):
    """Text to class, classes or number."""

    inputs = {"text": Text}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and linear models of TF-IDF features."""
        return majority_or_mean(data) | text_baselines(data)
