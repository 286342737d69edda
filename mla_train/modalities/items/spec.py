"""What a network must know of items, and what it reads of histories."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor

PADDING = 0
"""Number of what is no item; those of items begin at 1."""
SHOWN = 1000


@dataclass
class ItemSpec:
    """The catalogue: items of the training split, the most popular first.

    Attributes:
        catalogue: Name of each item.
        counts: Number of training users of each.
        users: Number of training users.
        longest: Number of items of the longest training history.
        max_length: Number of items of a history that the encoder reads, the newest.
        gaps: Whether the time since the item before is read, too.
    """

    carried: ClassVar = ("catalogue", "counts", "users", "longest", "gaps")

    catalogue: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    users: int = 0
    longest: int = 0
    max_length: int = 200
    gaps: bool = False

    @property
    def popular(self) -> list[str]:
        """The most popular items, to choose from."""
        return self.catalogue[:SHOWN]


@dataclass
class ItemTensors:
    """A batch of histories.

    Attributes:
        items: Numbers of the newest items of each history, padded with 0 behind them, `(batch, length)`.
        padding: True at padding, `(batch, length)`.
        seen: Numbers of all items of each user that are known, padded with 0, `(batch, seen_length)`.
        after: Item behind a window of a longer history, `(batch,)`; 0 where the history ends with it. None in an exported
            graph.
        gaps: Class of the time since the item before, `(batch, length)`; None where times are not read.
        unknown: Names in each history that are no items of the catalogue; None in training.
    """

    items: Tensor
    padding: Tensor
    seen: Tensor
    after: Tensor | None = None
    gaps: Tensor | None = None
    unknown: list[list[str]] | None = None
