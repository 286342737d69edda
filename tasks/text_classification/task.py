"""Text to class, classes or number."""

from mla_train.baselines import majority_or_mean, text_linear
from mla_train.dataset import Dataset
from mla_train.heads import Predictions
from mla_train.modalities import Text
from mla_train.task import Task


class TextClassification(Task):
    """Text to class, classes or number."""

    inputs = {"text": Text}

    def baselines(self, data: Dataset) -> dict[str, Predictions]:
        """The most frequent class or the mean, and a linear model of TF-IDF features."""
        return majority_or_mean(data) | text_linear(data)
