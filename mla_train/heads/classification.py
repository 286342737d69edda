"""One class of several: cross-entropy, metrics of decisions and of rankings, the confusion matrix."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.config import Rare, TrainConfig
from mla_train.data.batch import Batch
from mla_train.data.tables.cells import as_label
from mla_train.errors import UserError, few, require
from mla_train.heads.base import Embeddings, Explained, Predictions, RawTargets
from mla_train.heads.calibration import brier_score, calibration_error, confidence_of
from mla_train.heads.class_metrics import Drawn, above_threshold, best_threshold, count_metrics, ranking_metrics
from mla_train.heads.classes import ClassHead, ClassSpec, note_alike, note_joined, number_classes


class Classification(ClassHead):
    """Scores of classes, of which one is right.

    Class weights, the focal loss and label smoothing are of training alone: the loss of other splits is the plain
    cross-entropy, in which examples of unseen classes count 0.
    """

    kind = "classification"
    directions: Mapping[str, str] = {
        **dict.fromkeys(
            ("accuracy", "macro_f1", "weighted_f1", "balanced_accuracy", "mcc", "auroc", "average_precision"), "max"
        ),
        "ece": "min",
        "brier": "min",
    }
    monitor = "accuracy"
    class_weight: Tensor | None

    def __init__(self, config: TrainConfig, spec: ClassSpec, embeddings: Embeddings, sequences: bool = False) -> None:
        super().__init__(config, spec, embeddings, sequences)
        options, binary = config.task, len(spec.classes) == 2
        self.focal_gamma = getattr(options, "focal_gamma", 0.0)
        weights = class_weights(getattr(options, "class_weight", "none"), spec)
        self.register_buffer("class_weight", weights, persistent=False)
        threshold = getattr(options, "threshold", None)
        require(
            threshold is None or binary,
            f"task.threshold={threshold} is for two classes, and there are {len(spec.classes)}: leave it out",
        )
        self.is_tuned = threshold == "tune" or (threshold is None and binary and spec.is_imbalanced)
        if isinstance(threshold, float | int):
            self.spec = replace(spec, threshold=float(threshold))
        if spec.is_imbalanced:
            self.monitor = "macro_f1"

    @classmethod
    def load_targets(
        cls, targets: RawTargets, options: Any, notes: list[str]
    ) -> tuple[ClassSpec, dict[str, np.ndarray]]:
        """Class numbers of all splits; see `number_classes`."""
        labels = {split: [as_label(label) for label in values] for split, values in targets.items()}
        spec, numbers = number_classes(labels, options, may_be_unseen=True)
        if len(spec.classes) < 2:
            raise UserError(f"there is a single class ({', '.join(spec.classes)}): a classifier needs at least two")
        note_alike(spec.names, notes)
        note_joined(spec.names, notes)
        arrays = {split: np.array([numbers[label] for label in values]) for split, values in labels.items()}
        for split, values in arrays.items():
            count = int((values >= len(spec.classes)).sum())
            if count:
                names = ", ".join(spec.names[number] for number in np.unique(values) if number >= len(spec.classes))
                notes.append(
                    f"{count:,} of {len(values):,} examples of {split} are of classes that train lacks ({names}): they count "
                    "as mistakes (data.unseen=wrong)"
                )
        return spec, arrays

    @classmethod
    def read_targets(
        cls, spec: ClassSpec, targets: Sequence[Any], options: Any, notes: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Class numbers, -1 where the class is unknown; with `data.rare=other` that is class other, as in training."""
        labels = [as_label(label) for label in targets]
        numbers = spec.numbers_of(labels)
        other = spec.numbers_of(["other"]).get("other")
        if getattr(options, "rare", None) is Rare.other and other is not None:
            strange = Counter(label for label in labels if label not in numbers)
            numbers |= dict.fromkeys(strange, other)
            if strange:
                notes.append(
                    f"{strange.total():,} labels that are no class of the model count as class other: {few(sorted(strange))} (data.rare)"
                )
        class_ids = np.array([numbers.get(label, -1) for label in labels], dtype=int)
        return class_ids, class_ids >= 0

    @classmethod
    def fit_targets(cls, spec: ClassSpec, train: np.ndarray) -> ClassSpec:
        """The spec with the size of each class."""
        return replace(spec, counts=np.bincount(train, minlength=len(spec.classes)).tolist())

    @classmethod
    def strata(cls, targets: np.ndarray) -> np.ndarray:
        """The classes."""
        return targets

    @classmethod
    def collate(cls, spec: ClassSpec, targets: Sequence[Any], training: bool) -> Tensor:
        """Class numbers, `(batch,)`."""
        return torch.tensor(np.asarray(targets), dtype=torch.long)

    def example_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy or focal loss, `(batch,)`; targets of mixed examples are shares of classes, `(batch, classes)`."""
        if not self.training:
            known = targets.masked_fill(targets >= outputs.size(-1), -100)  # which cross_entropy ignores
            return F.cross_entropy(outputs, known, reduction="none")
        if not self.focal_gamma:
            options: Any = {"weight": self.class_weight, "label_smoothing": self.label_smoothing}
            return F.cross_entropy(outputs, targets, reduction="none", **options)
        log_probability = outputs.float().log_softmax(-1)
        shares = F.one_hot(targets, outputs.size(-1)) if targets.dim() == 1 else targets
        shares = shares * (1 - self.label_smoothing) + self.label_smoothing / outputs.size(-1)
        if self.class_weight is not None:
            shares = shares * self.class_weight
        # Powers below 1 have no finite derivative at 0.
        wrong = (-log_probability.expm1()).clamp_min(1e-6)
        return -(shares * wrong**self.focal_gamma * log_probability).sum(-1)

    def read_outputs(self, outputs: Tensor) -> Predictions:
        """Predicted class number, by the threshold if there is one, and the probability of each class."""
        probability = outputs.detach().float().softmax(-1).cpu().numpy()
        return {"predicted": self._decide(probability), "probability": probability}

    def _decide(self, probability: np.ndarray) -> np.ndarray:
        if self.spec.threshold is None:
            return probability.argmax(-1)
        return above_threshold(probability, self.spec.positive, self.spec.threshold)

    def tune(self, predictions: Predictions) -> Predictions:
        """Chooses the threshold of two classes by the F1 of the rarer one."""
        if not self.is_tuned:
            return predictions
        positive, probability = self.spec.positive, predictions["probability"]
        threshold = best_threshold(probability[:, positive], predictions["label"] == positive)
        self.spec = replace(self.spec, threshold=threshold)
        return predictions | {"predicted": self._decide(probability)}

    @property
    def threshold(self) -> dict[str, Any] | None:
        """The class that is predicted from a probability on, and this probability, where it is not the more probable one."""
        if self.spec.threshold is None:
            return None
        return {"class": self.spec.classes[self.spec.positive], "probability": self.spec.threshold}

    def choices(self) -> list[str]:
        """Monitor and threshold of classes of very different size."""
        if not self.spec.is_imbalanced:
            return []
        counts, classes = self.spec.counts, self.spec.classes
        rarest, largest = int(np.argmin(counts)), int(np.argmax(counts))
        lines = [
            f"class {classes[rarest]} has {counts[rarest]:,} training examples and class {classes[largest]} "
            f"{counts[largest]:,}: the checkpoint is selected by val/{self.monitor} (task.monitor)"
        ]
        if self.is_tuned:
            lines.append(
                f"the probability from which {classes[self.spec.positive]} is predicted is tuned on val (task.threshold)"
            )
        return lines

    def weighted_metrics(self, predictions: Predictions, weights: np.ndarray) -> Drawn:
        """Those of `count_metrics`; and where there are probabilities those of `ranking_metrics`, and how true they are."""
        label, predicted = predictions["label"], predictions["predicted"]
        metrics = count_metrics(label, predicted, weights)
        if "probability" in predictions:
            probability = predictions["probability"]
            metrics |= ranking_metrics(label, probability, self.spec.positive, weights)
            metrics |= {
                "ece": calibration_error(confidence_of(predictions), predicted == label, weights),
                "brier": brier_score(probability, label, weights),
            }
        return metrics

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
        return [self.spec.names[number] for number in predictions["label"]]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Probability of a wrong prediction."""
        return 0.0 if record["label"] == record["prediction"] else record["probability"]

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """The confusion matrix, and how well probabilities are calibrated."""
        from mla_train.heads.figures import draw_calibration, draw_confusion

        draw_calibration(predictions, folder / "calibration.png")
        draw_confusion(predictions["label"], predictions["predicted"], self.spec.names, folder / "confusion.png")

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The log odds of the predicted class."""
        probability = outputs[0].detach().float().softmax(-1)
        chosen = int(self.read_outputs(outputs[:1])["predicted"][0])
        others = torch.arange(len(probability)) != chosen
        name = self.spec.classes[chosen]

        def log_odds(outputs: Tensor) -> Tensor:
            scores = outputs.float()
            return scores[:, chosen] - scores[:, others.to(scores.device)].logsumexp(-1)

        return Explained(log_odds, f"the log odds of {name}", f"{name}, {float(probability[chosen]):.1%}")


def class_weights(option: Any, spec: ClassSpec) -> Tensor | None:
    """Weights of the classes whose mean over the training examples is 1, `(classes,)`; None where all are alike.

    Args:
        option: `task.class_weight`.
        spec: Spec of the classes.

    Raises:
        UserError: There are more or fewer weights than classes.
    """
    if option == "none" or not spec.counts:
        return None
    counts = torch.tensor(spec.counts, dtype=torch.float)
    if option == "balanced":
        return counts.sum() / (len(counts) * counts.clamp(min=1))
    require(
        len(option) == len(counts),
        f"task.class_weight has {len(option)} weights for {len(counts)} classes: give one for each of "
        f"{', '.join(spec.classes)}, in this order",
    )
    weights = torch.tensor(option, dtype=torch.float)
    return weights * counts.sum() / (weights @ counts)
