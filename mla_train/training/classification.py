"""What all classifiers share: loss, metrics, scores of each class, the confusion matrix."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score
from torch import Tensor

from mla_train.training.task import Predictions, Task

matplotlib.use("Agg")
import matplotlib.pyplot as plt

MOST_LABELLED = 30


class Classification(Task):
    """A task whose outputs are class scores, `(batch, classes)`.

    Its batches have `labels`: class numbers `(batch,)`, or in training shares of classes `(batch, classes)`. Its facts
    have `classes`, their names. A subclass writes `build`, `forward`, and what belongs to its kind of data.
    """

    directions = {"accuracy": "max", "macro_f1": "max"}
    monitor = "accuracy"
    facts: Any

    def loss(self, outputs: Tensor, batch: Any) -> tuple[Tensor, int]:
        """Cross-entropy, smoothed in training only, and the number of examples."""
        smoothing = self.config.regularization.label_smoothing if self.training else 0.0
        return F.cross_entropy(outputs, batch.labels, label_smoothing=smoothing, reduction="sum"), len(batch)

    def predict(self, outputs: Tensor, batch: Any) -> Predictions:
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

    def records(self, predictions: Predictions, data: Any) -> list[dict[str, Any]]:
        """Each example with its true and predicted class; `describe` says what it was."""
        classes = self.facts.classes
        rows = zip(*(predictions[name] for name in ("index", "label", "predicted", "probability")), strict=True)
        return [
            {
                "index": int(i),
                **self.describe(int(i), data),
                "label": classes[label],
                "predicted": classes[predicted],
                "confidence": round(float(probability[predicted]), 4),
            }
            for i, label, predicted, probability in rows
        ]

    def error(self, record: Mapping[str, Any]) -> float:
        """How certain the model was of a wrong class."""
        return 0.0 if record["label"] == record["predicted"] else record["confidence"]

    def describe(self, index: int, data: Any) -> dict[str, Any]:
        """What a person should see of a test example in predictions.jsonl."""
        return {}

    @torch.no_grad()
    def explained(self, batch: Any) -> tuple[Callable[[Tensor], Tensor], str, str]:
        """What a `Explanation` says of the answer to one example.

        Returns:
            The log odds of the predicted class as a function of outputs, their name, and the class with its probability.
        """
        chances = self(batch)[0].float().softmax(-1)
        chosen = int(chances.argmax())
        others = torch.arange(len(chances)) != chosen
        name = self.facts.classes[chosen]

        def log_odds(outputs: Tensor) -> Tensor:
            scores = outputs.float()
            return scores[:, chosen] - scores[:, others.to(scores.device)].logsumexp(-1)

        return log_odds, f"the log odds of {name}", f"{name}, {float(chances[chosen]):.1%}"

    def figures(self, predictions: Predictions, data: Any, folder: Path) -> None:
        """The confusion matrix."""
        draw_confusion(predictions["label"], predictions["predicted"], self.facts.classes, folder / "confusion.png")


def worst_mistakes(predictions: Predictions, most: int) -> np.ndarray:
    """Rows of the mistakes of which the model was most certain, the most certain first.

    Args:
        predictions: Columns label, predicted and probability.
        most: How many at most.
    """
    wrong = np.flatnonzero(predictions["label"] != predictions["predicted"])
    return wrong[np.argsort(-predictions["probability"].max(-1)[wrong])][:most]


def draw_confusion(label: np.ndarray, predicted: np.ndarray, classes: list[str], file: Path) -> None:
    """True class by row, predicted class by column; cells show the share of the row.

    Args:
        label: True class numbers.
        predicted: Predicted class numbers.
        classes: Their names.
        file: The PNG to write.
    """
    counts = confusion_matrix(label, predicted, labels=np.arange(len(classes)))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(4 + 0.4 * len(classes), 14)
    figure, axes = plt.subplots(figsize=(side + 1, side), layout="constrained")
    shown = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= MOST_LABELLED:
        axes.set_xticks(range(len(classes)), classes, rotation=90 if max(map(len, classes)) > 2 else 0)
        axes.set_yticks(range(len(classes)), classes)
        for row, column in np.argwhere(counts):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=8)
    axes.set(xlabel="predicted", ylabel="true", title=f"accuracy {np.trace(counts) / counts.sum():.4f}")
    figure.colorbar(shown, label="share of the true class", shrink=0.8)
    figure.savefig(file, dpi=120)
    plt.close(figure)
