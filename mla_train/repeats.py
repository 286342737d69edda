"""Examples of equal inputs: repeated ones are left out of train, and those that stay are in one split."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from mla_train.errors import UserError
from mla_train.modalities.base import Column
from mla_train.splitting import Places


def equal_inputs(columns: Mapping[str, Column], repeated: bool = False) -> np.ndarray | None:
    """Number that examples of equal inputs share, `(examples,)`; None where they are not compared.

    Args:
        columns: Inputs by name.
        repeated: Whether only those are equal that the data names twice, and not two files of one content.
    """
    asked = [column.keys() if repeated else column.contents() for column in columns.values()]
    keys = [key for key in asked if key is not None]
    if len(keys) < len(asked):
        return None
    return numbered(keys[0] if len(keys) == 1 else zip(*keys, strict=True))


def numbered(values: Iterable[Hashable]) -> np.ndarray:
    """A number for each value that equal ones share, in the order in which they first occur, `(values,)`."""
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "iu":
        return pd.factorize(values)[0]
    numbers: dict[Hashable, int] = {}
    return np.fromiter((numbers.setdefault(value, len(numbers)) for value in values), np.int64)


def has_repeats(places: np.ndarray, equal: np.ndarray | None) -> bool:
    """Whether examples at some places have equal inputs."""
    return equal is not None and len(np.unique(equal[places])) < len(places)


def leave_out_repeats(
    rows: Places,
    repeated: np.ndarray | None,
    equal: np.ndarray | None,
    targets: Any,
    have_several: bool,
    notes: list[str],
) -> None:
    """Leaves repeated examples out of train, and counts those that splits share, and those with different targets.

    Splits are cut from train only after this, so that no example is in two of them.

    Args:
        rows: Places of each split.
        repeated: Number that examples share which the data names twice; None leaves none out.
        equal: Number that examples of equal inputs share; None compares none.
        targets: Target of each example.
        have_several: Whether equal inputs have several targets by their nature, as sentences have translations.
        notes: Lines for the user.
    """
    if equal is None:
        return
    if not (isinstance(targets, np.ndarray) and targets.ndim == 1):
        targets = [target.tobytes() if isinstance(target, np.ndarray) else target for target in targets]
    labels = numbered(targets)
    count = labels.max(initial=0) + 1
    for split, places in () if have_several or count == 1 else rows.items():
        different = np.unique(equal[places] * count + labels[places]) // count
        several = int((np.unique(different, return_counts=True)[1] > 1).sum())
        if several:
            notes.append(f"{several:,} examples of {split} occur with more than one label; all are kept")
    train = rows["train"]
    if repeated is not None:
        first = np.flatnonzero(~pd.Series(repeated[train] * count + labels[train]).duplicated().to_numpy())
        if len(first) < len(train):
            notes.append(f"left out {len(train) - len(first):,} repeated examples of train")
        train = rows["train"] = train[first]
    for split in ("val", "test"):
        shared = int(np.isin(equal[rows[split]], equal[train]).sum()) if split in rows else 0
        if shared:
            notes.append(f"{shared:,} examples of {split} are in train too; they stay, so that scores can be compared")


def cut_together(rows: Places, equal: np.ndarray | None, cut: Callable[[], None], notes: list[str]) -> None:
    """Cuts splits off train so that examples of equal inputs stay in one.

    Args:
        rows: Places of each split.
        equal: Number that examples of equal inputs share; None cuts without regard to it.
        cut: Cuts splits off `rows["train"]`.
        notes: Lines for the user.

    Raises:
        UserError: There is too little to cut.
    """
    given, train, said = set(rows), rows["train"], len(notes)
    cut()
    whole = dict(rows)
    if equal is None or not has_repeats(train, equal) or not _share_inputs(rows, given, equal):
        return
    told = notes[said:]
    _undo(rows, given, train, notes, said)
    rows["train"] = train[np.sort(np.unique(equal[train], return_index=True)[1])]
    try:
        cut()
    except UserError:  # there are too few different ones
        _undo(rows, given, train, notes, said)
        rows |= whole
        notes += told
        notes.append(
            f"of {len(train):,} examples {len(np.unique(equal[train])):,} differ, too few to keep equal ones in one split: "
            "val and test hold examples of train, and their scores are too good"
        )
        return
    for split in rows.keys() - given | {"train"}:
        rows[split] = train[np.isin(equal[train], equal[rows[split]])]


def _share_inputs(rows: Places, given: set[str], equal: np.ndarray) -> bool:
    """Whether splits that were cut have equal inputs."""
    inputs = [np.unique(equal[rows[split]]) for split in rows.keys() - given | {"train"}]
    return len(np.unique(np.concatenate(inputs))) < sum(map(len, inputs))


def _undo(rows: Places, given: set[str], train: np.ndarray, notes: list[str], said: int) -> None:
    """Puts what was cut back into train, and takes back what was said of it."""
    for split in rows.keys() - given:
        del rows[split]
    rows["train"] = train
    del notes[said:]
