"""What the prepared data was when a run began, so that it is not resumed on other data."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.errors import UserError


def fingerprint(data: Dataset) -> dict[str, Any]:
    """Numbers of examples, and hashes of each spec and of the targets of each split."""
    stored = data.spec.to_dict()
    specs = {f"input {name}": each for name, each in stored["inputs"].items()} | {"target": stored["head"]}
    return {
        "examples": {split: data.count(split) for split in SPLITS},
        "specs": {name: _digest(json.dumps(each, sort_keys=True)) for name, each in specs.items()},
        "targets": {split: _digest(getattr(data, split).targets) for split in SPLITS},
    }


def check_same_data(before: Mapping[str, Any], now: Mapping[str, Any], folder: Path) -> None:
    """Raises a UserError where the data of a run that is resumed is not that with which it began.

    Args:
        before: Fingerprint in the checkpoint.
        now: Fingerprint of the data.
        folder: Run folder.
    """
    changes = [
        f"{before['examples'].get(split):,} {split} examples then, {count:,} now"
        for split, count in now["examples"].items()
        if before["examples"].get(split) != count
    ]
    changed = {kind: [name for name, each in now[kind].items() if before[kind].get(name) != each] for kind in CHANGES}
    changes += [CHANGES[kind].format(", ".join(names)) for kind, names in changed.items() if names]
    if changes:
        raise UserError(
            f"the data is not that with which {folder} began: {'; '.join(changes)}. Restore the data, or begin "
            "anew with another run_dir="
        )


CHANGES = {
    "specs": "what was learned from it differs (vocabulary, classes, scale: {})",
    "targets": "labels of {} differ",
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
    elif isinstance(value, list | tuple | np.ndarray):
        yield f"{len(value)}".encode()
        for each in value:
            yield from _bytes(each)
    elif is_dataclass(value):
        for option in fields(value):
            yield from _bytes(getattr(value, option.name))
    else:
        yield repr(value).encode("utf-8", "surrogatepass")
