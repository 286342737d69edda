"""What fills hidden numbers without a network: their mean, the numbers near by, and the best linear guess from all others."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from mla_train.baselines.base import Baseline, Baselines, Limit
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions
from mla_train.heads.masked_patches import hidden_patches

BATCH = 256
CHOSEN_BY = 200  # examples of val
MOST_NUMBERS = 3072  # of an example, whose covariance is computed
MOST_BYTES = 1e9  # of the training examples that it is computed from
WIDTHS = (0.25, 0.5, 1.0, 2.0)
"""Widths of the bell that weighs numbers near by, in patches."""
PENALTIES = (1e-3, 1e-2, 1e-1)
"""Added to the variances, as shares of the mean one."""


def filling_baselines(data: Dataset, embedding: Any, **more: Callable[[Split], Tensor]) -> Baselines:
    """Three ways to fill hidden patches, and others by name.

    Args:
        data: Splits with one input.
        embedding: Embedding of the input, which cuts it into patches.
        more: What fills the inputs of a split, in their shape, `(examples, channels, ...)`.
    """
    patches = cache(partial(_patches, data, embedding))
    return {
        "mean": partial(_mean, patches),
        "neighbours": partial(_neighbours, patches, embedding),
        "linear": partial(_linear, patches),
        **{name: partial(_given, patches, data, embedding, filler) for name, filler in more.items()},
    }


@dataclass
class Patches:
    """A split in patches.

    Attributes:
        values: Numbers of all patches, in units of the standard deviation, `(rows, patches, size)`.
        known: True where there is a number, of the same shape.
        hidden: True where a patch is hidden, `(rows, patches)`.
        count: Number of examples, each of which has as many rows.
    """

    values: Tensor
    known: Tensor
    hidden: Tensor
    count: int

    def first(self, count: int) -> "Patches":
        """The first examples."""
        count = min(count, self.count)
        rows = count * (len(self.values) // self.count)
        return Patches(self.values[:rows], self.known[:rows], self.hidden[:rows], count)

    def scored(self, filled: Tensor) -> Predictions:
        """The columns of `MaskedPatches.predict` for numbers `(rows, patches, size)` in all places."""
        counted = self.known & self.hidden.unsqueeze(-1)

        def summed(values: Tensor) -> np.ndarray:
            return values.masked_fill(~counted, 0).double().sum((1, 2)).view(self.count, -1).sum(1).numpy()

        errors = (filled - self.values).square()
        return {"numbers": summed(counted), "error": summed(errors), "size": summed(self.values.square())}


def _patches(data: Dataset, embedding: Any) -> tuple[Patches, Patches, Patches]:
    train, val, test = (_split(data, split, embedding) for split in ("train", "val", "test"))
    return train, val, test


@torch.no_grad()
def _split(data: Dataset, name: str, embedding: Any) -> Patches:
    split: Split = getattr(data, name)
    (key,) = data.spec.inputs
    count = len(split.targets)
    step = max(1, int(count * 4 * _size(data, embedding) / MOST_BYTES)) if name == "train" else 1
    parts = []
    places = np.arange(0, count, step)
    for some in np.array_split(places, max(1, -(-len(places) // BATCH))):
        tensors = data.spec.inputs[key].collate([split.columns[key][int(place)] for place in some])
        target = embedding.reconstruction_target(tensors)
        parts.append((target.values, target.known, torch.from_numpy(np.asarray(split.targets)[some])))
    longest = max(values.size(1) for values, _, _ in parts)

    def padded(each: Tensor) -> Tensor:
        return F.pad(each, (0, 0, 0, longest - each.size(1)))

    values, known = (torch.cat([padded(part[i]) for part in parts]) for i in (0, 1))
    rate = data.spec.target.rate
    hidden = hidden_patches(torch.cat([part[2] for part in parts]).tolist(), known.any(-1), rate)
    return Patches(values.float(), known, hidden, len(places))


def _size(data: Dataset, embedding: Any) -> int:
    """Number of numbers of the first training example."""
    (key,) = data.spec.inputs
    tensors = data.spec.inputs[key].collate([data.train.columns[key][0]])
    return embedding.reconstruction_target(tensors).values.numel()


def _mean(patches: Any, limit: Limit) -> Baseline:
    """The mean of the training examples at the same place, as far as they reach it."""
    train, val, test = patches()
    mean = (train.values * train.known).sum(0) / train.known.sum(0).clamp(min=1)

    def filled(split: Patches) -> Tensor:
        lacking = split.values.size(1) - len(mean)
        return F.pad(mean, (0, 0, 0, max(0, lacking)))[: split.values.size(1)].expand_as(split.values)

    return Baseline(val.scored(filled(val)), test.scored(filled(test)))


def _given(patches: Any, data: Dataset, embedding: Any, filler: Callable[[Split], Tensor], limit: Limit) -> Baseline:
    _, val, test = patches()
    of_val, of_test = (
        each.scored(embedding.cut(filler(split))) for each, split in ((val, data.val), (test, data.test))
    )
    return Baseline(of_val, of_test)


def _neighbours(patches: Any, embedding: Any, limit: Limit) -> Baseline:
    """The mean of the visible numbers, those near by counting more: the width of the bell is chosen on val."""
    _, val, test = patches()
    few = val.first(CHOSEN_BY)

    def error(width: float) -> float:
        return float(few.scored(near_mean(few, embedding, width))["error"].sum())

    width = min(WIDTHS, key=error)
    of_val, of_test = (each.scored(near_mean(each, embedding, width)) for each in (val, test))
    return Baseline(of_val, of_test, {"width": width})


def near_mean(split: Patches, embedding: Any, width: float) -> Tensor:
    """Mean of the visible numbers of a channel around each place, weighed by a bell whose standard deviation is `width` patches."""
    visible = split.known & ~split.hidden.unsqueeze(-1)
    values, weight = (embedding.join(each) for each in (split.values * visible, visible.float()))
    axes = values.dim() - 2
    for axis in range(2, 2 + axes):
        values, weight = (_smooth(each, axis, width * embedding.patch) for each in (values, weight))
    return embedding.cut(values / weight.clamp(min=1e-12))


def _smooth(x: Tensor, axis: int, width: float) -> Tensor:
    """Sums along an axis with the weights of a bell."""
    places = torch.arange(x.size(axis), dtype=x.dtype)
    bell = torch.exp(-0.5 * ((places[:, None] - places) / width) ** 2)
    return (x.transpose(axis, -1) @ bell).transpose(axis, -1)


def _linear(patches: Any, limit: Limit) -> Baseline | None:
    """The expected numbers given all visible ones, as if rows were drawn from one normal distribution.

    Its mean and covariance are those of the training rows with their gaps as the network reads them.
    """
    train, val, test = patches()
    alike = len({each.values.shape[1:] for each in (train, val, test)}) == 1
    if not alike or train.known.any(0).sum() > MOST_NUMBERS:  # steps to be forecast are never known
        return None
    rows = train.values.flatten(1).double()
    mean = rows.mean(0)
    covariance = (rows - mean).T @ (rows - mean) / max(1, len(rows) - 1)
    few, best = val.first(CHOSEN_BY), PENALTIES[0]
    errors = {}
    start = time.monotonic()
    for penalty in PENALTIES:
        errors[penalty] = float(few.scored(_expected(few, mean, covariance, penalty))["error"].sum())
        each = (time.monotonic() - start) / len(errors) / len(few.values)
        if each * (len(val.values) + len(test.values)) > limit.seconds_left:
            return None
        best = min(errors, key=lambda penalty: errors[penalty])
        if limit.is_over:
            break
    of_val, of_test = (each.scored(_expected(each, mean, covariance, best)) for each in (val, test))
    return Baseline(of_val, of_test, {"penalty": best})


def _expected(split: Patches, mean: Tensor, covariance: Tensor, penalty: float) -> Tensor:
    """The expected numbers of each row given its visible ones, `(rows, patches, size)`."""
    added = penalty * covariance.diagonal().mean()
    filled = split.values.flatten(1).double()
    visible = (split.known & ~split.hidden.unsqueeze(-1)).flatten(1)
    wanted = (split.known & split.hidden.unsqueeze(-1)).flatten(1)
    for row in tqdm(range(len(filled)), desc="linear", leave=False, disable=None):
        seen, unseen = visible[row].nonzero().squeeze(1), wanted[row].nonzero().squeeze(1)
        among = covariance[seen][:, seen]
        among.diagonal().add_(added)
        factor = torch.linalg.cholesky(among)
        weights = torch.cholesky_solve((filled[row, seen] - mean[seen]).unsqueeze(1), factor)
        filled[row, unseen] = mean[unseen] + (covariance[unseen][:, seen] @ weights).squeeze(1)
    return filled.view_as(split.values).float()
