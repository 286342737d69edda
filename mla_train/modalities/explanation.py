"""What explains one example of a modality: its units, their occlusion, and the inputs of gradients."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.data.batch import Batch


@dataclass
class WordUnits:
    """The words of a text, the steps of a sequence of features.

    Attributes:
        labels: Words, or tokens of a short text.
    """

    labels: list[str]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass
class CellUnits:
    """The cells of an image under a grid, counted row by row.

    Attributes:
        image: Pixels from 0 to 255, `(channels, height, width)`.
        grid: Number of rows and columns.
        name: What the image is.
    """

    image: Tensor
    grid: tuple[int, int]
    name: str = "image"

    def __len__(self) -> int:
        return self.grid[0] * self.grid[1]

    @property
    def labels(self) -> list[str]:
        """Row and column of each cell."""
        return [f"row {row + 1}, column {column + 1}" for row in range(self.grid[0]) for column in range(self.grid[1])]

    @property
    def cell(self) -> Tensor:
        """The cell of each pixel, `(height, width)`."""
        (rows, columns), (height, width) = self.grid, self.image.shape[-2:]
        down, across = torch.arange(height) * rows // height, torch.arange(width) * columns // width
        return down.unsqueeze(1) * columns + across


@dataclass
class PatchUnits:
    """The patches of a series.

    Attributes:
        values: The series in its own unit, `(steps,)`; NaN where a value is missing.
        edges: First step of each patch, and the end of the last one, `(1 + patches)`.
        forecast_start: First step of the forecast.
        name: Name of the series.
    """

    values: np.ndarray
    edges: list[int]
    forecast_start: int
    name: str

    def __len__(self) -> int:
        return len(self.edges) - 1

    @property
    def labels(self) -> list[str]:
        """First and last step of each patch, relative to the first step of the forecast."""
        start = self.forecast_start
        return [f"{a - start} to {b - 1 - start}" for a, b in pairwise(self.edges)]


Units = WordUnits | CellUnits | PatchUnits


@dataclass
class GradientInput:
    """Numbers that the network reads of the example, with respect to which gradients are taken.

    Attributes:
        value: Value for the example, `(1, ...)`.
        baseline: Value that carries no information, of the same shape.
        gather: Function from such numbers to their sums over each unit, `(units,)`.
        put: Function that replaces the numbers with values for a batch, `(examples, ...)`; the stack undoes it.
    """

    value: Tensor
    baseline: Tensor
    gather: Callable[[Tensor], Tensor]
    put: Callable[[ExitStack, Batch, Tensor], None]


@dataclass
class InputExplanation:
    """One input of an example.

    Attributes:
        units: Units that attributions are computed for.
        token_units: Index of each token's unit, `(tokens,)`; -1 for none.
        positions: Positions of tokens, `(tokens, axes)`.
        occlude: Function from masks `(examples, units)`, False where a unit is occluded, to raw values of as many examples.
        gradient_inputs: Numbers with respect to which gradients are taken.
        attended: Units of attention maps; None where they are the same.
        row: Index of the example in the batch that the encoder reads.
    """

    units: Units
    token_units: Tensor
    positions: Tensor
    occlude: Callable[[np.ndarray], list[Any]]
    gradient_inputs: list[GradientInput] = field(default_factory=list)
    attended: Units | None = None
    row: int = 0


def put_tensor(name: str, field_name: str) -> Callable[[ExitStack, Batch, Tensor], None]:
    """A `GradientInput.put` for a tensor of the batch of an input, by the name of its field."""

    def put(_: ExitStack, batch: Batch, values: Tensor) -> None:
        setattr(batch.inputs[name], field_name, values)

    return put


@contextmanager
def replaced_output(module: nn.Module, output: Tensor) -> Iterator[None]:
    """Replaces the output of the first call of a module, such as an embedding."""

    def replace(*_: Any) -> Tensor:
        hook.remove()
        return output

    hook = module.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()
