"""Sequences whose values are made, or found in other sequences, when they are asked for."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from mla_train.data.examples import selected


class Mapped(Sequence[Any]):
    """A function of each value of a sequence.

    Args:
        function: Function of a value; one that can be pickled, for other processes.
        source: The sequence.
    """

    def __init__(self, function: Callable[[Any], Any], source: Sequence[Any]) -> None:
        self.function, self.source = function, source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: Any) -> Any:
        """One value; a list of those of a slice."""
        if isinstance(index, slice):
            return [self.function(value) for value in self.source[index]]
        return self.function(self.source[index])

    def select(self, places: Sequence[int]) -> "Mapped":
        """Some of the values."""
        return Mapped(self.function, selected(self.source, places))


class Joined(Sequence[Any]):
    """Sequences behind each other, of which none is copied.

    Args:
        parts: The sequences.
    """

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.parts, self.ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, index: Any) -> Any:
        """One value; a list of those of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        part = bisect_right(self.ends, place)
        return self.parts[part][place - self.ends[part]]
