"""Any number of labels an example: a binary cross-entropy for each, F1 and average precision."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.data.tables.cells import as_label, is_enclosed, is_missing, written_list
from mla_train.errors import UserError
from mla_train.heads.base import Explained, Predictions, RawTargets
from mla_train.heads.class_metrics import Drawn, areas_under_curves, mean_of_known
from mla_train.heads.classes import ClassHead, ClassSpec, note_alike, number_classes

THRESHOLD = 0.5
LISTS = (list, tuple, set, np.ndarray)
NUMBERS = (int, float, np.number, np.bool_)


class MultilabelClassification(ClassHead):
    """A probability for each label."""

    kind = "multilabel"
    directions = {"mean_average_precision": "max", "micro_f1": "max", "macro_f1": "max", "exact_match": "max"}
    monitor = "mean_average_precision"

    @classmethod
    def load_targets(
        cls, targets: RawTargets, options: Any, notes: list[str]
    ) -> tuple[ClassSpec, dict[str, np.ndarray]]:
        """Which labels each example has, `(examples, labels)`; see `number_classes`."""
        width = _vector_width([value for values in targets.values() for value in values])
        names = getattr(options, "labels", None)
        if width and len(names or []) != width:
            raise UserError(
                f"the labels are lists of {width} zeros and ones: name the label of each place with data.labels=[first,second,...]"
            )
        sets = {split: _label_sets(values, options, bool(width)) for split, values in targets.items()}
        na_values = getattr(options, "na_values", ())
        listed = (label for values in targets.values() for value in values for label in _listed(value))
        empty = sum(is_missing(label, na_values) for label in listed)
        if empty:
            notes.append(f"{empty:,} labels in lists of labels are missing and left out")
        spec, numbers = number_classes({split: set().union(*values) for split, values in sets.items()}, options)
        note_alike(spec.classes, notes)
        if len(numbers) < 2:
            raise UserError(f"there is a single label ({', '.join(spec.classes)}): several labels need at least two")
        arrays = {split: np.zeros((len(values), len(numbers)), dtype=np.float32) for split, values in sets.items()}
        for split, values in sets.items():
            for row, labels in zip(arrays[split], values, strict=True):
                row[[numbers[label] for label in labels]] = 1
        return spec, arrays

    @classmethod
    def read_targets(
        cls, spec: ClassSpec, targets: Sequence[Any], options: Any, notes: list[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which labels each example has, `(examples, labels)`."""
        is_vector = _vector_width(targets) == len(spec.classes) and not {"0", "1"} & set(spec.classes)
        sets = _label_sets(targets, options, is_vector)
        if is_vector:
            sets = [{spec.classes[int(place)] for place in places} for places in sets]
        numbers = spec.numbers_of(set().union(*sets))
        has_label = np.zeros((len(sets), len(spec.classes)), dtype=np.float32)
        for row, labels in zip(has_label, sets, strict=True):
            row[[numbers[label] for label in labels if label in numbers]] = 1
        return has_label, np.array([labels <= numbers.keys() for labels in sets], dtype=bool)

    @classmethod
    def fit_targets(cls, spec: ClassSpec, train: np.ndarray) -> ClassSpec:
        """The spec, once it is sure that the training split has every label."""
        lacking = [name for number, name in enumerate(spec.classes) if not train[:, number].any()]
        if lacking:
            raise UserError(
                f"the training split has no example with label {', '.join(lacking)}: add examples, remove the label, or "
                "change data.split_seed"
            )
        return spec

    @classmethod
    def collate(cls, spec: ClassSpec, targets: Sequence[Any], training: bool) -> Tensor:
        """1 for each label of an example, else 0, `(batch, labels)`."""
        return torch.tensor(np.asarray(targets), dtype=torch.float32)

    def example_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Binary cross-entropy summed over labels, smoothed in training only, `(batch,)`."""
        smoothing = self.label_smoothing if self.training else 0.0
        targets = targets * (1 - smoothing) + smoothing / 2
        return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").sum(-1)

    def r_drop_loss(self, first: Tensor, second: Tensor, batch: Batch) -> Tensor:
        """A quarter of the symmetric divergence of each label's two probabilities, summed."""
        return ((first.float().sigmoid() - second.float().sigmoid()) * (first.float() - second.float())).sum() / 4

    def read_outputs(self, outputs: Tensor) -> Predictions:
        """Labels with a probability over one half, and the probability of each."""
        probability = outputs.detach().float().sigmoid().cpu().numpy()
        return {"predicted": (probability > THRESHOLD).astype(np.float32), "probability": probability}

    def weighted_metrics(self, predictions: Predictions, weights: np.ndarray) -> Drawn:
        """Average precision, averaged over the labels that occur; F1 over all decisions and averaged over labels.

        Baselines without probabilities are ranked by their decisions.
        """
        label, predicted = predictions["label"] > 0, predictions["predicted"] > 0
        ranking: Any = predictions.get("probability", predicted)
        precision = np.stack(
            [areas_under_curves(ranking[:, number], hits, weights)[1] for number, hits in enumerate(label.T)], 1
        )
        occurs = ~np.isnan(precision)
        true, answers, hits = (weights @ each for each in (label, predicted, label & predicted))
        return {
            "mean_average_precision": mean_of_known(np.nan_to_num(precision), occurs),
            "micro_f1": 2 * hits.sum(1) / np.maximum((true + answers).sum(1), 1),
            "macro_f1": (2 * hits / np.maximum(true + answers, 1)).mean(1),
            "exact_match": weights @ (label == predicted).all(1) / weights.sum(1),
        }

    def decode(self, predictions: Predictions) -> list[dict[str, Any]]:
        """The predicted labels, and the probability of each label."""
        classes = self.spec.classes
        return [
            {
                "prediction": [name for name, chosen in zip(classes, row, strict=True) if chosen],
                "probabilities": {n: round(float(value), 4) for n, value in zip(classes, probability, strict=True)},
            }
            for row, probability in zip(predictions["predicted"], predictions["probability"], strict=True)
        ]

    def decode_labels(self, predictions: Predictions) -> list[list[str]]:
        """The true labels."""
        classes = self.spec.classes
        return [[name for name, has in zip(classes, row, strict=True) if has] for row in predictions["label"]]

    def example_error(self, record: Mapping[str, Any]) -> float:
        """Number of labels that are wrong."""
        return float(len(set(record["label"]) ^ set(record["prediction"])))

    def figures(self, predictions: Predictions, folder: Path) -> None:
        """F1 of each label."""
        from mla_train.heads.figures import draw_label_scores

        scores = {name: row["f1-score"] for name, row in self.details(predictions)["per_class"].items()}
        draw_label_scores(scores, folder / "labels.png")

    def explain(self, outputs: Tensor, batch: Batch) -> Explained:
        """The log odds of the most probable label."""
        chosen = int(outputs[0].argmax())
        name, probability = self.spec.classes[chosen], float(outputs[0, chosen].sigmoid())
        return Explained(lambda outputs: outputs[:, chosen], f"the log odds of {name}", f"{name}, {probability:.1%}")


def _label_sets(values: Sequence[Any], options: Any, are_vectors: bool) -> list[set[str]]:
    """The labels of each cell; of vectors of zeros and ones the places of the ones."""
    if are_vectors:
        return [{str(place) for place, has in enumerate(value) if has} for value in values]
    separator, na_values = getattr(options, "label_separator", None), getattr(options, "na_values", ())
    return [_label_set(value, separator, na_values) for value in values]


def _label_set(value: Any, separator: str | None, na_values: Sequence[str] = ()) -> set[str]:
    """The labels of a cell: a list, or a text with a separator; empty is none. A UserError where a list is nested."""
    if isinstance(value, str) and separator is not None:
        value = _separated(value, separator)
    if isinstance(value, LISTS):
        try:
            return {as_label(label) for label in value if not is_missing(label, na_values)}
        except TypeError as error:
            raise UserError(
                f"the label {value!r:.60} holds more than labels: an example has a list of words or numbers"
            ) from error
    return set() if is_missing(value, na_values) else {as_label(value)}


def _separated(text: str, separator: str) -> list[Any]:
    """The labels of a text: a list as programs write it, or labels with a separator."""
    written = written_list(text)
    if written is not None:
        return written
    if is_enclosed(text):
        raise UserError(
            f"the label {text!r:.60} stands in brackets and cannot be read as a list: write it as ['a', 'b'], or its labels without "
            f"brackets and with {separator!r} between them, which is data.label_separator"
        )
    return text.split(separator)


def _listed(value: Any) -> Any:
    return value if isinstance(value, LISTS) else ()


def _vector_width(values: Sequence[Any]) -> int:
    """The length of lists of zeros and ones that are all of one length, two or more; 0 where labels are none."""
    widths = {len(value) if isinstance(value, LISTS) else 0 for value in values}
    width = widths.pop() if len(widths) == 1 else 0
    if width < 2 or any(not isinstance(each, NUMBERS) or each not in (0, 1) for value in values for each in value):
        return 0
    return width
