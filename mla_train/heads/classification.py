"""One class of several: cross-entropy, accuracy, F1, the confusion matrix."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Explained, Predictions
from mla_train.heads.pooled import PooledHead
from mla_train.modalities.base import ModalityFeatures


@dataclass
class ClassSpec:
    """Classes of the data.

    Attributes:
        classes: Names of the classes.
    """

    classes: list[str]


class Classification(PooledHead):
    """Scores of classes, of which one is right."""

    kind = "classification"
    spec_class = ClassSpec
    directions = {"accuracy": "max", "macro_f1": "max", "weighted_f1": "max"}
    monitor = "accuracy"

    @classmethod
    def count_outputs(cls, spec: ClassSpec) -> int:
        """Number of classes."""
        return len(spec.classes)

    @classmethod
    def load_targets(
        cls, targets: Mapping[str, Sequence[Any]], options: Any, notes: list[str]
    ) -> tuple[ClassSpec, dict[str, np.ndarray]]:
        """Class numbers of all splits.

        Raises:
            UserError: There is a single class, or a split has a label that train lacks.
        """
        labels = {split: [as_label(label) for label in values] for split, values in targets.items()}
        order = sorted(set(labels["train"]), key=label_order)
        numbers = {label: number for number, label in enumerate(order)}
        for split, values in labels.items():
            unknown = sorted({str(label) for label in set(values) - numbers.keys()})
            if unknown:
                shown = ", ".join(unknown[:5])
                raise UserError(f"{split} has label {shown}, which train lacks: add examples to train or remove these")
        names = class_names([str(label) for label in order], options)
        if len(names) < 2:
            raise UserError(f"there is a single class ({', '.join(names)}): a classifier needs at least two")
        return ClassSpec(names), {s: np.array([numbers[value] for value in v]) for s, v in labels.items()}

    @classmethod
    def fit_targets(cls, spec: ClassSpec, train: np.ndarray) -> ClassSpec:
        """The spec, once it is sure that the training split has every class.

        Raises:
            UserError: It lacks one.
        """
        counts = np.bincount(train, minlength=len(spec.classes))
        lacking = [name for name, count in zip(spec.classes, counts, strict=True) if not count]
        if lacking:
            raise UserError(
                f"the training split has no example of class {', '.join(lacking)}, which val or test has: add examples "
                "or remove the class"
            )
        return spec

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

    def predict(
        self,
        outputs: Tensor,
        features: dict[str, ModalityFeatures] | None = None,
        batch: Batch | None = None,
        val_size: int | None = None,
    ) -> Predictions:
        """Predicted class number, and the probability of each class."""
        probability = outputs.detach().float().softmax(-1).cpu().numpy()
        return {"predicted": probability.argmax(-1), "probability": probability}

    def labels(self, batch: Batch) -> Predictions:
        """True class numbers."""
        return {"label": batch.targets.cpu().numpy()}

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Share of right answers; F1 averaged over the classes that occur, alike and by their size."""
        from sklearn.metrics import accuracy_score, f1_score  # evaluation alone needs scikit-learn

        label, predicted = predictions["label"], predictions["predicted"]
        return {
            "accuracy": float(accuracy_score(label, predicted)),
            "macro_f1": float(f1_score(label, predicted, average="macro", zero_division=0)),
            "weighted_f1": float(f1_score(label, predicted, average="weighted", zero_division=0)),
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

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Precision, recall and F1 of each class."""
        from sklearn.metrics import classification_report

        classes = self.spec.classes
        report = classification_report(
            predictions["label"],
            predictions["predicted"],
            labels=np.arange(len(classes)),
            target_names=classes,
            output_dict=True,
            zero_division=0,
        )
        return {"per_class": {name: report[name] for name in classes}}

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """The confusion matrix."""
        from mla_train.heads.figures import draw_confusion

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


def as_label(label: Any) -> Any:
    """A label as a plain Python value."""
    return label.item() if isinstance(label, np.generic) else label


def label_order(label: Any) -> tuple[bool, float, str]:
    """Numbers by size, before words by the alphabet."""
    try:
        number = float(label)
    except (TypeError, ValueError):
        number = np.nan
    return (False, number, str(label)) if np.isfinite(number) else (True, 0.0, str(label))


def class_names(names: list[str], options: Any) -> list[str]:
    """Names of the classes: those of `data.labels` where it names them.

    Args:
        names: The labels, in order.
        options: `data` options of the run.

    Raises:
        UserError: There are more or fewer labels, or two of one name.
    """
    given = getattr(options, "labels", None)
    if given is not None and len(given) != len(names):
        raise UserError(f"data.labels names {len(given)} classes, but there are {', '.join(names)}")
    names = names if given is None else list(given)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"two labels are both written {', '.join(twice)}: give each class one spelling")
    return names
