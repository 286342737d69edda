"""Arrays of different length in one: a million small arrays take several times the memory of their numbers."""

from collections.abc import Iterable, Sequence
from copy import copy
from itertools import islice
from typing import Any

import numpy as np

from mla_train.data.buffer import MOST_IN_MEMORY, GrowingBuffer

PIECE = 1000  # arrays that are joined at a time


class Ragged(Sequence[np.ndarray]):
    """Arrays of numbers, one behind the other.

    Args:
        arrays: Arrays of one kind of number, `(length,)` each, taken one after the other.

    Attributes:
        lengths: Length of each array, `(arrays,)`.
        starts: Place of the first number of each in the buffer, `(arrays,)`.
    """

    def __init__(self, arrays: Iterable[np.ndarray] = ()) -> None:
        source, numbers = iter(arrays), GrowingBuffer(np.int32)
        lengths = [np.zeros(0, np.int32)]
        while piece := list(islice(source, PIECE)):
            numbers.add(np.concatenate(piece))
            lengths.append(np.array(list(map(len, piece)), np.int32))
        self.buffer, self.lengths = numbers.finish(), np.concatenate(lengths)
        self.starts = self.lengths.cumsum(dtype=np.int64) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        """One array, a view; a list of those of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        start = self.starts[index]
        return self.values[start : start + self.lengths[index]]

    @property
    def values(self) -> np.ndarray:
        """Numbers of all arrays, of which a selection has some."""
        return self.buffer.numbers

    @property
    def is_large(self) -> bool:
        """Whether the numbers are too many to be held in memory."""
        return int(self.lengths.sum(dtype=np.int64)) * self.values.itemsize > MOST_IN_MEMORY

    def select(self, places: Any) -> "Ragged":
        """Some of the arrays; no number is copied."""
        return self._view(self.starts[places], self.lengths[places])

    def cut(self, size: int, even: bool = False) -> tuple["Ragged", np.ndarray]:
        """The arrays in pieces; no number is copied, and an empty array has no piece.

        Args:
            size: Largest length of a piece.
            even: Whether the pieces of an array are of nearly equal length, else all but the last are of the largest.

        Returns:
            The pieces, and the place of the array that each is a piece of, `(pieces,)`.
        """
        counts = -(-self.lengths // size)
        places = np.repeat(np.arange(len(self), dtype=np.int32), counts)
        numbers = np.arange(len(places)) - np.repeat(counts.cumsum() - counts, counts)
        whole = self.lengths[places]
        if even:  # as numpy.array_split
            share, rest = np.divmod(whole, counts[places])
            offsets, lengths = numbers * share + np.minimum(numbers, rest), share + (numbers < rest)
        else:
            offsets = numbers * size
            lengths = np.minimum(whole - offsets, size)
        return self._view(self.starts[places] + offsets, lengths.astype(np.int32)), places

    def _view(self, starts: np.ndarray, lengths: np.ndarray) -> "Ragged":
        view = copy(self)
        view.starts, view.lengths = starts, lengths
        return view
