"""What inputs and labels hold: missing and constant values, tokens, sizes of images, counts of classes."""

from collections import Counter
from typing import Any

import numpy as np

from mla_train.checks.base import Check, LoadedExamples
from mla_train.data.splits import SPLITS
from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.heads.masked_tokens import MaskedTokens
from mla_train.modalities.text.tokenize import tokenize

IMBALANCE = 10  # size of the largest class by that of the smallest
MANY_UNKNOWN, MANY_CUT = 0.25, 0.05
MOST_CLASSES, MOST_SIZES = 50, 10  # shown


def check_inputs(examples: LoadedExamples) -> Check:
    """Counts missing and constant values of each input."""
    data = examples.data
    check = Check("inputs", "Inputs", note="Constant: all values of an example are the same.")
    for split in SPLITS:
        counts: dict[str, Any] = {"examples": data.count(split)}
        for name, modality in data.spec.inputs.items():
            column = getattr(data, split).columns[name]
            missing = column.is_missing()
            counts[f"{name} missing"] = int(missing.sum())
            if modality.kind in ("image", "series", "audio"):
                counts[f"{name} constant"] = int((is_constant(column) & ~missing).sum())
        check.values[split] = counts
        check.rows.append({"split": split} | counts)
    for name in data.spec.inputs:
        count = sum(row.get(f"{name} constant", 0) for row in check.rows)
        if count:
            check.problems.append(f"{count:,} examples have {name} with a single value throughout: check these files")
    return check


def is_constant(column: Any) -> np.ndarray:
    """True where all values of an image, a series or a recording are the same, `(examples,)`."""
    if hasattr(column, "images"):
        flat = column.images.flatten(1)
        return (flat.amax(1) == flat.amin(1)).numpy()
    return np.array([len(value) > 1 and np.nanmax(value) == np.nanmin(value) for value in column.values], dtype=bool)


def check_labels(examples: LoadedExamples) -> Check:
    """Counts classes, or describes the numbers that are to be predicted."""
    data, kind = examples.data, examples.data.spec.head.kind
    check = Check("labels", "Labels")
    if kind == "regression":
        for split in SPLITS:
            numbers = np.asarray(getattr(data, split).targets, dtype=float)
            quantiles = zip(("lowest", "median", "highest"), np.quantile(numbers, (0, 0.5, 1)).tolist(), strict=True)
            check.values[split] = {"mean": float(numbers.mean()), **dict(quantiles)}
            check.rows.append({"split": split} | check.values[split])
    elif kind in ("classification", "multilabel"):
        classes = data.spec.target.classes
        for split in SPLITS:
            targets = np.asarray(getattr(data, split).targets)
            counts = targets.sum(0) if targets.ndim == 2 else np.bincount(targets, minlength=len(classes))
            check.values[split] = {name: int(count) for name, count in zip(classes, counts, strict=True)}
        train = check.values["train"]
        order = sorted(classes, key=lambda name: -train[name])
        ratio = train[order[0]] / max(train[order[-1]], 1)
        check.values["imbalance"] = round(ratio, 2)
        check.rows = [{"class": name} | {split: check.values[split][name] for split in SPLITS} for name in order]
        check.rows = check.rows[:MOST_CLASSES]
        hidden = len(order) - len(check.rows)
        check.note = f"The {MOST_CLASSES} largest of {len(order)} classes." if hidden else ""
        if ratio >= IMBALANCE and kind == "classification":
            check.problems.append(
                f"train has {train[order[0]]:,} examples of class {order[0]} and {train[order[-1]]:,} of {order[-1]}: "
                "accuracy says little of the rare classes, macro F1 does; task.class_weight=balanced or "
                "data.sampling=balanced weigh them more"
            )
    return check


def check_texts(examples: LoadedExamples, name: str) -> Check:
    """Lengths, unknown tokens and cut texts."""
    check = Check(f"texts_{name}", f"Texts: {name}")
    modality: Any = examples.data.spec.inputs[name]
    limit = modality.spec.max_length
    for split, column in zip(SPLITS, examples.columns(name), strict=True):
        lengths = column.lengths() - modality.spec.end_token
        read = column.tokens
        if examples.data.spec.head.kind == MaskedTokens.kind:  # what is hidden is known
            hidden = getattr(examples.data, split).targets
            read = [np.where(under != PAD_ID, under, over) for under, over in zip(hidden, read, strict=True)]
        full = [text for text, length in zip(column.texts, lengths, strict=True) if length == limit]
        cut = int((tokenize(full, modality.tokenizer).lengths > limit).sum())
        unknown = sum(int((tokens == UNK_ID).sum()) for tokens in read)
        check.values[split] = {
            "median_tokens": float(np.median(lengths)),
            "longest": int(lengths.max()),
            "unknown_share": round(unknown / max(int(lengths.sum()), 1), 4),
            "cut_share": round(cut / len(lengths), 4),
        }
        check.rows.append({"split": split} | check.values[split])
    unknown, cut = (max(values[key] for values in check.values.values()) for key in ("unknown_share", "cut_share"))
    if unknown > MANY_UNKNOWN:
        check.problems.append(
            f"{unknown:.0%} of the tokens of {name} are unknown, the encoder does not see them: data.tokens=char or bpe"
        )
    if cut > MANY_CUT:
        check.problems.append(f"{cut:.0%} of the texts of {name} are cut off at {limit} tokens: raise data.max_length")
    return check


def check_images(examples: LoadedExamples, name: str) -> Check:
    """Sizes and modes of image files."""
    check = Check(f"images_{name}", f"Images: {name}")
    headers = [header for column in examples.columns(name) for header in column.headers or () if header is not None]
    if not headers:
        return check
    counts = Counter((*header.size, header.mode) for header in headers)
    check.rows = [
        {"width": width, "height": height, "mode": mode, "images": count}
        for (width, height, mode), count in counts.most_common(MOST_SIZES)
    ]
    modes = Counter(header.mode for header in headers)
    check.values = {"sizes": len({header.size for header in headers}), "modes": dict(modes.most_common())}
    check.note = f"The most frequent of {len(counts)} sizes and modes of files."
    return check
