"""Recording to class, classes or number."""

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.audio import audio_baselines
from mla_train.dataset import Dataset
from mla_train.modalities import Audio
from mla_train.task import Task


class SpeechClassification(Task):
    """Recording to class, classes or number."""

    inputs = {"audio": Audio}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and models of coarse spectrograms."""
        return majority_or_mean(data) | audio_baselines(data)
