"""One class of several: cross-entropy, accuracy, F1, the confusion matrix."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Explained, Predictions, RawTargets
from mla_train.heads.classes import ClassHead, ClassSpec, as_label, number_classes


class Classification(ClassHead):
    """Scores of classes, of which one is right."""

    kind = "classification"
    directions = {"accuracy": "max", "macro_f1": "max", "weighted_f1": "max"}
    monitor = "accuracy"

    @classmethod
    def load_targets(
        cls, targets: RawTargets, options: Any, notes: list[str]
    ) -> tuple[ClassSpec, dict[str, np.ndarray]]:
        """Class numbers of all splits; see `number_classes`."""
        labels = {split: [as_label(label) for label in values] for split, values in targets.items()}
        spec, numbers = number_classes(labels, options)
        if len(numbers) < 2:
            raise UserError(f"there is a single class ({', '.join(spec.classes)}): a classifier needs at least two")
        return spec, {split: np.array([numbers[label] for label in values]) for split, values in labels.items()}

    @classmethod
    def read_targets(cls, spec: ClassSpec, targets: Sequence[Any], options: Any) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, -1 where the class is unknown."""
        numbers = {name: number for number, name in enumerate(spec.classes)}
        class_ids = np.array([numbers.get(str(as_label(label)).strip(), -1) for label in targets], dtype=int)
        return class_ids, class_ids >= 0

    @classmethod
    def strata(cls, targets: np.ndarray) -> np.ndarray:
        """The classes."""
        return targets

    @classmethod
    def collate(cls, spec: ClassSpec, targets: Sequence[Any], training: bool) -> Tensor:
        """Class numbers, `(batch,)`."""
        return torch.tensor(np.asarray(targets), dtype=torch.long)

    def example_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, smoothed in training only, `(batch,)`."""
        smoothing = self.label_smoothing if self.training else 0.0
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing, reduction="none")

    def read_outputs(self, outputs: Tensor) -> Predictions:
        """Predicted class number, and the probability of each class."""
        probability = outputs.detach().float().softmax(-1).cpu().numpy()
        return {"predicted": probability.argmax(-1), "probability": probability}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Share of right answers; F1 averaged over the classes that occur, alike and by their size."""
        from sklearn.metrics import accuracy_score, f1_score

        columns = predictions["label"], predictions["predicted"]
        return {
            "accuracy": float(accuracy_score(*columns)),
            "macro_f1": float(f1_score(*columns, average="macro", zero_division=0)),
            "weighted_f1": float(f1_score(*columns, average="weighted", zero_division=0)),
        }

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The predicted class with its probability, and the probability of each class."""
        classes = self.spec.classes
        return [
            {
                "prediction": classes[number],
                "probability": round(float(row[number]), 4),
                "probabilities": {name: round(float(value), 4) for name, value in zip(classes, row, strict=True)},
            }
            for number, row in zip(predictions["predicted"], predictions["probability"], strict=True)
        ]

    def decode_labels(self, predictions: Predictions) -> list[str]:
        """Names of the true classes."""
        return [self.spec.classes[number] for number in predictions["label"]]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Probability of a wrong prediction."""
        return 0.0 if record["label"] == record["prediction"] else record["probability"]

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """The confusion matrix, and how well probabilities are calibrated."""
        from mla_train.heads.figures import draw_calibration, draw_confusion

        draw_calibration(predictions, folder / "calibration.png")
        draw_confusion(predictions["label"], predictions["predicted"], self.spec.classes, folder / "confusion.png")

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The log odds of the predicted class."""
        probability = outputs[0].detach().float().softmax(-1)
        chosen = int(probability.argmax())
        others = torch.arange(len(probability)) != chosen
        name = self.spec.classes[chosen]

        def log_odds(outputs: Tensor) -> Tensor:
            scores = outputs.float()
            return scores[:, chosen] - scores[:, others.to(scores.device)].logsumexp(-1)

        return Explained(log_odds, f"the log odds of {name}", f"{name}, {float(probability[chosen]):.1%}")
