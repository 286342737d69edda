"""A check of prepared data, and the examples that it looks at."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.heads.unlabelled import Unlabelled

SHOWN = 20  # examples of a check in the report
MOST_CHECKED = 100_000  # examples of a split that is larger than the memory may be


@dataclass
class Check:
    """What a check says of the data.

    Attributes:
        name: Key in results.json.
        title: Heading in the report.
        values: Plain values for results.json.
        problems: Sentences for the user, each with a remedy.
        note: Sentence above the tables.
        rows: Table of numbers for the report, by the name of their column.
        examples: Table of examples for the report: texts, numbers, images and series by the name of their column.
        listing: All examples that are concerned, for the file NAME.csv beside the report.
    """

    name: str
    title: str
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    note: str = ""
    rows: list[dict[str, Any]] = field(default_factory=list)
    examples: list[dict[str, Any]] = field(default_factory=list)
    listing: list[dict[str, Any]] = field(default_factory=list)


def problems_of(checks: Iterable[Check]) -> list[str]:
    """Sentences for the user."""
    return [problem for check in checks for problem in check.problems]


def plain_values(checks: Iterable[Check]) -> dict[str, Any]:
    """What results.json holds of the checks."""
    return {check.name: check.values | {"problems": check.problems} for check in checks}


def first_of_large(data: Dataset) -> tuple[Dataset, list[str]]:
    """The data with the first examples of splits that may be larger than the memory, and the names of these splits."""
    parts = {split: getattr(data, split) for split in SPLITS}
    shortened = {
        split: part.first(MOST_CHECKED)
        for split, part in parts.items()
        if any(column.is_large for column in part.columns.values())
    }
    return replace(data, **shortened), list(shortened)


class LoadedExamples:
    """The examples of all splits behind each other.

    Attributes:
        data: Prepared data.
        split: Number of the split of each example, `(examples,)`.
        place: Place of each example in its split, `(examples,)`.
    """

    def __init__(self, data: Dataset) -> None:
        counts = [data.count(split) for split in SPLITS]
        self.data = data
        self.split = np.repeat(np.arange(len(SPLITS)), counts)
        self.place = np.concatenate([np.arange(count) for count in counts])

    def columns(self, name: str) -> list[Any]:
        """An input of train, val and test."""
        return [getattr(self.data, split).columns[name] for split in SPLITS]

    def texts(self, name: str) -> list[str]:
        """Texts of an input."""
        return [text for column in self.columns(name) for text in column.texts]

    def images(self, name: str) -> Tensor:
        """Images of an input, `(examples, channels, height, width)`."""
        return torch.cat([column.images for column in self.columns(name)])

    def targets(self) -> list[Any]:
        """Targets; those of several labels as tuples, generated texts as text, None where there are no labels."""
        if issubclass(self.data.spec.head, Unlabelled):
            return [None] * len(self.split)
        targets = [target for split in SPLITS for target in getattr(self.data, split).targets]
        kind = self.data.spec.head.kind
        if kind == "generation":
            return [target.text for target in targets]
        return [tuple(target) for target in targets] if kind == "multilabel" else targets

    def name(self, number: int) -> str:
        """Row or file of an example, or its place in its split."""
        split, place = SPLITS[self.split[number]], int(self.place[number])
        names = getattr(self.data, split).names
        return names[place] if names else f"example {place + 1}"

    def where(self, number: int) -> dict[str, Any]:
        """Split and name of an example."""
        return {"split": SPLITS[self.split[number]], "example": self.name(number)}

    def show(self, number: int) -> dict[str, Any]:
        """An example for the report."""
        part = getattr(self.data, SPLITS[self.split[number]])
        return self.where(number) | part.raw(int(self.place[number]))
