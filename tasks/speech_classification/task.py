"""Recording to class, classes or number."""

from pathlib import Path

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.audio import audio_baselines
from mla_train.dataset import Dataset
from mla_train.heads import Predictions
from mla_train.modalities import Audio
from mla_train.model import Model
from mla_train.task import Task


class SpeechClassification(Task):
    """Recording to class, classes or number."""

    inputs = {"audio": Audio}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and models of coarse spectrograms."""
        return majority_or_mean(data) | audio_baselines(data)

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Figures of the head, and of classes spectrograms of right and wrong answers."""
        super().figures(model, predictions, data, folder)
        if model.head.kind == "classification":
            from tasks.speech_classification.figures import draw_spectrograms

            classes, names = data.spec.target.names, data.test.names
            column, spec = data.test.columns["audio"], data.spec.inputs["audio"].spec
            draw_spectrograms(predictions, column, spec, classes, names, folder / "spectrograms.png")
