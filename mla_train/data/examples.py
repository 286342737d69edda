"""Raw examples as a reader gives them, before anything is cleaned, cut or learned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


@dataclass
class Examples:
    """Raw examples of a split.

    Attributes:
        inputs: Raw values of each input by name, one an example; None is missing.
        targets: Raw targets, one an example.
        names: Name of each example, such as its file or row; empty where they have none.
        sequence: Number of the sequence of each example, whose examples stand in order; None where there are none.
        groups: Group of each example, which stays in one split, as the data has it; None where there are none.
        times: Time of each example, as the data has it; None where splits are not cut by time.
    """

    inputs: dict[str, Any]
    targets: Any
    names: Sequence[str] = ()
    sequence: np.ndarray | None = None
    groups: list[Any] | None = None
    times: list[Any] | None = None

    def select(self, places: np.ndarray) -> "Examples":
        """Some of the examples."""
        return replace(
            self,
            inputs={name: selected(values, places) for name, values in self.inputs.items()},
            targets=selected(self.targets, places),
            names=selected(self.names, places) if self.names else (),
            **{
                key: None if getattr(self, key) is None else selected(getattr(self, key), places)
                for key in ("sequence", "groups", "times")
            },
        )


LABEL = "label"
"""Name of the column of labels, or of texts to be written, among those of inputs."""


class TableSeries(np.ndarray):
    """A series that knows the columns of its table.

    Attributes:
        formats: Columns that it was read from, in order, and how the numbers of each are written; None where that does not show.
        time_format: How the times of its steps were read where there are several ways, as `data.time_format` names it.
    """

    formats: Mapping[str, Sequence[str] | None] = {}
    time_format: str = ""


@dataclass
class RawData:
    """What a reader gives.

    Attributes:
        splits: Examples of "train", and of "val" and "test" where the data brings them.
        notes: Lines for the user: what was read, left out, guessed.
        classes: Names of classes that are given as numbers; None takes labels as they are.
            columns: Column of the training table that each input was read from, and that of the labels as `LABEL`.
        most_share: Largest share of train that is cut off for val, and for test, where the user names none.
    """

    splits: dict[str, Examples]
    notes: list[str] = field(default_factory=list)
    classes: list[str] | None = None
    columns: dict[str, str] = field(default_factory=dict)
    most_share: float = 1.0


def selected(values: Any, places: Any) -> Any:
    """Some of an array, a tensor, a list, or of what selects by itself."""
    if hasattr(values, "shape"):
        return values[places]
    return values.select(places) if hasattr(values, "select") else [values[place] for place in places]
