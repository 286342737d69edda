"""What explains the prediction for one example: its units, the attention between them, and how to occlude them.

A task writes one function from a raw example to an `Explanation`; attention maps, statistics of heads and attributions are
computed from it.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class WordUnits:
    """The words of a text, the steps of a sequence of features.

    Attributes:
        labels: Words, or tokens of a short text.
    """

    labels: list[str]

    def __len__(self) -> int:
        """Number of words."""
        return len(self.labels)


@dataclass
class CellUnits:
    """The cells of an image under a grid.

    Attributes:
        image: Pixels from 0 to 255, `(channels, height, width)`.
        grid: Number of rows and columns.
    """

    image: Tensor
    grid: tuple[int, int]

    def __len__(self) -> int:
        """Number of cells, which are counted row by row."""
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
        """Number of patches."""
        return len(self.edges) - 1

    @property
    def labels(self) -> list[str]:
        """First and last step of each patch, relative to the first step of the forecast."""
        start = self.forecast_start
        return [f"{a - start} to {b - 1 - start}" for a, b in zip(self.edges, self.edges[1:], strict=False)]


Units = WordUnits | CellUnits | PatchUnits


@dataclass
class AttentionView:
    """Attention of one sequence over another in some layers.

    Attributes:
        name: Names of both for titles and files, such as "target over source".
        layers: Attention layers, from the first to the last.
        queries: Units of the sequence that attends.
        keys: Units of the sequence that is attended to.
        query_units: Index in `queries` of each token's unit, `(query_tokens,)`; -1 for none.
        key_units: Index in `keys` of each token's unit, `(key_tokens,)`; -1 for none.
        positions: Positions of tokens in self-attention, `(tokens, axes)`; NaN where a token has none.
        call: Index of the call of the layers.
        row: Index of the example in the batch of this call.
        query_weights: Weight of each query in `received`, `(query_tokens,)`; None weights all alike.
    """

    name: str
    layers: Sequence[nn.Module]
    queries: Units
    keys: Units
    query_units: Tensor
    key_units: Tensor
    positions: Tensor | None = None
    call: int = 0
    row: int = 0
    query_weights: Tensor | None = None

    def by_unit(self, weights: Tensor) -> Tensor:
        """Attention between units: the mean over the tokens of a query, the sum over those of a key.

        Args:
            weights: Attention between tokens, `(heads, query_tokens, key_tokens)`.

        Returns:
            `(heads, queries, keys)`.
        """
        members = _members(self.query_units, len(self.queries)).to(weights)
        members = members / members.sum(-1, keepdim=True).clamp(min=1)
        return members @ weights @ _members(self.key_units, len(self.keys)).to(weights).T

    def received(self, weights: Tensor) -> Tensor:
        """Attention that each key receives from all queries together, `(heads, keys)`.

        Args:
            weights: Attention between tokens, `(heads, query_tokens, key_tokens)`.
        """
        query_weights = (self.query_units >= 0).float() if self.query_weights is None else self.query_weights
        received = (query_weights / query_weights.sum()).to(weights) @ weights
        return received @ _members(self.key_units, len(self.keys)).to(weights).T


def self_attention_view(
    name: str, layers: Sequence[nn.Module], units: Units, token_units: Tensor | None = None, **options: Any
) -> AttentionView:
    """Self-attention of a sequence of tokens.

    Args:
        name: Name for titles and files.
        layers: Attention layers, from the first to the last.
        units: Units of the sequence.
        token_units: Index of each token's unit, `(tokens,)`; None makes each token a unit.
        options: Further fields of `AttentionView`.
    """
    token_units = torch.arange(len(units)) if token_units is None else token_units
    options = {"positions": torch.arange(len(token_units)).unsqueeze(1)} | options
    return AttentionView(name, layers, units, units, token_units, token_units, **options)


@dataclass
class GradientInput:
    """Numbers that the network reads of the example, with respect to which gradients are taken.

    Attributes:
        value: Value for the example, `(1, ...)`.
        baseline: Value that carries no information, of the same shape.
        gather: From such numbers to their sums over each unit, `(units,)`.
    """

    value: Tensor
    baseline: Tensor
    gather: Callable[[Tensor], Tensor]


@dataclass
class Explanation:
    """A prediction with what its explanation needs.

    Attributes:
        batch: Batch of the example alone.
        prediction: Prediction as text.
        attention: Views of attention.
        units: Units that attributions are computed for.
        occlude: From masks `(examples, units)`, False where a unit is occluded, to a batch of as many examples.
        score: From outputs to the number that is explained, `(examples,)`.
        score_name: Name of that number.
        gradient_inputs: What gradients are taken with respect to.
        outputs: Outputs of the network for other values of the gradient inputs, each `(examples, ...)`.
    """

    batch: Any
    prediction: str
    attention: list[AttentionView]
    units: list[Units]
    occlude: Callable[[np.ndarray], Any]
    score: Callable[[Any], Tensor]
    score_name: str
    gradient_inputs: list[GradientInput] = field(default_factory=list)
    outputs: Callable[[Sequence[Tensor]], Any] | None = None

    def __len__(self) -> int:
        """Number of units."""
        return sum(map(len, self.units))


def occlude_cells(cells: CellUnits, kept: np.ndarray, colour: Tensor) -> Tensor:
    """Images of which some cells have one colour.

    Args:
        cells: Units of the whole image.
        kept: False where a cell is occluded, `(images, cells)`.
        colour: Colour of occluded cells, `(channels,)`.

    Returns:
        `(images, channels, height, width)`.
    """
    is_kept = torch.from_numpy(np.asarray(kept, dtype=bool))[:, cells.cell].unsqueeze(1)
    return torch.where(is_kept, cells.image, colour.view(-1, 1, 1).to(cells.image.dtype))


def image_gradient_input(cells: CellUnits) -> GradientInput:
    """The pixels of an image; the baseline is black.

    Args:
        cells: Units of the image.
    """
    value = cells.image.unsqueeze(0).float()
    # At the mean colour all features would be zero, where the norms of the encoder are not continuous.
    baseline = torch.zeros_like(value)

    def gather(pixels: Tensor) -> Tensor:
        return torch.zeros(len(cells)).index_add(0, cells.cell.flatten(), pixels[0].sum(0).flatten())

    return GradientInput(value, baseline, gather)


@contextmanager
def replaced_output(module: nn.Module, output: Tensor) -> Iterator[None]:
    """Replaces the output of a module's first call.

    Args:
        module: Module such as an embedding.
        output: Output to return instead.
    """

    def replace(*_: Any) -> Tensor:
        hook.remove()
        return output

    hook = module.register_forward_hook(replace)
    try:
        yield
    finally:
        hook.remove()


def _members(token_units: Tensor, units: int) -> Tensor:
    """1 where a token belongs to a unit, `(units, tokens)`."""
    return (torch.arange(units).unsqueeze(1) == token_units.cpu()).float()
