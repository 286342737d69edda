"""Rules of cutting data into splits, which `data.split_seed` chooses and `seed` leaves alone.

Each rule returns the places that are cut off, and raises a UserError where there is too little to cut.
"""

import warnings
from collections import Counter
from collections.abc import Sequence

import numpy as np

from mla_train.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 20  # groups of examples of which a split is cut
MOST_CLASSES = 20  # that labels of few examples each are believed to have
PART_NAMES = {
    "train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test", "testing"),
}  # fmt: skip
"""Names of the files and folders of each split, in any case."""


def split_of(name: str) -> str | None:
    """The split that a name means, in any case; None where it means none."""
    return next((split for split, names in PART_NAMES.items() if name.strip().lower() in names), None)


def stratified_cut(
    labels: Sequence[int] | np.ndarray, share: float, split_seed: int, classes: Sequence[str] | None = None
) -> np.ndarray:
    """Chooses a share of every class, from the class of each example, `(examples,)`; errors name the class."""
    from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise UserError(
            f"cannot cut a share of {share:g} off for evaluation: it must lie between 0 and 1, 0.1 is usual"
        )
    counts = Counter(np.asarray(labels).tolist())
    cut = round(len(labels) * share)
    rarest, fewest = min(counts.items(), key=lambda item: item[1])
    name = f"class number {rarest}" if classes is None else f"class {classes[rarest]}"
    if fewest < 2 or cut < len(counts) or len(labels) - cut < len(counts):
        raise UserError(
            f"cannot cut {share:.0%} of {len(labels)} examples in {len(counts)} classes off for evaluation: "
            f"{name:.60} has {fewest}. Needed are 2 of each class and as many in the cut ({cut} now) as there are classes: "
            + (
                "so many classes are seldom meant, name the column of the labels with data.label_column="
                if MOST_CLASSES < len(counts) > len(labels) / 2
                else "raise the share (data.val_share, data.test_share), or give that split yourself"
            )
        )
    return train_test_split(np.arange(len(labels)), test_size=cut, random_state=split_seed, stratify=labels)[1]


def random_cut(count: int, share: float, split_seed: int, what: str) -> np.ndarray:
    """Chooses a share of so many examples or sequences (`what`) at random."""
    cut = round(count * share)
    if not 0 < cut < count:
        raise UserError(
            f"cannot cut {share:.0%} of {count} {what} off for evaluation: that is {cut}. Raise the share, or give that "
            "split yourself"
        )
    return np.random.default_rng(split_seed).permutation(count)[:cut]


def group_cut(groups: np.ndarray, share: float, split_seed: int) -> np.ndarray:
    """Chooses a share of the groups at random, from the number of the group of each example, `(examples,)`."""
    from sklearn.model_selection import GroupShuffleSplit

    count = len(np.unique(groups))
    if count < MIN_GROUPS:
        raise UserError(
            f"cannot cut splits for evaluation off {count} different inputs, needed are {MIN_GROUPS}: give more, or name "
            "files for all splits: data.train= data.val= data.test="
        )
    cutter = GroupShuffleSplit(1, test_size=share, random_state=split_seed)
    return next(cutter.split(groups, groups=groups))[1]


def stratified_group_cut(groups: np.ndarray, strata: np.ndarray, share: float, split_seed: int) -> np.ndarray:
    """Chooses whole groups that have about a share of the examples of every class.

    Groups are taken in random order, each where it brings the classes nearer to their share.

    Args:
        groups: Number of the group of each example, `(examples,)`.
        strata: Class of each example, `(examples,)`.
        share: Share that is cut off.
        split_seed: Seed of the order.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    classes = np.unique(strata, return_inverse=True)[1]
    counts = np.zeros((numbers.max() + 1, classes.max() + 1))
    np.add.at(counts, (numbers, classes), 1)
    order = np.random.default_rng(split_seed).permutation(len(counts))
    weight = 1 / counts.sum(0)  # a class counts by its share, not by its size
    rest, chosen = share * counts.sum(0), []
    for group in order:
        if (weight * (rest - counts[group]) ** 2).sum() < (weight * rest**2).sum():
            rest = rest - counts[group]
            chosen.append(group)
    if not chosen:  # all groups are larger than the share
        chosen = [int(counts.sum(1).argmin())]
    if len(chosen) == len(counts):
        raise UserError(
            f"cannot cut {share:.0%} of {len(counts)} groups off for evaluation: groups stay whole. Give more groups, lower "
            "the share, or give that split yourself"
        )
    return np.flatnonzero(np.isin(numbers, chosen))


def time_cut(times: np.ndarray, share: float) -> np.ndarray:
    """Chooses about a share of the examples, the newest; those of one time stay together.

    Args:
        times: Time of each example, `(examples,)`.
        share: Share that is cut off.
    """
    ordered = np.sort(times)
    starts = np.flatnonzero(ordered[1:] != ordered[:-1]) + 1
    if not len(starts):
        raise UserError(
            f"cannot cut {share:.0%} of {len(times)} examples off by time: all have the same, {times[:1]}. Remove "
            "data.time_column, or give that split yourself"
        )
    wanted = (1 - share) * len(times)
    return np.flatnonzero(times >= ordered[starts[np.abs(starts - wanted).argmin()]])


def fold_cut(
    count: int, folds: int, fold: int, split_seed: int, strata: np.ndarray | None, groups: np.ndarray | None
) -> np.ndarray:
    """Chooses one of some folds, of which each example is in exactly one.

    Args:
        count: Number of examples.
        folds: Number of folds.
        fold: The fold that is chosen, from 0.
        split_seed: Seed of the folds.
        strata: Class of each example, of which each fold has its share as far as possible, `(examples,)`; None is none.
        groups: Number of each example's group, which stays in one fold, `(examples,)`; None is none.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold, StratifiedKFold

    units = count if groups is None else len(np.unique(groups))
    if units < folds:
        raise UserError(
            f"data.folds={folds}: there are {units} {'examples' if groups is None else 'groups'}; give fewer folds"
        )
    options = {"n_splits": folds, "shuffle": True, "random_state": split_seed}
    # A class that is rarer than there are folds is in some of them.
    if strata is not None and np.unique(strata, return_counts=True)[1].max() < folds:
        strata = None
    classes = np.zeros(count, dtype=int) if strata is None else strata
    cutter = KFold(**options) if strata is None else StratifiedKFold(**options)
    if groups is not None:
        cutter = StratifiedGroupKFold(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of rare classes
        parts = [test for _, test in cutter.split(np.zeros(count), classes, groups)]
    if not all(map(len, parts)):
        raise UserError(f"data.folds={folds}: {units} groups of such sizes do not fill them; give fewer folds")
    return parts[fold]


def joined_groups(*groupings: np.ndarray) -> np.ndarray:
    """Number of each example's group, `(examples,)`, where examples that share a group in any grouping belong together."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    joined = groupings[0]
    for other in groupings[1:]:
        edges = coo_matrix((np.ones(len(joined)), (joined, other + joined.max() + 1)))
        size = max(edges.shape)
        edges.resize(size, size)
        joined = connected_components(edges, directed=False)[1][joined]
    return joined
