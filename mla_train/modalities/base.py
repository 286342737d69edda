"""What a kind of input must offer: the way from raw values to tensors, and from tensors to tokens.

    training, evaluation      raw values --load--> Column --fit--> spec, then --prepare--> Column --collate--> tensors
    prediction, explanation   raw values --preprocess--> Column --collate--> tensors

`preprocess` is `load` and `prepare` for a few values, with the spec that `fit` has learned: both give the same tensors.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Self, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.config import Augmentation, TrainConfig
from mla_train.errors import UserError
from mla_train.modalities.explanation import InputExplanation
from mla_train.nn import ReconstructionInput, ReconstructionTarget

Spec = TypeVar("Spec")


class Column(ABC):
    """The values of one input over a split, in memory. A value may be missing.

    Attributes:
        broken: Places of values that cannot be read; a mapping says of each what is wrong.
        known: Spec of the input in a run that this one starts from, whose `carried` values are not learned anew; None where
            all is learned.
        is_large: Whether the values may be more than the memory holds, so that none but the network walks over all of them.
    """

    broken: Sequence[int] | Mapping[int, str] = ()
    known: Any = None
    is_large: ClassVar[bool] = False

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def __getitem__(self, index: int) -> Any:
        """One example as `Modality.collate` takes it; None where it is missing."""

    @abstractmethod
    def select(self, index: np.ndarray) -> Self:
        """The column of some examples."""

    @abstractmethod
    def is_missing(self) -> np.ndarray:
        """True where an example lacks this input, `(examples,)`."""

    @abstractmethod
    def raw(self, index: int) -> Any:
        """One example as `Modality.preprocess` takes it."""

    def lengths(self) -> np.ndarray | None:
        """Number of tokens of each example; None where all are alike."""
        return None

    def keys(self) -> Sequence[Any] | None:
        """Values that are equal for what the data names twice, such as a file; None where repeats are not counted."""
        return None

    def contents(self) -> Sequence[Any] | None:
        """Values that are equal for equal examples, also for two files of one content; None where they are not compared."""
        return self.keys()

    def recorded(self) -> Any:
        """What the fingerprint of a run records: what the examples are, whatever their files are called."""
        contents = self.contents()
        return self if contents is None else contents


@dataclass
class ListColumn(Column):
    """Values of different length.

    Attributes:
        values: A text or an array for each example; a missing one is empty.
        broken: Places of values that cannot be read.
    """

    values: list[Any]
    broken: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Any:
        """One value; None where it is empty."""
        value = self.values[index]
        return value if len(value) else None

    def select(self, index: np.ndarray) -> Self:
        """The column of some examples."""
        return replace(self, values=[self.values[i] for i in index], broken=[])

    def is_missing(self) -> np.ndarray:
        """True where a value is empty, `(examples,)`."""
        return np.array([not len(value) for value in self.values], dtype=bool)

    def lengths(self) -> np.ndarray | None:
        """Length of each value."""
        return np.array([len(value) for value in self.values])

    def raw(self, index: int) -> Any:
        """One value."""
        return self.values[index]


class Modality(ABC, Generic[Spec]):
    """One input of a model: its kind, and what is known of the data.

    Args:
        spec: Plain values that the network must know of the data, kept with the model.

    Attributes:
        kind: Name of the kind of input.
        spec_class: Dataclass of the spec.
        embedding_class: Network part that makes tokens.
        fit_notes: Lines for the user: what `fit` has chosen.
    """

    kind: ClassVar[str]
    spec_class: ClassVar[type]
    embedding_class: ClassVar[type["Embedding"]]
    fit_notes: Sequence[str] = ()

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @classmethod
    @abstractmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> Any:
        """Brings raw values into memory, before anything is learned from them.

        Args:
            values: Raw values of all splits, one an example; None is missing.
            names: Name of each example, for messages.
            options: `data` options of the run.
            notes: Lines for the user; changes of the values are added.

        Returns:
            A column. A value that cannot be read is missing in it and named in its `broken`.
        """

    @classmethod
    @abstractmethod
    def fit(cls, train: Any, options: Any) -> Self:
        """Learns the spec from the training split, a column as `load` gives it."""

    def prepare(self, column: Any, notes: list[str]) -> Any:
        """Turns a column as `load` gives it into one whose examples can be collated."""
        return column

    @abstractmethod
    def preprocess(self, values: Sequence[Any]) -> Any:
        """Reads raw values as the training data was read.

        Args:
            values: Raw values, one an example; None is missing.

        Raises:
            UserError: A value cannot be read.
        """

    @abstractmethod
    def collate(self, examples: Sequence[Any]) -> Any:
        """Makes a batch of examples of a column; missing ones are padding throughout."""

    def augmentation(self, level: Augmentation, options: Any) -> Callable[[Any], Any] | None:
        """Random variation of a training example; None is none."""
        return None

    def explain(self, name: str, embedding: Any, tensors: Any, raw: Any) -> InputExplanation:
        """Units of one example, and how they are occluded.

        Args:
            name: Name of the input.
            embedding: Embedding of the input.
            tensors: Batch of the example alone.
            raw: Raw value of the example.

        Raises:
            UserError: This kind of input is not explained.
        """
        raise UserError(f"inputs of kind {self.kind} have no explanation: write explain() of {type(self).__name__}")

    @classmethod
    @abstractmethod
    def example_values(cls, count: int) -> Any:
        """A few made raw values, for tests of every choice."""

    def embedding(self, config: TrainConfig) -> "Embedding":
        """The module that makes tokens of a batch."""
        return self.embedding_class(config, self.spec)


@dataclass
class ModalityFeatures:
    """Features that the network computes from one input.

    Attributes:
        tokens: `(batch, length, dim)`, before or after the encoder; None where the encoder is left out.
        padding: True at padding, `(batch, length)`; None where there is none.
        positions: Rows and columns of image tokens, `(length, 2)`, or places in several sequences, `(length,)`; None
            counts from 0.
        side: Features of the paths beside the encoder, `(batch, side_dim)`; None where there are none.
        context: Further values that the head needs.
        windows: Number of the example that each row of tokens is a window of, `(rows,)`; None where each row is an example.
        ids: Number of each token in a vocabulary, 0 at padding, `(batch, length)`; None where tokens have none.
    """

    tokens: Tensor | None
    padding: Tensor | None = None
    positions: Tensor | None = None
    side: Tensor | None = None
    context: Any = None
    windows: Tensor | None = None
    ids: Tensor | None = None

    def without(self) -> "ModalityFeatures":
        """The same as if the input were missing throughout."""
        padding = self.padding
        if padding is None and self.tokens is not None:
            padding = torch.zeros(self.tokens.shape[:2], dtype=torch.bool, device=self.tokens.device)
        side = None if self.side is None else torch.zeros_like(self.side)
        return replace(self, padding=None if padding is None else torch.ones_like(padding), side=side)


def mean_of_windows(rows: Tensor, windows: Tensor | None) -> Tensor:
    """Mean of the rows `(rows, width)` of each example, `(batch, width)`; see `ModalityFeatures.windows`."""
    if windows is None:
        return rows
    counts = torch.bincount(windows).unsqueeze(1)
    return rows.new_zeros(len(counts), rows.size(1)).index_add(0, windows, rows) / counts


@torch.no_grad()
def hold_linear(table: Tensor, weight: Tensor) -> Tensor:
    """Lets a table of vectors hold a linear model beside what else is in it.

    Args:
        table: Vector of each feature, `(features, width)`, changed in place.
        weight: Linear model, `(features, outputs)`.

    Returns:
        Directions by which the table is multiplied to give the linear model, `(width, outputs)`.
    """
    directions, _ = torch.linalg.qr(torch.randn(table.size(1), weight.size(1)))
    directions = directions.to(table)
    table -= table @ directions @ directions.T
    table += weight.to(table) @ directions.T
    return directions


class Embedding(nn.Module):
    """Tokens of one input, and paths beside the encoder; made from the whole run's config and the spec of the input.

    Attributes:
        side_paths: Modules whose outputs skip the encoder; counted apart from it.
        side_dim: Width of their outputs.
        axes: Axes along which tokens lie: 1 for sequences, 2 for images.
        rotary_axes: Axes of rotary positions: those, or 0 where positions are added to tokens.
        linear_width: Most outputs of a linear model that a side path can hold; 0 is none.
        reconstruction_size: Size of what `encoder.masked_modeling` predicts of a token: of the vocabulary, or number of
            values.
        patch: Side of a token that is a patch, in steps or pixels.
    """

    side_paths: nn.ModuleDict
    axes: ClassVar[int] = 1
    rotary_axes: int = 1
    side_dim: int = 0
    linear_width: int = 0
    reconstruction_size: int
    patch: int

    def init_from_data(self, train: Any) -> None:
        """Sets weights that are computed from the training column, before the first step."""

    def side_table(self, column: Any) -> Any:
        """What the side path for a linear model reads of a prepared column: an array or sparse matrix, `(examples, features)`."""
        raise NotImplementedError

    def set_linear(self, weight: Tensor) -> Tensor:
        """Lets the side path hold a linear model `(features, outputs)` of its table.

        Returns:
            What its output has to be multiplied by, `(width, outputs)`.
        """
        raise NotImplementedError

    def reconstruction_target(self, tensors: Any) -> ReconstructionTarget:
        """What `encoder.masked_modeling` predicts: tokens or numbers that the encoder reads, where they are known."""
        raise NotImplementedError

    def hide(self, tensors: Any, hidden: Tensor) -> Any:
        """Tensors whose hidden tokens, `(batch, length)`, cannot be told from what is left."""
        raise NotImplementedError

    def scale_of(self, features: ModalityFeatures) -> tuple[Tensor, Tensor] | None:
        """Mean and standard deviation by which the numbers of each token were scaled, `(batch, length, reconstruction_size)`.

        None where all examples have those of the data.
        """
        return None

    def cut(self, values: Tensor) -> Tensor:
        """Values in the shape of the input, `(batch, channels, ...)`, as those of tokens, `(batch, length, reconstruction_size)`."""
        raise NotImplementedError

    def join(self, values: Tensor) -> Tensor:
        """The reverse of `cut`: values of tokens in the shape of the input."""
        raise NotImplementedError

    def reconstruction_input(self) -> ReconstructionInput:
        """Size and target of masked modeling."""
        return ReconstructionInput(self.reconstruction_size, self.reconstruction_target)

    def count_tokens(self, tensors: Any) -> int:
        """Number of tokens in a batch without padding."""
        return int((~tensors.padding).sum())
