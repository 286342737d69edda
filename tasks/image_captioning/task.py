"""Images to sentences that say what they show."""

from dataclasses import replace
from pathlib import Path

from mla_train.baselines import Baselines
from mla_train.data.examples import RawData
from mla_train.dataset import Dataset
from mla_train.heads import Generation, Predictions
from mla_train.heads.keywords import Keywords, word_shuffler
from mla_train.modalities import Image
from mla_train.model import Model, ModelSpec
from mla_train.task import Task


class Captions(Keywords):
    """A generated text that is scored by its words, too: most captions are shorter than the four words that BLEU counts."""

    directions = {"word_f1": "max", "rougeL": "max", **Generation.directions}
    monitor = "word_f1"


class ImageCaptioning(Task):
    """Images to sentences that say what they show."""

    inputs = {"image": Image}
    head = Captions

    def prepare(self, raw: RawData) -> Dataset:
        """Words of lists have a random order in half of the training captions."""
        data = super().prepare(raw)
        has_keywords = getattr(self.config.data, "keywords", False)
        return replace(data, vary=word_shuffler(data.spec.target)) if has_keywords else data

    def raw_inputs(self, spec: ModelSpec) -> list[str]:
        """The image; and a target, whose probability is explained in place of the model's own caption."""
        return ["image", "target"]

    def baselines(self, data: Dataset) -> Baselines:
        """The caption of the most similar training image; the most frequent words."""
        from tasks.image_captioning.baselines import caption_baselines

        return caption_baselines(data)

    def figures(self, model: Model, predictions: Predictions, data: Dataset, folder: Path) -> None:
        """Those of every task, and where the words of captions attend on their images."""
        from mla_train.explain.words_over_images import draw_words_over_images

        super().figures(model, predictions, data, folder)
        draw_words_over_images(model, data, folder / "words_over_images.png")
