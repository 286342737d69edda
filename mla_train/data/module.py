"""The base of data sets."""

from typing import Any, Protocol

import numpy as np

from mla_train.config import TrainConfig
from mla_train.data.batch import Batch


class Examples(Protocol):
    """A split: examples by their place."""

    def __len__(self) -> int:
        """Number of examples."""

    def __getitem__(self, index: int) -> Any:
        """One example."""


class DataModule:
    """A data set of a task, in three splits.

    A subclass writes `setup`, which sets `facts` and the three splits, and `collate`. A split is any sequence of
    examples; `train` may vary its examples with torch's random numbers, which are seeded for each example from
    (seed, epoch, index). How the data is split depends on `split_seed`, never on `seed`.

    Args:
        config: The whole run's; `config.data` holds the data set's own options.

    Attributes:
        facts: What the network must know of the data (classes, channels, vocabulary): a dataclass of plain values.
        train: Examples to learn from.
        val: Examples to choose by.
        test: Examples to report on, used once.
        notes: What the user should know of how the data was read: parts that were cut, files that were left out.
    """

    facts: Any
    train: Examples
    val: Examples
    test: Examples

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.notes: list[str] = []

    def setup(self) -> None:
        """Reads and splits the data; called once.

        Raises:
            UserError: The data is not as it must be.
        """
        raise TypeError(f"{type(self).__name__} must write setup()")

    def count(self, split: str, items: int | None = None) -> int:
        """Examples of a split that are scored; more than its items where these are sequences of examples.

        Args:
            split: "train", "val" or "test".
            items: How many of its items, from the first; None is all.
        """
        return len(range(len(getattr(self, split)))[:items])

    even_tokens: bool = False
    """Whether batches hold as many tokens each instead of as many examples, where there are lengths."""

    pool: int = 50
    """Batches whose examples are sorted by length together: more leaves less padding and less chance."""

    def lengths(self, split: str) -> np.ndarray | None:
        """Length of each example of a split in tokens; given, batches are made of examples of similar length.

        Args:
            split: "train", "val" or "test".
        """
        return None

    def collate(self, examples: list[Any], training: bool) -> Batch:
        """Makes a batch of examples.

        Args:
            examples: Items of a split.
            training: Whether they are to be learnt from; examples may then be mixed with each other.
        """
        raise TypeError(f"{type(self).__name__} must write collate()")
