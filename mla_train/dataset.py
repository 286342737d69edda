"""Prepared splits in memory, and the way from their examples, or from raw ones, to batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from mla_train.data.batch import Batch
from mla_train.data.examples import selected
from mla_train.errors import UserError
from mla_train.model import ModelSpec


@dataclass
class Example:
    """An example as a batch is made of it.

    Attributes:
        index: Place in its split.
        inputs: Each input by name; None is missing.
        target: What is to be predicted.
    """

    index: int
    inputs: dict[str, Any]
    target: Any


@dataclass
class Split:
    """A split in memory. Its items are lists of examples: sequences, or single examples where there are none.

    Attributes:
        columns: Values of each input.
        targets: What is to be predicted, one an example.
        names: Name of each example; empty where they have none.
        sequences: Places of the examples of each sequence, in order; None where each example is alone.
        groups: Number of each example's group, of which intervals draw whole ones, `(examples,)`; None where there are none.
        augmentations: Random variation of an input in training.
        modality_dropout: Probability that training leaves out an input, as long as another is present.
    """

    columns: dict[str, Any]
    targets: Any
    names: Sequence[str] = ()
    sequences: list[np.ndarray] | None = None
    groups: np.ndarray | None = None
    augmentations: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    modality_dropout: float = 0.0

    def __len__(self) -> int:
        return len(self.targets) if self.sequences is None else len(self.sequences)

    def __getitem__(self, index: int) -> list[Example]:
        """The examples of an item."""
        places = [index] if self.sequences is None else self.sequences[index]
        return [self._example(int(place)) for place in places]

    def _example(self, place: int) -> Example:
        inputs = {name: column[place] for name, column in self.columns.items()}
        for name, vary in self.augmentations.items():
            if inputs[name] is not None:
                inputs[name] = vary(inputs[name])
        if self.modality_dropout:
            self._drop_inputs(inputs)
        return Example(place, inputs, self.targets[place])

    def _drop_inputs(self, inputs: dict[str, Any]) -> None:
        present = [name for name, value in inputs.items() if value is not None]
        chances = torch.rand(len(present)).tolist()
        dropped = [name for name, chance in zip(present, chances, strict=True) if chance < self.modality_dropout]
        if len(dropped) == len(present):  # one stays
            dropped.pop(int(torch.rand(()) * len(dropped)))
        for name in dropped:
            inputs[name] = None

    def first(self, count: int) -> "Split":
        """The first items."""
        sequences = None if self.sequences is None else self.sequences[:count]
        places = np.arange(min(count, len(self.targets))) if sequences is None else np.concatenate(sequences)
        columns = {name: column.select(places) for name, column in self.columns.items()}
        names = selected(self.names, places) if self.names else ()
        if sequences is not None:
            sequences = np.split(np.arange(len(places)), np.cumsum([len(each) for each in sequences])[:-1])
        groups = None if self.groups is None else self.groups[places]
        targets = selected(self.targets, places)
        return replace(self, columns=columns, targets=targets, names=names, sequences=sequences, groups=groups)

    def raw(self, place: int) -> dict[str, Any]:
        """An example as `Predictor.predict` takes it, without what is missing."""
        return {name: column.raw(place) for name, column in self.columns.items() if column[place] is not None}


@dataclass
class Dataset:
    """Three splits, and the way from their examples to batches.

    Attributes:
        spec: What the network must know of the data.
        train: Examples to learn from.
        val: Examples to choose by.
        test: Examples to report on, evaluated once.
        notes: Lines for the user: what was read, left out, cut, guessed.
        vary: Random variation of a whole training batch, such as mixing its images and labels; None is none.
    """

    spec: ModelSpec
    train: Split
    val: Split
    test: Split
    notes: list[str] = field(default_factory=list)
    vary: Callable[[Batch], None] | None = None

    def overfit(self, count: int) -> "Dataset":
        """The same with the first training items as all three splits: a sound model learns them by heart."""
        few = self.train.first(count)
        evaluated = replace(few, augmentations={}, modality_dropout=0.0)
        return replace(self, train=few, val=evaluated, test=evaluated)

    def count(self, split: str) -> int:
        """Number of examples of a split; more than its items where these are sequences."""
        return len(getattr(self, split).targets)

    def lengths(self, split: str) -> np.ndarray | None:
        """Number of tokens of each item of a split, by which batches are bucketed; None where all are alike."""
        part: Split = getattr(self, split)
        lengths = [length for column in part.columns.values() if (length := column.lengths()) is not None]
        total = self.spec.head.lengths(sum(lengths) if lengths else None, part.targets)
        if total is None or not total.any():
            return None
        return total if part.sequences is None else np.array([total[each].sum() for each in part.sequences])

    def collate(self, items: Sequence[list[Example]], training: bool) -> Batch:
        """Makes a batch of items of a split."""
        examples = [example for item in items for example in item]
        sequence = [number for number, item in enumerate(items) for _ in item]
        inputs = {
            name: modality.collate([example.inputs[name] for example in examples])
            for name, modality in self.spec.inputs.items()
        }
        targets = self.spec.head.collate(self.spec.target, [example.target for example in examples], training)
        batch = Batch(torch.tensor([example.index for example in examples]), inputs, targets, torch.tensor(sequence))
        if training and self.vary is not None:
            self.vary(batch)
        return batch


def raw_batch(spec: ModelSpec, examples: Sequence[Mapping[str, Any]]) -> Batch:
    """Raw examples as a batch without targets, each a sequence of its own; a UserError where a value cannot be read."""
    inputs = {}
    for name, modality in spec.inputs.items():
        column = modality.preprocess([example.get(name) for example in examples])
        inputs[name] = modality.collate([column[place] for place in range(len(examples))])
    index = torch.arange(len(examples))
    return Batch(index, inputs, None, index)


def check_given(spec: ModelSpec, examples: Sequence[Mapping[str, Any]], start: int = 0) -> None:
    """Raises a UserError where a raw example, counted from `start`, has none of the inputs."""
    for place, example in enumerate(examples, start):
        values = [example.get(name) for name in spec.inputs]
        if all(value is None or (isinstance(value, str) and not value.strip()) for value in values):
            raise UserError(f"example {place} has no {' or '.join(spec.inputs)}")
