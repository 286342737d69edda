"""From histories, lists of names or of pairs of name and time, to numbers of items."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, NamedTuple, Self

import numpy as np
import torch

from mla_train.config import Augmentation
from mla_train.data.batch import pad_stack
from mla_train.data.tables.cells import as_label, is_empty, written_list
from mla_train.errors import UserError
from mla_train.modalities.base import ListColumn, Modality
from mla_train.modalities.explanation import InputExplanation, WordUnits
from mla_train.modalities.items.embed import GAPS, ItemEmbedding
from mla_train.modalities.items.events import SEPARATOR
from mla_train.modalities.items.spec import PADDING, ItemSpec, ItemTensors

LATEST = 1e11
"""Seconds since 1970 of the year 5138: a later time is in another unit."""


class ItemExample(NamedTuple):
    """A history as a batch is made of it.

    Attributes:
        items: Numbers of the items, `(length,)`.
        gaps: Class of the time since the item before, `(length,)`.
        seen: Numbers of all items of the user, `(items,)`.
        after: Number of the item behind the last; 0 where there is none in the history.
        unknown: Names that are no items of the catalogue.
    """

    items: np.ndarray
    gaps: np.ndarray
    seen: np.ndarray
    after: int = PADDING
    unknown: Sequence[str] = ()


@dataclass
class ItemColumn(ListColumn):
    """Histories of a split; one without items is missing in training.

    Attributes:
        values: Names of the items of each history, or rows of name and time, `(length,)` or `(length, 2)`.
        examples: The same as numbers.
    """

    examples: list[ItemExample] = field(default_factory=list)

    def __getitem__(self, index: int) -> ItemExample:
        """One history."""
        return self.examples[index]

    def select(self, index: np.ndarray) -> Self:
        """Some of the histories."""
        return replace(super().select(index), examples=[self.examples[i] for i in index] if self.examples else [])

    def lengths(self) -> np.ndarray:
        """Number of items of each history that the network knows."""
        return np.array([len(each.items) for each in self.examples] or [len(each) for each in self.values])

    def raw(self, index: int) -> list[Any]:
        """One history as lists."""
        return self.values[index].tolist()


class Items(Modality[ItemSpec]):
    """Histories of items: a list of names, the newest last, or of pairs of name and time in seconds."""

    kind = "items"
    spec_class = ItemSpec
    embedding_class = ItemEmbedding

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each item."""
        return {name: number for number, name in enumerate(self.spec.catalogue, 1)}

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> ItemColumn:
        """Takes histories as arrays; those of objects are names and times already."""
        is_read = [isinstance(value, np.ndarray) and value.dtype == object for value in values]
        return ItemColumn([v if read else read_history(v) for v, read in zip(values, is_read, strict=True)])

    @classmethod
    def fit(cls, train: ItemColumn, options: Any) -> Self:
        """Learns the catalogue from the training split."""
        if train.known is not None:
            return cls(replace(train.known, max_length=options.max_length))
        counts = Counter(name for history in train.values for name in names_of(history))
        catalogue = sorted(counts, key=lambda name: (-counts[name], name))
        users = [counts[name] for name in catalogue]
        longest = max(map(len, train.values))
        return cls(ItemSpec(catalogue, users, len(train), longest, options.max_length, options.gaps))

    def prepare(self, column: ItemColumn, notes: list[str]) -> ItemColumn:
        """Numbers of the items; those that are not in the catalogue are left out."""
        examples = [self._example(history) for history in column.values]
        unknown = sum(len(each.unknown) for each in examples)
        if unknown:
            notes.append(
                f"{unknown:,} of {sum(map(len, column.values)):,} items in histories are not in the catalogue: the network does not "
                "read them"
            )
        return replace(column, examples=examples)

    def _example(self, history: np.ndarray) -> ItemExample:
        known = np.array([self.numbers.get(name, PADDING) for name in names_of(history)], np.int64)
        kept = known > PADDING
        gaps = np.zeros(len(known), np.int64)
        if self.spec.gaps and len(known):
            if history.ndim == 1:
                raise UserError(
                    f"this model reads times: write each item as a pair of name and time in seconds, such as [{history[0]!r}, 0]"
                )
            gaps = gap_classes(history[:, 1].astype(float))
        unknown = [name for name, is_known in zip(names_of(history), kept, strict=True) if not is_known]
        return ItemExample(known[kept], gaps[kept], known[kept], unknown=unknown)

    def preprocess(self, values: Sequence[Any]) -> ItemColumn:
        """Reads histories; an empty one is that of a new user."""
        histories = [read_history(value) for value in values]
        for history in histories if self.spec.gaps else ():
            late = history[-1, 1] if history.ndim == 2 and len(history) else 0.0
            if late > LATEST:
                raise UserError(f"{late:.0f} is no time in seconds since 1970: milliseconds are divided by 1000")
        return ItemColumn(histories, [], [self._example(history) for history in histories])

    def collate(self, examples: Sequence[ItemExample | None]) -> ItemTensors:
        """Pads the newest items of histories."""
        none = np.zeros(0, np.int64)
        nothing = ItemExample(none, none, none)
        rows = [nothing if example is None else example for example in examples]
        longest = self.spec.max_length
        items, padding = pad_stack([torch.from_numpy(row.items[-longest:]) for row in rows])
        seen, _ = pad_stack([torch.from_numpy(row.seen) for row in rows])
        after = torch.tensor([row.after for row in rows])
        gaps = pad_stack([torch.from_numpy(row.gaps[-longest:]) for row in rows])[0] if self.spec.gaps else None
        return ItemTensors(items, padding, seen, after, gaps, [list(row.unknown) for row in rows])

    def augmentation(self, level: Augmentation, options: Any) -> Callable[[ItemExample], ItemExample]:
        """A random window of a long history."""
        return partial(_window, size=self.spec.max_length)

    def explain(self, name: str, embedding: Any, tensors: ItemTensors, raw: Any) -> InputExplanation:
        """Items as units, which are left out."""
        history = read_history(raw)
        known = [place for place, item in enumerate(names_of(history)) if item in self.numbers]
        kept = np.array(known[-self.spec.max_length :])
        units = WordUnits([names_of(history)[place] for place in kept])

        def occlude(masks: np.ndarray) -> list[Any]:
            return [history[kept[mask]] for mask in masks.astype(bool)]

        places = torch.arange(len(units))
        return InputExplanation(units, places, places.unsqueeze(1), occlude)

    @classmethod
    def example_values(cls, count: int) -> list[list[tuple[str, float]]]:
        """Short histories of a few items."""
        return [[(f"item {(i + 2 * step) % 7}", 60.0 * step) for step in range(1 + i % 4)] for i in range(count)]


def _window(example: ItemExample, size: int) -> ItemExample:
    """A random part of so many items of a history."""
    room = len(example.items) - size
    if room <= 0:
        return example
    end = size + int(torch.rand(()) * (room + 1))
    after = int(example.items[end]) if end < len(example.items) else PADDING
    return example._replace(items=example.items[end - size : end], gaps=example.gaps[end - size : end], after=after)


def names_of(history: np.ndarray) -> Sequence[str]:
    """Names of the items of a history."""
    return list(history if history.ndim == 1 else history[:, 0])


def read_history(value: Any) -> np.ndarray:
    """A history as an array of names `(length,)`, or of rows of name and time `(length, 2)`, each item where it is first, as in training.

    Args:
        value: Names, pairs of name and time, such a list as JSON, or a text with a bar between names; None and an empty text
            are nothing.

    Raises:
        UserError: The value is something else.
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str) and value.lstrip().startswith("["):
        written = written_list(value)
        value = value if written is None else written
    if value is None or isinstance(value, str):
        value = [name for name in (value or "").split(SEPARATOR) if not is_empty(name)]
    if not isinstance(value, list | tuple):
        raise UserError(f"a history is a list of items, the newest last, not {value!r:.60}")
    pairs = [item for item in value if isinstance(item, list | tuple) and len(item) == 2]
    if pairs and len(pairs) < len(value):
        raise UserError(f"a history holds items, or a pair of item and time for each, not both: {value!r:.60}")
    history = np.empty((len(value), 2) if pairs else len(value), dtype=object)
    for place, item in enumerate(value):
        history[place] = (_name(item[0]), _seconds(item[1])) if pairs else _name(item)
    if pairs:  # also where the newest is the first
        history = history[np.argsort(history[:, 1].astype(float), kind="stable")]
    first: dict[str, int] = {}
    for place, name in enumerate(names_of(history)):
        first.setdefault(name, place)
    return history if len(first) == len(history) else history[list(first.values())]


def _name(item: Any) -> str:
    if not isinstance(item, str | int | float) or is_empty(item):
        raise UserError(f"an item is a name or a number, not {item!r:.60}")
    return as_label(item)


def _seconds(time: Any) -> float:
    with suppress(TypeError, ValueError, OverflowError):
        if np.isfinite(seconds := float(time)):
            return seconds
    raise UserError(f"the time of an item is a number of seconds, not {time!r:.60}")


def gap_classes(times: np.ndarray) -> np.ndarray:
    """Class of the time since the item before, `(length,)`: its power of two in seconds; 0 for the first."""
    gaps = np.diff(times, prepend=times[:1]).clip(min=0)
    classes = 1 + np.log2(1 + gaps).astype(np.int64)
    classes[:1] = 0
    return classes.clip(max=GAPS - 1)
