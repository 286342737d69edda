"""What heads of one and of several classes have in common: the classes and their order, metrics of each class."""

import re
import unicodedata
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from mla_train.config import Unseen
from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Predictions
from mla_train.heads.calibration import best_temperature
from mla_train.heads.class_metrics import Drawn, in_parts, once, single
from mla_train.heads.pooled import PooledHead
from mla_train.modalities.base import ModalityFeatures

COMMA_NUMBER = re.compile(r"[-+]?\d+,\d+")
TINY = 1e-30  # probability that stands for less
IMBALANCE = 10  # times as many examples of the most frequent class as of the rarest


@dataclass
class ClassSpec:
    """What is known of the classes.

    Attributes:
        classes: Names of the classes.
        counts: Number of training examples of each class; empty where an example may have several.
        unseen: Names of classes of val and test that train lacks; their numbers follow those of the classes.
        threshold: Probability from which the positive one of two classes is predicted; None predicts the more probable.
        temperature: Divisor of the scores, by which the probabilities of val were most true.
        written: Labels as the data has them, in the order of the names, where it or `data.labels` gives the classes other names.
    """

    equally_long: ClassVar = ((("classes",), "counts"), (("classes", "unseen"), "written"))
    may_be_empty: ClassVar = ("counts", "written")

    classes: list[str]
    counts: list[int] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    threshold: float | None = None
    temperature: float = 1.0
    written: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """Names of all labels by their numbers."""
        return [*self.classes, *self.unseen]

    def numbers_of(self, labels: Iterable[str]) -> dict[str, int]:
        """Number of each label that new data may have: labels as the training data has them, or names if more of them are."""
        ways = [{label: number for number, label in enumerate(each)} for each in (self.written, self.names)]
        there = set(labels)
        return max(ways, key=lambda way: len(there & way.keys()))

    @property
    def positive(self) -> int:
        """The rarer one of two classes in train, the second of equal ones."""
        return int(not self.counts or self.counts[0] >= self.counts[1])

    @property
    def is_imbalanced(self) -> bool:
        """Whether the rarest class is below 1:10 of the most frequent one in train."""
        return bool(self.counts) and IMBALANCE * min(self.counts) < max(self.counts)


class ClassHead(PooledHead):
    """A score for each class."""

    spec_class = ClassSpec

    @classmethod
    def count_outputs(cls, spec: ClassSpec) -> int:
        """Number of classes."""
        return len(spec.classes)

    def forward(self, features: dict[str, ModalityFeatures], batch: Batch) -> Tensor:
        """Scores, `(batch, classes)`, after training divided by the temperature."""
        outputs = super().forward(features, batch)
        return outputs if self.training else outputs / self.spec.temperature

    def calibrate(self, predictions: Predictions) -> bool:
        """Chooses the temperature with the least loss on val."""
        label, probability = np.asarray(predictions["label"]), predictions["probability"].astype(np.float64)
        scores = np.log(np.maximum(probability, TINY))
        if label.ndim == 2:
            scores -= np.log(np.maximum(1 - probability, TINY))
        self.spec = replace(self.spec, temperature=self.spec.temperature * best_temperature(scores, label))
        return True

    def labels(self, batch: Batch) -> Predictions:
        """True classes, as `collate` gives them."""
        return {"label": batch.targets.cpu().numpy()}

    @abstractmethod
    def weighted_metrics(self, predictions: Predictions, weights: np.ndarray) -> Drawn:
        """Metrics of a split for each weighting of its examples, `(draws, examples)`."""

    def metrics(self, predictions: Predictions) -> dict[str, float]:
        """Metrics of a whole split."""
        return single(self.weighted_metrics(predictions, once(predictions["label"])))

    def metrics_of_draws(self, predictions: Predictions, draws: Iterator[np.ndarray]) -> Drawn:
        """See `Head.metrics_of_draws`; a draw is a weight for each example."""
        parts = [self.weighted_metrics(predictions, weights) for weights in in_parts(draws, len(predictions["label"]))]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def details(self, predictions: Predictions) -> dict[str, Any]:
        """Precision, recall, F1 and number of examples of each class; those that are never predicted though they occur."""
        from sklearn.metrics import classification_report  # evaluation alone needs scikit-learn

        classes = self.spec.names
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


def number_classes(
    labels: Mapping[str, Iterable[Any]], options: Any, may_be_unseen: bool = False
) -> tuple[ClassSpec, dict[Any, int]]:
    """The classes of the training split, and the number of each label: numbers by size, before words by the alphabet.

    Numbers in words count by size too: class 2 comes before class 10.

    Args:
        labels: Labels that occur in each split.
        options: `data` options of the run; `labels` may name the classes.
        may_be_unseen: Whether `data.unseen=wrong` allows labels of other splits that train lacks.

    Raises:
        UserError: A split has a label that train lacks, there are more or fewer labels than names, or two of one name.
    """
    order = sorted(set(labels["train"]), key=_label_order)
    numbers = {label: number for number, label in enumerate(order)}
    unseen = sorted(set().union(*labels.values()) - numbers.keys(), key=_label_order)
    if unseen and not (may_be_unseen and getattr(options, "unseen", Unseen.stop) is Unseen.wrong):
        split = next(split for split, values in labels.items() if not numbers.keys() >= set(values))
        shown = ", ".join(sorted(str(label) for label in set(labels[split]) - numbers.keys())[:5])
        remedy = (
            ", remove these, or count them as mistakes with data.unseen=wrong" if may_be_unseen else " or remove these"
        )
        alike = {_looks(label): label for label in order}
        spelled = next((alike[_looks(label)] for label in unseen if _looks(label) in alike), None)
        hint = f" (train spells one of them {spelled})" if spelled else ""
        raise UserError(f"{split} has label {shown}, which train lacks{hint}: add examples to train{remedy}")
    numbers |= {label: number for number, label in enumerate(unseen, len(order))}
    written, given = [str(label) for label in order], getattr(options, "labels", None)
    if given is not None and len(given) != len(order):
        raise UserError(f"data.labels names {len(given)} classes, but there are {', '.join(written)}")
    names = written if given is None else list(given)
    strange = [str(label) for label in unseen]
    twice = [name for name, count in Counter([*names, *strange]).items() if count > 1]
    if twice:
        raise UserError(f"two labels are both written {', '.join(twice)}: give each class one spelling")
    return ClassSpec(names, unseen=strange, written=[] if given is None else [*written, *strange]), numbers


def note_alike(classes: Iterable[str], notes: list[str]) -> None:
    """A note on classes that differ in capitals, blanks or forms of letters alone."""
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_looks(name), []).append(name)
    shown = ["|".join(names) for names in alike.values() if len(names) > 1]
    if shown:
        notes.append(f"classes that differ in capitals or blanks alone are different ones: {', '.join(shown[:5])}")


def note_joined(classes: Sequence[str], notes: list[str]) -> None:
    """A note on classes that seem to be several labels in one, or numbers with a comma: their parts occur in others, too."""
    for sign in ";|,":
        parts = {name: {part.strip() for part in name.split(sign)} for name in classes}
        counts = Counter(part for each in parts.values() for part in each)
        joined = [name for name, each in parts.items() if len(each) > 1 and any(counts[part] > 1 for part in each)]
        if len(joined) > 1:
            number = ", or, if it is a number, task.head=regression" * all(map(COMMA_NUMBER.fullmatch, joined))
            notes.append(
                f"classes such as {joined[0]} may be several labels in one: data.label_separator='{sign}' reads them so{number}"
            )
            return


def _looks(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _label_order(label: Any) -> tuple[bool, float, list[tuple[str, int]], str]:
    try:
        number = float(label)
    except (TypeError, ValueError):
        number = np.nan
    if np.isfinite(number):
        return False, number, [], str(label)
    pieces = re.findall(r"([^0-9]*)([0-9]{0,18})", str(label))
    return True, 0.0, [(word, int(digits or -1)) for word, digits in pieces], str(label)
