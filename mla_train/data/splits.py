"""Cutting data into splits, which `data.split_seed` chooses and `seed` leaves alone.

Each function returns the places that are cut off, and raises a UserError where there is too little to cut.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mla_train.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 20  # groups of examples of which a split is cut
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
            f"{name} has {fewest}. Needed are 2 of each class and as many in the cut ({cut} now) as there are classes; "
            "raise the share, or give that split yourself"
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
