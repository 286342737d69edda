"""The task: loss, metrics, pictures for people and baselines."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, classification_report, f1_score
from torch import Tensor

from mla_train.data.baselines import cached, logistic_regression, majority
from mla_train.training.task import Predictions, Task
from tasks.image_classification.data import ImageBatch, ImageData, ImageFacts
from tasks.image_classification.figures import draw_confusion, draw_mistakes
from tasks.image_classification.network import ImageClassifier

LINEAR_SIZE = 32


class ImageClassificationTask(Task):
    """Cross-entropy over the classes of pictures."""

    facts_class = ImageFacts
    directions = {"accuracy": "max", "macro_f1": "max"}
    monitor = "accuracy"

    def build(self, facts: ImageFacts) -> None:
        """Makes the network for pictures of this size and these classes."""
        self.facts = facts
        self.network = ImageClassifier(self.config, facts)

    def forward(self, batch: ImageBatch) -> Tensor:
        """Class scores, `(batch, classes)`."""
        return self.network(batch.images)

    def loss(self, outputs: Tensor, batch: ImageBatch) -> tuple[Tensor, int]:
        """Cross-entropy, smoothed in training only, and the number of pictures."""
        smoothing = self.config.regularization.label_smoothing if self.training else 0.0
        return F.cross_entropy(outputs, batch.labels, label_smoothing=smoothing, reduction="sum"), len(batch)

    def predict(self, outputs: Tensor, batch: ImageBatch) -> Predictions:
        """True class, predicted class, and the probability of each class."""
        probabilities = outputs.detach().float().softmax(-1).cpu().numpy()
        return {
            "label": batch.labels.cpu().numpy(),
            "predicted": probabilities.argmax(-1),
            "probability": probabilities,
        }

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Share of right answers, and F1 averaged over the classes that occur."""
        label, predicted = predictions["label"], predictions["predicted"]
        return {
            "accuracy": float(accuracy_score(label, predicted)),
            "macro_f1": float(f1_score(label, predicted, average="macro", zero_division=0)),
        }

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Precision, recall and F1 of each class."""
        classes = self.facts.classes
        report = classification_report(
            predictions["label"],
            predictions["predicted"],
            labels=np.arange(len(classes)),
            target_names=classes,
            output_dict=True,
            zero_division=0,
        )
        return {"per_class": {name: report[name] for name in classes}}

    def records(self, predictions: Predictions, data: ImageData) -> list[dict[str, Any]]:
        """Each picture with its true and predicted class."""
        classes, sources = self.facts.classes, data.test.sources
        rows = zip(*(predictions[name] for name in ("index", "label", "predicted", "probability")), strict=True)
        return [
            {
                "index": int(i),
                **({"source": sources[i]} if sources else {}),
                "label": classes[label],
                "predicted": classes[predicted],
                "confidence": round(float(probability[predicted]), 4),
            }
            for i, label, predicted, probability in rows
        ]

    def figures(self, predictions: Predictions, data: ImageData, folder: Path) -> None:
        """Confusion matrix and worst mistakes."""
        draw_confusion(predictions["label"], predictions["predicted"], self.facts.classes, folder / "confusion.png")
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
