"""Text, image and features to class or number."""

from collections.abc import Sequence
from pathlib import Path

from mla_train.baselines import Baselines, majority_or_mean
from mla_train.baselines.classical import multimodal_baselines
from mla_train.dataset import Dataset
from mla_train.heads import HEADS, Predictions
from mla_train.modalities import Features, Image, Modality, Text
from mla_train.model import Model
from mla_train.task import Task
from tasks.multimodal_sentiment.regression import SentimentRegression


class MultimodalSentiment(Task):
    """Text, image and features to class or number."""

    inputs = {"text": Text, "image": Image}
    heads = {**HEADS, "regression": SentimentRegression}

    def input_kinds(self, names: Sequence[str]) -> dict[str, type[Modality]]:
        """Texts and images by their names; what else there is are features, and so is all of a feature table."""
        is_table = self.config.data._target_.endswith("read_feature_table")
        return {name: Features if is_table else self.inputs.get(name, Features) for name in names}

    def baselines(self, data: Dataset) -> Baselines:
        """The most frequent class or the mean, and linear models of each kind of input and of all."""
        return majority_or_mean(data) | multimodal_baselines(data)

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Those of every task, and where words attend on images."""
        from mla_train.explain.words_over_images import draw_words_over_images

        super().figures(model, predictions, data, folder)
        draw_words_over_images(model, data, folder / "words_over_images.png")
