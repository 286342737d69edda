"""Sequences whose values are made, or found in other sequences, when they are asked for."""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from mla_train.data.examples import selected


class Lazy(Sequence[Any]):
    """A sequence that makes a value when it is asked for; it is equal to a list of the same values."""

    __hash__ = None  # type: ignore[assignment]

    @abstractmethod
    def value(self, place: int) -> Any:
        """The value at a place, which is counted from 0."""

    def select(self, places: Any) -> "Sequence[Any]":
        """Some of the values; none is copied."""
        return Chosen(self, places)

    def __getitem__(self, index: Any) -> Any:
        """One value; a list of those of a slice."""
        chosen = range(len(self))[index]
        return [self.value(place) for place in chosen] if isinstance(index, slice) else self.value(chosen)

    def __iter__(self) -> Iterator[Any]:
        """The values, which a subclass may make faster when it makes all."""
        return map(self.value, range(len(self)))

    def __eq__(self, other: object) -> bool:
        is_alike = isinstance(other, Sequence) and not isinstance(other, str | bytes) and len(self) == len(other)
        return is_alike and all(own == its for own, its in zip(self, other, strict=True))  # type: ignore[call-overload]


class Mapped(Lazy):
    """A function of each value of a sequence.

    Args:
        function: Function of a value; one that can be pickled, for other processes.
        source: The sequence.
    """

    def __init__(self, function: Callable[[Any], Any], source: Sequence[Any]) -> None:
        self.function, self.source = function, source

    def __len__(self) -> int:
        return len(self.source)

    def value(self, place: int) -> Any:
        """See `Lazy`."""
        return self.function(self.source[place])

    def __iter__(self) -> Iterator[Any]:
        return map(self.function, self.source)

    def select(self, places: Any) -> "Mapped":
        """See `Lazy`."""
        return Mapped(self.function, selected(self.source, places))


class Joined(Lazy):
    """Sequences behind each other.

    Args:
        parts: The sequences.
    """

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.parts, self.ends = parts, list(accumulate(map(len, parts)))

    def __len__(self) -> int:
        return self.ends[-1]

    def value(self, place: int) -> Any:
        """See `Lazy`."""
        part = bisect_right(self.ends, place)
        return self.parts[part][place - self.ends[part]]


class Chosen(Lazy):
    """Some values of a sequence.

    Args:
        source: The sequence.
        places: Their places in it, `(values,)`.
    """

    def __init__(self, source: Sequence[Any], places: Any) -> None:
        self.source, self.places = source, np.asarray(places, np.int64)

    def __len__(self) -> int:
        return len(self.places)

    def value(self, place: int) -> Any:
        """See `Lazy`."""
        return self.source[int(self.places[place])]

    def select(self, places: Any) -> "Chosen":
        """See `Lazy`."""
        return Chosen(self.source, self.places[places])
