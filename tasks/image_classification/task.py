"""Image to class, classes or number."""

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.images import image_baselines
from mla_train.dataset import Dataset
from mla_train.modalities import Image
from mla_train.task import Task


class ImageClassification(Task):
    """Image to class, classes or number."""

    inputs = {"image": Image}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and models of pixels (of at most 32 x 32)."""
        return majority_or_mean(data) | image_baselines(data)
