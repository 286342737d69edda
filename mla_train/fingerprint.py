"""What the prepared data of a run was, so that it is not resumed on, or compared with, other data unnoticed."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mla_train.data.ragged import PIECE, Ragged
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.errors import UserError
from mla_train.modalities.base import Column


def fingerprint(data: Dataset) -> dict[str, Any]:
    """Numbers of examples, and hashes of each spec, of the targets and of each input of each split."""
    stored = data.spec.to_dict()
    for name in ("written", "signs"):  # which runs of an earlier version lack; targets tell as much
        stored["head"].pop(name, None)
    targets = {split: getattr(data, split).targets for split in SPLITS}
    specs = {f"input {name}": each for name, each in stored["inputs"].items()} | {"target": stored["head"]}
    return {
        "examples": {split: data.count(split) for split in SPLITS},
        "specs": {name: _digest(json.dumps(each, sort_keys=True)) for name, each in specs.items()},
        "targets": {split: _digest(each) for split, each in targets.items() if not isinstance(each, Column)},
        # Under a name of their own: in runs of an earlier version their digests depended on the width of the terminal.
        "windows": {split: _digest(each) for split, each in targets.items() if isinstance(each, Column)},
        "inputs": {
            f"{name} of {split}": _digest(column.recorded())
            for split in SPLITS
            for name, column in getattr(data, split).columns.items()
            if column is not getattr(data, split).targets
        },
    }


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """How two fingerprints differ, in words; what one of an earlier version lacks is left out."""
    changes = [
        f"{before['examples'].get(split):,} {split} examples then, {count:,} now"
        for split, count in now["examples"].items()
        if before["examples"].get(split) != count
    ]
    changed = {
        kind: [name for name, each in now.get(kind, {}).items() if before.get(kind, now[kind]).get(name) != each]
        for kind in CHANGES
    }
    return changes + [CHANGES[kind].format(", ".join(names)) for kind, names in changed.items() if names]


def check_same_data(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path, accept: bool = False) -> list[str]:
    """How the data of a run that is resumed differs from that with which it began, in words.

    Args:
        before: Fingerprint in the checkpoint; one of an earlier version has no inputs.
        now: Fingerprint of the data.
        folder: Run folder.
        accept: Whether the run may go on with other data.

    Raises:
        UserError: It differs and is not accepted.
    """
    changes = differences(before, now)
    if changes and not accept:
        raise UserError(
            f"the data is not that with which {folder} began: {'; '.join(changes)}. Restore the data, begin anew with another "
            "run_dir=, or go on with this data all the same with resume_data=accept"
        )
    return changes


CHANGES = {
    "specs": "what was learned from it differs (vocabulary, classes, scale: {})",
    "targets": "labels of {} differ",
    "windows": "series of {} differ",
    "inputs": "values of {} differ",
    "starts": "the run that {} names has other weights",
}


def _digest(value: Any) -> str:
    digest = hashlib.sha256()
    for piece in _bytes(value):
        digest.update(piece)
    return digest.hexdigest()


def _bytes(value: Any) -> Iterator[bytes]:
    """The content of arrays, lists and dataclasses of them as bytes."""
    if isinstance(value, Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        yield f"{value.dtype} {value.shape}".encode()
        yield np.ascontiguousarray(value).tobytes()
    elif isinstance(value, Ragged) and value.is_large:
        yield from _bytes(value.lengths)
        for start in range(0, len(value), PIECE):
            yield np.concatenate(value[start : start + PIECE]).tobytes()
    elif isinstance(value, np.ndarray) or (isinstance(value, Sequence) and not isinstance(value, str | bytes)):
        yield f"{len(value)}".encode()
        for each in value:
            yield from _bytes(each)
    elif hasattr(value, "to_numpy"):  # a table of pandas, or a column or the index of one
        yield from _bytes(value.to_numpy() if value.ndim == 1 else [value.index, *value.items()])
    elif is_dataclass(value):
        for option in fields(value):
            yield from _bytes(getattr(value, option.name))
    else:
        yield repr(value).encode("utf-8", "surrogatepass")
