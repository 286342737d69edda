"""Arrays of different length in one: a million small arrays take several times the memory of their numbers."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np

PIECE = 1000  # arrays that are joined at a time


class Ragged(Sequence[np.ndarray]):
    """Arrays of numbers, one behind the other.

    Args:
        arrays: Arrays of one kind of number, `(length,)` each, taken one after the other.
    """

    def __init__(self, arrays: Iterable[np.ndarray] = ()) -> None:
        source, parts = iter(arrays), [np.zeros(0, np.int32)]
        lengths: list[int] = []
        while piece := list(islice(source, PIECE)):
            parts.append(np.concatenate(piece))
            lengths += map(len, piece)
        self.values = np.concatenate(parts)
        self.lengths = np.array(lengths, np.int32)
        self.ends = self.lengths.cumsum(dtype=np.int64)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        """One array, a view; a list of those of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        end = self.ends[place]
        return self.values[end - self.lengths[place] : end]
