"""Equal and nearly equal examples, within a split and in an earlier one."""

from typing import Any

import numpy as np

from mla_train.checks.base import SHOWN, Check, LoadedExamples
from mla_train.checks.near_duplicates import (
    LEAST_JACCARD,
    equal_pairs,
    jaccard,
    near_images,
    near_texts,
    normalized,
)
from mla_train.data.splits import SPLITS

MANY_NEAR = 0.01  # share of a split
REMEDY = "Remove them (scripts/check_data.py lists them in duplicates.csv)"
QUICK_TEXTS, QUICK_CHARACTERS, QUICK_VALUES = 30_000, 5_000_000, 50_000_000


def check_duplicates(examples: LoadedExamples, thorough: bool) -> Check:
    """Counts examples that repeat another one of their split, or of an earlier one of train, val and test."""
    keys = [_keys(examples, name, modality.kind) for name, modality in examples.data.spec.inputs.items()]
    equal = equal_pairs(list(zip(*keys, strict=True)))
    near, compared = _near_pairs(examples, thorough)
    near = near[~np.isin(near[:, 1], equal[:, 1])]
    targets = examples.targets()
    if examples.data.spec.head.kind == "generation":  # similar inputs are duplicates where their answers are similar
        alike = [jaccard(normalized(targets[a]), normalized(targets[b])) >= LEAST_JACCARD for a, b in near.tolist()]
        near = near[np.array(alike, dtype=bool)]
    check = Check("duplicates", "Duplicates", {"near_duplicates_by": compared})
    for number, split in enumerate(SPLITS):
        counts: dict[str, int] = {}
        for kind, pairs in (("equal", equal), ("near", near)):
            first = examples.split[pairs[examples.split[pairs[:, 1]] == number, 0]]
            counts |= {f"{kind}_within": int((first == number).sum()), f"{kind}_across": int((first < number).sum())}
        check.values[split] = counts
        total = examples.data.count(split)
        if counts["equal_across"]:
            was_cut = any(note.startswith(f"no {split} split is given") for note in examples.data.notes)
            other = "" if was_cut else ", or give all examples as train: equal ones then stay in one split"
            check.problems.append(
                f"{counts['equal_across']:,} of {total:,} examples of {split} are in an earlier split, too: its score is "
                f"too good. {REMEDY}{other}"
            )
        if counts["near_across"] > MANY_NEAR * total:
            check.problems.append(
                f"{counts['near_across']:,} of {total:,} examples of {split} are nearly equal to one of an earlier split: "
                f"its score may be too good. {REMEDY}"
            )
    different = sum(bool(targets[first] != targets[second]) for first, second in equal.tolist())
    check.values["different_targets"] = different
    if different and examples.data.spec.head.kind != "generation":
        check.problems.append(
            f"{different:,} examples repeat another one with a different label: no model can tell them apart; correct "
            "them (scripts/check_data.py lists them in duplicates.csv)"
        )
    check.note = (
        f"Near duplicates are found by {compared}."
        if compared
        else "Near duplicates were not looked for; scripts/check_data.py does where there are texts or images."
    ) + " Within: of the same split; across: of an earlier one, in the order train, val, test."
    check.rows = [{"split": split} | check.values[split] for split in SPLITS]
    repeated = [(first, second, "equal") for first, second in equal.tolist()]
    repeated += [(first, second, "near") for first, second in near.tolist()]
    repeated.sort(key=lambda pair: examples.split[pair[0]] == examples.split[pair[1]])  # those of two splits first
    for first, second, kind in repeated:
        repeats = {f"{key} it repeats": value for key, value in examples.where(first).items()}
        check.listing.append({"kind": kind} | examples.where(second) | repeats)
    check.examples = [_shown(examples, *pair) for pair in repeated[:SHOWN]]
    return check


def _shown(examples: LoadedExamples, first: int, second: int, kind: str) -> dict[str, Any]:
    repeats = {f"{key} it repeats": value for key, value in examples.show(first).items()}
    return {"kind": kind} | examples.show(second) | repeats


def _keys(examples: LoadedExamples, name: str, kind: str) -> list[Any]:
    """Values that are equal for equal examples."""
    if kind == "text":
        return examples.texts(name)
    if kind == "image":
        return [image.tobytes() for image in examples.images(name).numpy()]
    return [np.asarray(value).tobytes() for column in examples.columns(name) for value in column.values]


def _near_pairs(examples: LoadedExamples, thorough: bool) -> tuple[np.ndarray, str]:
    """Pairs that are nearly equal, and by what; by nothing where neither texts nor images suit, or they are too many."""
    inputs = examples.data.spec.inputs
    by_kind = {modality.kind: name for name, modality in reversed(inputs.items())}
    if "text" in by_kind:
        texts = examples.texts(by_kind["text"])
        if thorough or (len(texts) <= QUICK_TEXTS and sum(map(len, texts)) <= QUICK_CHARACTERS):
            return near_texts(texts), f"sequences of five characters of {by_kind['text']}"
    elif "image" in by_kind:
        images = examples.images(by_kind["image"])
        if thorough or images.numel() <= QUICK_VALUES:
            return near_images(images), f"average hash of {by_kind['image']}"
    return np.zeros((0, 2), dtype=int), ""
