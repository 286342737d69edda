"""What splits are cut by, and the cutting of those that the data does not bring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.examples import Examples
from mla_train.data.splits import (
    fold_cut,
    group_cut,
    joined_groups,
    random_cut,
    stratified_cut,
    stratified_group_cut,
    time_cut,
)
from mla_train.data.tables.cells import as_label, is_empty
from mla_train.errors import UserError
from mla_train.modalities.series.times import order_of_times

Places = dict[str, np.ndarray]
"""Places of the examples of each split, where the examples of all splits stand behind each other."""
RULES = ("group_column", "time_column", "split_column", "folds")
"""Options by which splits are cut without regard to every class."""


@dataclass
class SplitKeys:
    """What splits are cut by, each `(examples,)`; None where it does not matter.

    Attributes:
        strata: Class of each example, of which each split gets its share.
        sequence: Number of each example's sequence, which stays in one split.
        alike: Number that examples of equal inputs share, which stay in one split.
        groups: Number of each example's group of `data.group_column`, which stays in one split with what is alike.
        times: Time of each example; the newest are test.
    """

    strata: np.ndarray | None = None
    sequence: np.ndarray | None = None
    alike: np.ndarray | None = None
    groups: np.ndarray | None = None
    times: np.ndarray | None = None

    def select(self, places: np.ndarray) -> "SplitKeys":
        """The keys of some examples."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return SplitKeys(**{name: None if value is None else value[places] for name, value in values.items()})

    @property
    def whole(self) -> np.ndarray | None:
        """Number of what stays in one split."""
        return next((each for each in (self.groups, self.sequence, self.alike) if each is not None), None)


def read_groups(splits: Mapping[str, Examples], column: str, notes: list[str]) -> np.ndarray | None:
    """Number of the group of each example of all splits, `(examples,)`; None where there are none."""
    if splits["train"].groups is None:
        return None
    cells = [cell for part in splits.values() for cell in part.groups or [None] * len(part.targets)]
    # One without a group is a group of its own.
    names = [(place,) if is_empty(cell) else as_label(cell) for place, cell in enumerate(cells)]
    lonely = sum(isinstance(name, tuple) for name in names)
    if lonely:
        notes.append(f"{lonely:,} rows have no {column}: each is a group of its own (data.group_column)")
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names])


def read_times(
    splits: Mapping[str, Examples], names: Sequence[str], column: str, form: str | None = None
) -> np.ndarray | None:
    """Time of each example of all splits, as dates or numbers, `(examples,)`; only those of train are read and count.

    Args:
        splits: Examples of each split.
        names: Names of all examples, for messages.
        column: Name of the column.
        form: Value of `data.time_format`.

    Raises:
        UserError: A cell is no time, or all may be several dates.
    """
    cells = splits["train"].times
    if cells is None:
        return None
    where, sizes = f"column {column}", {split: len(part.targets) for split, part in splits.items()}
    start = sum(sizes[split] for split in list(sizes)[: list(sizes).index("train")])
    names = names[start:]
    empty = next((place for place, cell in enumerate(cells) if is_empty(cell)), None)
    if empty is not None:
        raise UserError(f"{names[empty]}: {where} is empty; correct the row, or remove data.time_column")
    rows = pd.Series(cells, index=pd.Index(names, dtype=object), name=f"{column} (data.time_column)")
    # Rows in any order do not tell whether the day or the month comes first.
    times, _ = order_of_times(rows, "", form, in_order=False)
    return np.concatenate([times if split == "train" else np.repeat(times[:1], size) for split, size in sizes.items()])


def cut_splits(rows: Places, keys: SplitKeys, classes: Sequence[str] | None, options: Any, notes: list[str]) -> None:
    """Cuts test and val off train where the data does not bring them; what belongs together stays in one split.

    Args:
        rows: Places of each split, to which the missing ones are added.
        keys: What splits are cut by.
        classes: Names of the classes, if there are any.
        options: `data` options of the run.
        notes: Lines for the user.

    Raises:
        UserError: There is too little to cut, or rules do not fit the data.
    """
    folds, seed = getattr(options, "folds", None), getattr(options, "split_seed", 0)
    if folds and "test" in rows:
        raise UserError(
            f"data.folds={folds} takes the test split from train, but the data brings one: remove one of them"
        )
    _count_shared_groups(rows, keys.groups, notes)
    for split, share in (("test", getattr(options, "test_share", 0.2)), ("val", getattr(options, "val_share", 0.1))):
        if split in rows:
            continue
        places = rows["train"]
        own = keys.select(places)
        if folds and split == "test":
            cut = fold_cut(len(places), folds, options.fold, seed, own.strata, own.whole)
            how = f"fold {options.fold} of {folds} (data.fold)"
        else:
            cut, how = _cut(split, own, len(places), share, seed, classes, options, notes)
        rows["train"], rows[split] = np.delete(places, cut), places[np.sort(cut)]
        notes.append(
            f"no {split} split is given: cut {len(cut):,} of {len(places):,} training examples off for it, {how} "
            f"(data.split_seed={seed})"
        )


def _cut(
    split: str,
    keys: SplitKeys,
    count: int,
    share: float,
    seed: int,
    classes: Sequence[str] | None,
    options: Any,
    notes: list[str],
) -> tuple[np.ndarray, str]:
    """Places that are cut off so many training examples, and how they were chosen."""
    if keys.times is not None:
        cut = time_cut(keys.times, share)
        return cut, f"the newest, from {_written(keys.times[cut].min())} on"
    if keys.groups is not None:
        strata = np.zeros(count) if keys.strata is None else keys.strata
        cut = stratified_group_cut(keys.groups, strata, share, seed)
        by_class = "" if keys.strata is None else ", stratified by class as far as they allow"
        column = getattr(options, "group_column", None)  # none where the reader knows the groups
        of_column = f" of {column}" if column else ""
        return cut, f"in {len(np.unique(keys.groups[cut])):,} whole groups{of_column}{by_class}"
    if keys.sequence is not None:
        sequences = np.unique(keys.sequence)
        chosen = random_cut(len(sequences), share, seed, "sequences")
        return np.flatnonzero(np.isin(keys.sequence, sequences[chosen])), f"in {len(chosen):,} whole sequences"
    if keys.alike is not None:
        return group_cut(keys.alike, share, seed), "equal inputs together"
    if keys.strata is None:
        return random_cut(count, share, seed, "examples"), "at random"
    counts = np.bincount(keys.strata)
    large = np.flatnonzero(counts[keys.strata] >= getattr(options, "min_class_size", 2))
    large = large if len(large) else np.arange(count)
    rare = np.unique(np.delete(keys.strata, large))
    if len(rare):
        names = ", ".join(str(each if classes is None else classes[each]) for each in rare[:5].tolist())
        notes.append(
            f"{len(rare):,} classes have too few examples to be in {split}, at most {counts[rare].max()}: {names} "
            "(data.rare=other or drop, data.min_class_size)"
        )
    return large[stratified_cut(keys.strata[large], share, seed, classes)], "stratified by class"


def _count_shared_groups(rows: Places, groups: np.ndarray | None, notes: list[str]) -> None:
    """Counts groups of given splits that are in train, too."""
    if groups is None:
        return
    for split in ("val", "test"):
        shared = np.intersect1d(groups[rows["train"]], groups[rows[split]]) if split in rows else ()
        if len(shared):
            notes.append(
                f"{len(shared):,} groups of {split} are in train too, as the data brings both (data.group_column)"
            )


def draw_train(rows: Places, strata: np.ndarray | None, options: Any, notes: list[str]) -> None:
    """Keeps `data.train_examples` of the training examples, each class its share; fewer are a part of more.

    The arguments are those of `cut_splits`; strata are the numbers of the classes.
    """
    count = getattr(options, "train_examples", None)
    train = rows["train"]
    if count is None or count >= len(train):
        return
    order = np.random.default_rng(options.split_seed).permutation(len(train))
    classes = np.zeros(len(train), np.int64) if strata is None else strata[train]
    place = np.empty(len(train))
    for each in np.unique(classes):  # place of an example in its class, from 0 to 1
        own = order[classes[order] == each]
        place[own] = (np.arange(len(own)) + 0.5) / len(own)
    kept = np.sort(order[np.argsort(place[order], kind="stable")][:count])
    notes.append(f"{count:,} of {len(train):,} training examples are used (data.train_examples)")
    rows["train"] = train[kept]


def check_classes(
    rows: Places, strata: np.ndarray | None, classes: Sequence[str] | None, options: Any, notes: list[str]
) -> None:
    """Names classes of which train has no example: in a note where groups, times or folds left it none, else in an error.

    The arguments are those of `cut_splits`; strata are the numbers of the classes.
    """
    if strata is None or classes is None:
        return
    lacking = np.setdiff1d(np.arange(len(classes)), strata[rows["train"]])
    if not len(lacking):
        return
    shown = ", ".join(str(classes[number]) for number in lacking[:5]) + (", ..." if len(lacking) > 5 else "")
    lost = f"the training split has no example of class {shown}, which val or test has"
    rule = next((each for each in RULES if getattr(options, each, None) is not None), None)
    if rule is None:
        raise UserError(f"{lost}: add examples or remove the class")
    notes.append(f"{lost}, so that it is never right there (data.{rule})")


def split_keys(
    splits: Mapping[str, Examples],
    names: Sequence[str],
    alike: np.ndarray | None,
    strata: np.ndarray | None,
    options: Any,
    notes: list[str],
) -> SplitKeys:
    """What splits are cut by.

    Args:
        splits: Examples of each split.
        names: Names of all examples, for messages.
        alike: Number that examples of equal inputs share; None where they need not stay together.
        strata: Class of each example; None where there is none.
        options: `data` options of the run.
        notes: Lines for the user.
    """
    sequences = [part.sequence for part in splits.values() if part.sequence is not None]
    sequence = np.concatenate(sequences) if sequences else None
    groups = read_groups(splits, getattr(options, "group_column", None) or "group", notes)
    if groups is not None:
        groups = joined_groups(groups, *(each for each in (sequence, alike) if each is not None))
    column, form = getattr(options, "time_column", None) or "time", getattr(options, "time_format", None)
    times = read_times(splits, names, column, form)
    return SplitKeys(strata, sequence, alike, groups, times)


def _written(time: Any) -> str:
    """A time as text: a date, with the time of day if it has one, or a number."""
    return str(pd.Timestamp(time)).removesuffix(" 00:00:00") if isinstance(time, np.datetime64) else f"{time:g}"
