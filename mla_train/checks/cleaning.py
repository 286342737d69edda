"""Suspected label errors of loaded examples: columns of any kind as the texts and numbers that fast models read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from mla_train.checks.confident_learning import MOST_SUSPECTED, LabelErrors, find_label_errors
from mla_train.config import Clean
from mla_train.data.cache import cached
from mla_train.errors import require

IMAGE_SIDE = 16  # pixels
STEPS = 32  # of a series
QUANTILES = (0, 0.25, 0.5, 0.75, 1)


def column_label_errors(columns: Mapping[str, Any], kinds: Mapping[str, str], labels: np.ndarray) -> LabelErrors:
    """Suspected labels of examples, the most suspicious first.

    Args:
        columns: Values of each input.
        kinds: Kind of each input, such as "text".
        labels: Class numbers, `(examples,)`.
    """
    texts = [columns[name].texts for name, kind in kinds.items() if kind == "text"]
    tables = [numbers(columns[name], kind) for name, kind in kinds.items() if kind != "text"]
    return cached(find_label_errors, kind=LabelErrors)(texts, tables, labels)


def clean_labels(
    columns: Mapping[str, Any],
    kinds: Mapping[str, str],
    labels: np.ndarray,
    classes: Sequence[str],
    clean: Clean,
    notes: list[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Places of the training examples that are kept, and the labels of all, as `data.clean` says."""
    errors = column_label_errors(columns, kinds, labels)
    require(
        len(errors.places) <= MOST_SUSPECTED * len(labels),
        f"data.clean={clean.value}: fast models disagree with {len(errors.places):,} of {len(labels):,} labels, so they do "
        "not know these classes and cannot tell which labels are wrong: leave it out",
    )
    changes = Counter((classes[a], classes[b]) for a, b in zip(labels[errors.places], errors.labels, strict=True))
    shown = ", ".join(f"{count:,} {given} that may be {likely}" for (given, likely), count in changes.most_common(3))
    notes.append(
        f"{len(errors.places):,} of {len(labels):,} training examples have a label that is probably wrong and "
        f"{'are left out' if clean is Clean.drop else 'get the likelier one'} (data.clean={clean.value})"
        + (f": {shown}{', ...' if len(changes) > 3 else ''}" if shown else "")
    )
    if clean is Clean.drop:
        return np.delete(np.arange(len(labels)), errors.places), labels
    labels = labels.copy()
    labels[errors.places] = errors.labels
    return np.arange(len(labels)), labels


def joined(columns: Sequence[Any], kind: str) -> Any:
    """Columns of several splits as one."""
    if kind == "image":
        return replace(columns[0], images=torch.cat([column.images for column in columns]))
    return replace(columns[0], values=[value for column in columns for value in column.values])


def numbers(column: Any, kind: str) -> np.ndarray:
    """Numbers that describe each example, `(examples, columns)`; zeros where it is missing.

    Small images; the mean of features over their steps; quantiles of each channel of a series or band of a
    recording, its mean absolute difference of steps that follow each other, and its course.
    """
    if kind == "image":
        side = min(IMAGE_SIDE, *column.images.shape[-2:])
        small = [F.adaptive_avg_pool2d(some.float(), side) for some in column.images.split(1000)]
        return torch.cat(small).flatten(1).numpy()
    describe = _describe if kind in ("series", "audio") else (lambda value: value.mean(0))
    rows = [describe(np.asarray(value)) if len(value) else None for value in column.values]
    width = next((len(row) for row in rows if row is not None), 0)
    return np.nan_to_num(np.stack([np.zeros(width) if row is None else row for row in rows]))


def _describe(series: np.ndarray) -> np.ndarray:
    """Numbers that describe a series `(length, channels)`."""
    series = np.where(np.isnan(series), np.nan_to_num(np.nanmean(series)), series)
    change = np.abs(np.diff(series, axis=0)).mean(0) if len(series) > 1 else np.zeros(series.shape[1])
    course = series[np.linspace(0, len(series) - 1, STEPS).round().astype(int)]
    return np.concatenate([np.quantile(series, QUANTILES, axis=0).ravel(), change, course.ravel()])
