"""The task: pictures in, classes out; pictures for people and baselines."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.baselines import logistic_regression, majority
from mla_train.data.cache import cached
from mla_train.data.pictures import read_picture
from mla_train.errors import UserError
from mla_train.explain.explanation import Explanation
from mla_train.nn import ReconstructionInput
from mla_train.training.classification import Classification
from mla_train.training.task import Predictions, Raw
from tasks.image_classification.data import ImageBatch, ImageData, ImageFacts
from tasks.image_classification.figures import draw_mistakes
from tasks.image_classification.network import ImageClassifier
from tasks.image_classification.view import view_picture

LINEAR_SIZE = 32


class ImageClassificationTask(Classification):
    """Which class does a picture show?"""

    facts_class = ImageFacts

    def build(self, facts: ImageFacts) -> None:
        """Makes the network for pictures of this size and these classes."""
        self.facts = facts
        self.network = ImageClassifier(self.config, facts)

    def forward(self, batch: ImageBatch) -> Tensor:
        """Class scores, `(batch, classes)`."""
        return self.network(batch.images)

    def encoder_inputs(self) -> list[ReconstructionInput]:
        """The pixels of each cell."""
        size = self.facts.channels * self.network.tokenizer.side**2
        return [ReconstructionInput(size, lambda batch: self.network.told(batch.images))]

    @property
    def inputs(self) -> Sequence[str]:
        """The picture's file."""
        return ("image",)

    def read(self, raws: Sequence[Raw]) -> ImageBatch:
        """Pictures as a batch: files, or bytes `(channels, height, width)` of the right size.

        Raises:
            UserError: A picture is missing or cannot be read.
        """
        if not all(raw.get("image") is not None for raw in raws):
            raise UserError("there is no image")
        facts = self.facts
        size = facts.height, facts.width
        images = [
            image if isinstance(image, Tensor) else read_picture(Path(str(image)), size, facts.channels)
            for image in (raw["image"] for raw in raws)
        ]
        return ImageBatch(torch.arange(len(raws)), torch.stack(images), torch.zeros(len(raws), dtype=torch.long))

    def raw(self, data: ImageData, index: int) -> Raw:
        """The picture."""
        return {"image": data.test.images[index]}

    def explain(self, raw: Raw) -> Explanation:
        """Patches over the picture; its cells as units."""
        return view_picture(self, raw)

    def describe(self, index: int, data: ImageData) -> dict[str, Any]:
        """Where the picture comes from, if that has a name."""
        return {"source": data.test.sources[index]} if data.test.sources else {}

    def figures(self, predictions: Predictions, data: ImageData, folder: Path) -> None:
        """Confusion matrix and worst mistakes."""
        super().figures(predictions, data, folder)
        draw_mistakes(predictions, data.test.images, self.facts.classes, folder / "mistakes.png")

    def baselines(self, data: ImageData) -> dict[str, Predictions]:
        """The most frequent class, and logistic regression on pixels (of at most 32 x 32)."""
        train, test = data.train.labels.numpy(), data.test.labels.numpy()
        linear = cached(logistic_regression)(_pixels(data.train.images), train, _pixels(data.test.images))
        return {
            "majority": {"label": test, "predicted": majority(train, len(test))},
            "linear": {"label": test, "predicted": linear},
        }

    def tokens(self, batch: ImageBatch) -> int:
        """Cells of the grid that attention sees."""
        return len(batch) * len(self.network.positions)


def _pixels(images: Tensor) -> np.ndarray:
    """Pictures as rows of numbers, made smaller where they are large."""
    if max(images.shape[-2:]) > LINEAR_SIZE:
        chunks = [F.adaptive_avg_pool2d(part.float(), LINEAR_SIZE).to(torch.uint8) for part in images.split(1000)]
        images = torch.cat(chunks)
    return images.flatten(1).numpy()
