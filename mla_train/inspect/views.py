"""An example as people see it: words, cells of a picture, patches of a series; what looks at what, what can be taken out.

A task writes one function from raw input to a `View`; all maps, statistics and attributions are made of that.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class Words:
    """A text.

    Attributes:
        labels: Words, or tokens where these are shown.
    """

    labels: list[str]

    def __len__(self) -> int:
        """Number of words."""
        return len(self.labels)


@dataclass
class Cells:
    """A picture, cut by a grid.

    Attributes:
        picture: 0 to 255, `(channels, height, width)`.
        grid: Rows and columns.
    """

    picture: Tensor
    grid: tuple[int, int]

    def __len__(self) -> int:
        """Number of cells, row by row."""
        return self.grid[0] * self.grid[1]

    @property
    def labels(self) -> list[str]:
        """Row and column of each cell."""
        return [f"row {row + 1}, column {column + 1}" for row in range(self.grid[0]) for column in range(self.grid[1])]

    @property
    def cell(self) -> Tensor:
        """In which cell each pixel lies, `(height, width)`."""
        (rows, columns), (height, width) = self.grid, self.picture.shape[-2:]
        down, across = torch.arange(height) * rows // height, torch.arange(width) * columns // width
        return down.unsqueeze(1) * columns + across


@dataclass
class Patches:
    """A series, cut into patches.

    Attributes:
        values: In the unit of the series, `(steps,)`; NaN where nothing is measured yet.
        edges: Steps at which patches begin, and the last one's end, `(1 + patches)`.
        now: The first step that is forecast.
        name: Of the series.
    """

    values: np.ndarray
    edges: list[int]
    now: int
    name: str

    def __len__(self) -> int:
        """Number of patches."""
        return len(self.edges) - 1

    @property
    def labels(self) -> list[str]:
        """First and last step of each patch, counted from the first that is forecast."""
        return [f"{a - self.now} to {b - 1 - self.now}" for a, b in zip(self.edges, self.edges[1:], strict=False)]


Shown = Words | Cells | Patches


@dataclass
class Look:
    """One sequence that looks at another in each of some layers.

    Attributes:
        name: Of both, for titles and names of files, such as "target over source".
        layers: Attention layers, from the first to the last.
        queries: What looks.
        keys: What is looked at.
        query_of: To which part of `queries` each token belongs, `(query_tokens,)`; -1 leaves it out.
        key_of: Likewise.
        places: Of the tokens if both sequences are one, `(tokens, axes)`; NaN where a token has none.
        call: Which call of the layers is meant.
        row: Which row of the batch of this call.
        asked: How much each token's look counts where all are summed up, `(query_tokens,)`; None: all alike.
    """

    name: str
    layers: Sequence[nn.Module]
    queries: Shown
    keys: Shown
    query_of: Tensor
    key_of: Tensor
    places: Tensor | None = None
    call: int = 0
    row: int = 0
    asked: Tensor | None = None

    def merged(self, weights: Tensor) -> Tensor:
        """From tokens to what is shown: mean over the tokens that look, sum over those that are looked at.

        Args:
            weights: `(heads, query_tokens, key_tokens)`.

        Returns:
            `(heads, queries, keys)`.
        """
        looks = _members(self.query_of, len(self.queries)).to(weights)
        looks = looks / looks.sum(-1, keepdim=True).clamp(min=1)
        return looks @ weights @ _members(self.key_of, len(self.keys)).to(weights).T

    def summed(self, weights: Tensor) -> Tensor:
        """How much each key is looked at by all queries together, `(heads, keys)`.

        Args:
            weights: `(heads, query_tokens, key_tokens)`.
        """
        asked = (self.query_of >= 0).float() if self.asked is None else self.asked
        received = (asked / asked.sum()).to(weights) @ weights
        return received @ _members(self.key_of, len(self.keys)).to(weights).T


def self_look(name: str, layers: Sequence[nn.Module], shown: Shown, of: Tensor | None = None, **more: Any) -> Look:
    """A sequence that looks at itself, its tokens one behind the other.

    Args:
        name: See `Look`.
        layers: See `Look`.
        shown: The sequence.
        of: To which part of it each token belongs; None: each is one.
        more: See `Look`.
    """
    of = torch.arange(len(shown)) if of is None else of
    more = {"places": torch.arange(len(of)).unsqueeze(1)} | more
    return Look(name, layers, shown, shown, of, of, **more)


@dataclass
class Leaf:
    """Numbers that the network reads of the example, from which gradients are taken.

    Attributes:
        value: `(1, ...)`.
        blank: What stands there when nothing is said, of the same shape.
        gather: From such numbers to their sums over each unit, `(units,)`.
    """

    value: Tensor
    blank: Tensor
    gather: Callable[[Tensor], Tensor]


@dataclass
class View:
    """An example with all that can be asked about it.

    Attributes:
        batch: The example alone.
        said: What the model says of it.
        looks: Where attention can be watched.
        units: What an answer is attributed to.
        without: From masks `(examples, units)`, True where a unit stays, to a batch of so many examples.
        score: From outputs to the number that is explained, `(examples,)`.
        scored: What that number is.
        leaves: What gradients are taken from.
        outputs: The network's outputs for other values of the leaves, each `(examples, ...)`.
    """

    batch: Any
    said: str
    looks: list[Look]
    units: list[Shown]
    without: Callable[[np.ndarray], Any]
    score: Callable[[Any], Tensor]
    scored: str
    leaves: list[Leaf] = field(default_factory=list)
    outputs: Callable[[Sequence[Tensor]], Any] | None = None

    def __len__(self) -> int:
        """Number of units."""
        return sum(map(len, self.units))


def with_cells(cells: Cells, kept: np.ndarray, mean: Tensor) -> Tensor:
    """Pictures of which some cells are blank.

    Args:
        cells: The whole picture.
        kept: True where a cell stays, `(pictures, cells)`.
        mean: Colour of blank ones, `(channels,)`.

    Returns:
        `(pictures, channels, height, width)`.
    """
    stays = torch.from_numpy(np.asarray(kept, dtype=bool))[:, cells.cell].unsqueeze(1)
    return torch.where(stays, cells.picture, mean.view(-1, 1, 1).to(cells.picture.dtype))


def picture_leaf(cells: Cells) -> Leaf:
    """The pixels of a picture; blank is black.

    Args:
        cells: Of the picture.
    """
    value = cells.picture.unsqueeze(0).float()
    # At the mean colour all that follows would be zero, where the encoder's norms leap.
    blank = torch.zeros_like(value)

    def gather(found: Tensor) -> Tensor:
        return torch.zeros(len(cells)).index_add(0, cells.cell.flatten(), found[0].sum(0).flatten())

    return Leaf(value, blank, gather)


@contextmanager
def replaced(module: nn.Module, output: Tensor) -> Iterator[None]:
    """Lets the first call of a module give something else.

    Args:
        module: An embedding, say.
        output: What it gives.
    """

    def give(*_: Any) -> Tensor:
        hook.remove()
        return output

    hook = module.register_forward_hook(give)
    try:
        yield
    finally:
        hook.remove()


def _members(of: Tensor, parts: int) -> Tensor:
    """Which tokens belong to each part, `(parts, tokens)`."""
    return (torch.arange(parts).unsqueeze(1) == of.cpu()).float()
