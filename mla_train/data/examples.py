"""Raw examples as a reader gives them, before anything is cleaned, cut or learned."""

from dataclasses import dataclass, field
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
    """

    inputs: dict[str, Any]
    targets: Any
    names: list[str] = field(default_factory=list)
    sequence: np.ndarray | None = None


@dataclass
class RawData:
    """What a reader gives.

    Attributes:
        splits: Examples of "train", and of "val" and "test" where the data brings them.
        notes: Lines for the user: what was read, left out, guessed.
        classes: Names of classes that are given as numbers; None takes labels as they are.
    """

    splits: dict[str, Examples]
    notes: list[str] = field(default_factory=list)
    classes: list[str] | None = None
