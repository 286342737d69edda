"""Columns of texts, pictures and features, and the rows of a part that are read from them; any cell may be missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import Tensor

from mla_train.data.texts import hide


@dataclass
class Texts:
    """A column of texts.

    Attributes:
        texts: Cleaned; empty where there is none.
        tokens: Numbers of the tokens of each text, none for an empty one.
        terms: Weights of the terms of each text, `(examples, terms)`.
    """

    texts: list[str]
    tokens: list[np.ndarray] = field(default_factory=list)
    terms: scipy.sparse.csr_matrix | None = None


@dataclass
class Images:
    """A column of pictures.

    Attributes:
        images: Bytes, `(examples, channels, height, width)`; zeros where there is none.
        missing: True where there is none, `(examples,)`.
    """

    images: Tensor
    missing: np.ndarray


@dataclass
class Features:
    """A column of features.

    Attributes:
        values: Unscaled, `(length, width)` for each example; a single vector has length 1, a missing one 0.
    """

    values: Sequence[np.ndarray]


Column = Texts | Images | Features


@dataclass
class Row:
    """An example as it is read; what is missing has length 0, a picture is None.

    Attributes:
        index: Its place among the examples of its part.
        inputs: By modality: tokens `(length,)`, a picture `(channels, height, width)`, features `(length, width)`.
        terms: By text modality, numbers of the terms and their weights.
        label: Class number or scaled number.
    """

    index: int
    inputs: dict[str, Tensor | None]
    terms: dict[str, tuple[np.ndarray, np.ndarray]]
    label: float


@dataclass
class MultimodalSplit:
    """A part of the data in memory. Its items are sequences of rows, of a single row each where there are none.

    Attributes:
        columns: By modality.
        labels: Class numbers, or numbers to be predicted in their own unit, `(examples,)`.
        names: What to call each example, for people.
        groups: Numbers of the examples of each sequence, in order.
        unit: Mean and spread of the numbers to be predicted; 0 and 1 for classes.
        hidden: Share of the tokens that are hidden from training.
        transform: Variation of a picture.
        dropped: Probability of leaving out a modality in training, as long as another is there.
    """

    columns: dict[str, Column]
    labels: np.ndarray
    names: list[str]
    groups: list[np.ndarray]
    unit: tuple[float, float] = (0.0, 1.0)
    hidden: float = 0.0
    transform: Any = None
    dropped: float = 0.0

    def __len__(self) -> int:
        """Number of sequences."""
        return len(self.groups)

    def __getitem__(self, index: int) -> list[Row]:
        """The rows of a sequence."""
        return [self._row(int(i)) for i in self.groups[index]]

    def lacks(self, modality: str) -> np.ndarray:
        """Which examples lack a modality, `(examples,)`."""
        column = self.columns[modality]
        if isinstance(column, Texts):
            return np.array([not text for text in column.texts])
        if isinstance(column, Images):
            return column.missing
        return np.array([not len(value) for value in column.values])

    def part(self, index: np.ndarray) -> "MultimodalSplit":
        """Some of the examples, each a sequence of its own."""
        columns: dict[str, Column] = {}
        for name, column in self.columns.items():
            if isinstance(column, Texts):
                columns[name] = Texts([column.texts[i] for i in index])
            elif isinstance(column, Images):
                columns[name] = Images(column.images[index], column.missing[index])
            else:
                columns[name] = Features([column.values[i] for i in index])
        names = [self.names[i] for i in index]
        return MultimodalSplit(columns, self.labels[index], names, singles(len(index)))

    def _row(self, i: int) -> Row:
        row = Row(i, {}, {}, (float(self.labels[i]) - self.unit[0]) / self.unit[1])
        for name, column in self.columns.items():
            if isinstance(column, Texts):
                tokens = torch.from_numpy(column.tokens[i].astype(np.int64))
                row.inputs[name] = hide(tokens, self.hidden) if self.hidden and len(tokens) else tokens
                if column.terms is not None:
                    found = slice(column.terms.indptr[i], column.terms.indptr[i + 1])
                    row.terms[name] = column.terms.indices[found], column.terms.data[found]
            elif isinstance(column, Images):
                image = None if column.missing[i] else column.images[i]
                row.inputs[name] = image if image is None or self.transform is None else self.transform(image)
            else:
                row.inputs[name] = torch.from_numpy(np.asarray(column.values[i], dtype=np.float32))
        if self.dropped:
            self._drop(row)
        return row

    def _drop(self, row: Row) -> None:
        there = [name for name, value in row.inputs.items() if value is not None and len(value)]
        lost = [
            name for name, chance in zip(there, torch.rand(len(there)).tolist(), strict=True) if chance < self.dropped
        ]
        if len(lost) == len(there):  # one stays
            lost = lost[1:] if torch.rand(()) < 0.5 else lost[:-1]
        for name in lost:
            value = row.inputs[name]
            row.inputs[name] = None if isinstance(self.columns[name], Images) or value is None else value[:0]
            if name in row.terms:
                numbers, weights = row.terms[name]
                row.terms[name] = numbers[:0], weights[:0]


def singles(count: int) -> list[np.ndarray]:
    """Groups of one example each."""
    return list(np.arange(count)[:, None])
