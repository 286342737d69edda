"""What heads of one and of several classes have in common: the classes and their order, metrics of each class."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mla_train.data.batch import Batch
from mla_train.data.tables.cells import as_text
from mla_train.errors import UserError
from mla_train.heads.base import Predictions
from mla_train.heads.pooled import PooledHead


@dataclass
class ClassSpec:
    """Names of the classes."""

    classes: list[str]


class ClassHead(PooledHead):
    """A score for each class."""

    spec_class = ClassSpec

    @classmethod
    def count_outputs(cls, spec: ClassSpec) -> int:
        """Number of classes."""
        return len(spec.classes)

    def labels(self, batch: Batch) -> Predictions:
        """True classes, as `collate` gives them."""
        return {"label": batch.targets.cpu().numpy()}

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Precision, recall, F1 and number of examples of each class; those that are never predicted though they occur."""
        from sklearn.metrics import classification_report  # evaluation alone needs scikit-learn

        classes = self.spec.classes
        columns = predictions["label"], predictions["predicted"]
        options: dict[str, Any] = {"target_names": classes, "output_dict": True, "zero_division": 0}
        report = classification_report(*columns, labels=np.arange(len(classes)), **options)
        never = [name for number, name in enumerate(classes) if self._is_never_predicted(predictions, number)]
        return {"per_class": {name: report[name] for name in classes}} | ({"never_predicted": never} if never else {})

    @staticmethod
    def _is_never_predicted(predictions: Predictions, number: int) -> bool:
        """Whether a class occurs and is never predicted; columns are class numbers, or a column for each label."""
        occurs, predicted = (
            np.asarray(predictions[name]) == number
            if np.ndim(predictions[name]) == 1
            else predictions[name][:, number] > 0
            for name in ("label", "predicted")
        )
        return bool(occurs.any() and not predicted.any())


def number_classes(labels: Mapping[str, Iterable[Any]], options: Any) -> tuple[ClassSpec, dict[Any, int]]:
    """The classes of the training split, and the number of each label: numbers by size, before words by the alphabet.

    Numbers in words count by size too: class 2 comes before class 10.

    Args:
        labels: Labels that occur in each split.
        options: `data` options of the run; `labels` may name the classes.

    Raises:
        UserError: A split has a label that train lacks, there are more or fewer labels than names, or two of one name.
    """
    order = sorted(set(labels["train"]), key=_label_order)
    numbers = {label: number for number, label in enumerate(order)}
    for split, values in labels.items():
        unknown = sorted({str(label) for label in set(values) - numbers.keys()})
        if unknown:
            shown = ", ".join(unknown[:5])
            raise UserError(f"{split} has label {shown}, which train lacks: add examples to train or remove these")
    written, given = [str(label) for label in order], getattr(options, "labels", None)
    if given is not None and len(given) != len(order):
        raise UserError(f"data.labels names {len(given)} classes, but there are {', '.join(written)}")
    names = written if given is None else list(given)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise UserError(f"two labels are both written {', '.join(twice)}: give each class one spelling")
    return ClassSpec(names), numbers


def as_label(label: Any) -> str:
    """A label in the one form that all files give it: 1, 1.0 and " 1 " are the same label."""
    if isinstance(label, np.generic):
        label = label.item()
    if isinstance(label, float) and label.is_integer():
        label = int(label)
    return as_text(label).strip()


def _label_order(label: Any) -> tuple[bool, float, list[tuple[str, int]], str]:
    try:
        number = float(label)
    except (TypeError, ValueError):
        number = np.nan
    if np.isfinite(number):
        return False, number, [], str(label)
    pieces = re.findall(r"([^0-9]*)([0-9]{0,18})", str(label))
    return True, 0.0, [(word, int(digits or -1)) for word, digits in pieces], str(label)
