"""Arrays `(length, width)` of all examples or of a few: what is missing has length 0, and all have one width."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mla_train.errors import UserError

ToArray = Callable[[Any], np.ndarray]
"""From a raw value that is not missing to an array `(length, width)`."""


def load_arrays(values: Sequence[Any], names: Sequence[str], to_array: ToArray, what: str) -> list[np.ndarray]:
    """Arrays of a whole data set; None and empty values are missing. Messages say `what` the columns of an array are.

    Raises:
        UserError: Arrays differ in width.
    """
    arrays = [None if value is None or not len(value) else to_array(value) for value in values]
    width = next((array.shape[-1] for array in arrays if array is not None), 0)
    for name, array in zip(names, arrays, strict=True):
        if array is not None and array.shape[-1] != width:
            raise UserError(f"{name} has {array.shape[-1]} {what}, the ones before have {width}; give all the same")
    return [to_array(np.zeros((0, width))) if array is None else array for array in arrays]


def preprocess_arrays(values: Sequence[Any], to_array: ToArray, width: int, what: str) -> list[np.ndarray]:
    """Arrays that a model is asked to read, as `load_arrays` reads those of the training data.

    Raises:
        UserError: A value holds no numbers, or has another width than the model reads.
    """
    arrays = []
    for value in values:
        try:
            array = to_array(np.zeros((0, width)) if value is None or not len(value) else value)
        except (TypeError, ValueError):
            raise UserError(f"numbers are needed, not {value!r:.60}: this model reads {width} {what} a step") from None
        if array.shape[-1] != width:
            raise UserError(f"{array.shape[-1]} {what} are given: this model reads {width} a step")
        arrays.append(array)
    return arrays
