"""Nested plain values and arrays as JSON with arrays beside it, without pickles."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

TREE = "tree"
SIMPLE = {str, int, float, bool, type(None)}


def encode(value: Any, arrays: list[np.ndarray], name_file: Callable[[Path], str] | None = None) -> Any:
    """A value as JSON, in which arrays are their places in a list.

    Args:
        value: None, numbers, texts, bytes, arrays, sparse matrices, tensors; lists, tuples and dictionaries of them.
        arrays: List that arrays are added to.
        name_file: Text that stands for a file; also allows enums and other sequences. None of these is decoded: they are for hashes.

    Raises:
        TypeError: The value is of another kind.
    """

    def beside(array: Any) -> int:
        if array.dtype.hasobject:
            raise TypeError("an array of objects")
        arrays.append(array)
        return len(arrays) - 1

    if type(value) in SIMPLE:
        return value
    if isinstance(value, list):
        simple = set(map(type, value)) <= SIMPLE
        return value if simple else {"list": [encode(each, arrays, name_file) for each in value]}
    if isinstance(value, tuple):
        simple = set(map(type, value)) <= SIMPLE
        return {"tuple": list(value) if simple else [encode(each, arrays, name_file) for each in value]}
    if isinstance(value, dict):
        pairs = [[encode(key, arrays, name_file), encode(each, arrays, name_file)] for key, each in value.items()]
        return {"dict": pairs}
    if isinstance(value, np.ndarray):
        return {"array": beside(value)}
    if isinstance(value, np.generic):
        return {"number": beside(np.asarray(value))}
    if isinstance(value, bytes):
        return {"bytes": beside(np.frombuffer(value, np.uint8))}
    if type(value).__module__.startswith("scipy.sparse"):
        rows = value.tocsr()
        return {"sparse": [*map(beside, (rows.data, rows.indices, rows.indptr)), *rows.shape]}
    if type(value).__module__ == "torch":
        return {"tensor": beside(value.numpy(force=True))}
    if name_file is not None and isinstance(value, Path):
        return {"file": name_file(value)}
    if name_file is not None and isinstance(value, Sequence):  # one that makes its values when asked for them
        return {"list": [encode(each, arrays, name_file) for each in value]}
    if name_file is not None and isinstance(value, Enum):
        return {"enum": str(value)}
    raise TypeError(f"a value of type {type(value).__name__}")


def decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The value that `encode` has written, with its arrays by their places.

    Raises:
        ValueError: The tree is damaged.
    """
    if not isinstance(tree, dict):
        return tree
    ((kind, content),) = tree.items()
    if kind in ("list", "tuple"):
        values = [decode(each, arrays) if isinstance(each, dict) else each for each in content]
        return values if kind == "list" else tuple(values)
    if kind == "dict":
        return {decode(key, arrays): decode(each, arrays) for key, each in content}
    if kind == "sparse":
        from scipy.sparse import csr_matrix

        *parts, height, width = content
        return csr_matrix(tuple(arrays[str(part)] for part in parts), (height, width))
    array = arrays[str(content)]
    if kind == "tensor":
        import torch

        return torch.from_numpy(array)
    if kind in ("array", "number", "bytes"):
        return array if kind == "array" else array[()] if kind == "number" else array.tobytes()
    raise ValueError(f"unknown kind {kind}")
