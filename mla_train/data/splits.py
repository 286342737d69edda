"""Cutting data into splits, which `data.split_seed` chooses and `seed` leaves alone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from mla_train.errors import UserError

SPLITS = ("train", "val", "test")
MIN_GROUPS = 20  # groups of examples of which a split is cut
PART_NAMES = {"train": ("train", "training"), "val": ("val", "valid", "validation", "dev"), "test": ("test",)}


def stratified_cut(
    labels: Sequence[int] | np.ndarray, share: float, split_seed: int, classes: Sequence[str] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts off a split in which every class has its share.

    Args:
        labels: Class of each example.
        share: Share of the examples that is cut off, 0 to 1.
        split_seed: Seed that chooses the examples.
        classes: Names of the classes, for the error message.

    Returns:
        Indices that stay and indices that are cut off, both in ascending order.

    Raises:
        UserError: There are too few examples of a class.
    """
    from sklearn.model_selection import train_test_split

    if not 0 < share < 1:
        raise UserError(
            f"cannot cut a share of {share:g} off for evaluation: it must lie between 0 and 1, 0.1 is usual"
        )
    labels = np.asarray(labels)
    counts = Counter(labels.tolist())
    cut = round(len(labels) * share)
    rarest, fewest = min(counts.items(), key=lambda item: item[1])
    name = f"class number {rarest}" if classes is None else f"class {classes[rarest]}"
    if fewest < 2 or cut < len(counts) or len(labels) - cut < len(counts):
        raise UserError(
            f"cannot cut {share:.0%} of {len(labels)} examples in {len(counts)} classes off for evaluation: "
            f"{name} has {fewest}. Needed are 2 of each class and as many in the cut ({cut} now) as there are classes; "
            "raise the share, or give that split yourself"
        )
    stay, off = train_test_split(np.arange(len(labels)), test_size=cut, random_state=split_seed, stratify=labels)
    return np.sort(stay), np.sort(off)


def random_cut(count: int, share: float, split_seed: int, what: str) -> np.ndarray:
    """Chooses a share at random.

    Args:
        count: Number of examples or sequences.
        share: Share that is cut off, 0 to 1.
        split_seed: Seed of the random cut.
        what: What is counted, for the error message.

    Returns:
        Places that are cut off.

    Raises:
        UserError: The share is none or all.
    """
    cut = round(count * share)
    if not 0 < cut < count:
        raise UserError(
            f"cannot cut {share:.0%} of {count} {what} off for evaluation: that is {cut}. Raise the share, or give that "
            "split yourself"
        )
    return np.random.default_rng(split_seed).permutation(count)[:cut]


def group_cut(groups: np.ndarray, share: float, split_seed: int) -> np.ndarray:
    """Chooses a share of groups at random.

    Args:
        groups: Number of the group of each example, `(examples,)`.
        share: Share of the groups that is cut off, 0 to 1.
        split_seed: Seed of the random cut.

    Returns:
        Places of the examples that are cut off, in ascending order.

    Raises:
        UserError: There are too few groups.
    """
    from sklearn.model_selection import GroupShuffleSplit

    count = len(np.unique(groups))
    if count < MIN_GROUPS:
        raise UserError(
            f"cannot cut splits for evaluation off {count} different inputs, needed are {MIN_GROUPS}: give more, or name "
            "files for all splits: data.train= data.val= data.test="
        )
    cutter = GroupShuffleSplit(1, test_size=share, random_state=split_seed)
    return next(cutter.split(groups, groups=groups))[1]
