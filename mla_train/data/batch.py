"""Batches: examples as tensors, by input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor


@dataclass
class Batch:
    """Examples as tensors.

    Attributes:
        index: Place of each example in its split, `(batch,)`; evaluation uses it to count each example once.
        inputs: Tensors of each input by name, in the dataclass of its modality.
        targets: What is to be predicted, as the head collates it; None where it is not known.
        sequence: Number of the sequence that each example belongs to, counted from 0 within the batch, `(batch,)`; the
            examples of a sequence follow each other.
    """

    index: Tensor
    inputs: dict[str, Any]
    targets: Any = None
    sequence: Tensor | None = None

    def __len__(self) -> int:
        return len(self.index)

    def to(self, device: Any, non_blocking: bool = False) -> Self:
        """Moves all tensors to a device."""
        return map_tensors(lambda tensor: tensor.to(device, non_blocking=non_blocking), self)

    def pin_memory(self) -> Self:
        """Makes copies to a GPU asynchronous."""
        return map_tensors(lambda tensor: tensor.pin_memory(), self)


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Applies a function to the tensors of nested dataclasses, dicts and tuples; other values stay."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {name: map_tensors(function, item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(map_tensors(function, item) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: map_tensors(function, getattr(value, f.name)) for f in fields(value)})
    return value


def pad_stack(values: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Stacks sequences of different length, filled up with zeros.

    Args:
        values: Sequences `(length, ...)`; a length of 0 is an example without this input.

    Returns:
        `(batch, longest, ...)`, and True at padding `(batch, longest)`. The longest is at least 1, so that nothing
        downstream sees a length of zero.
    """
    lengths = torch.tensor([len(value) for value in values])
    longest = max(1, int(lengths.max()))
    stacked = values[0].new_zeros(len(values), longest, *values[0].shape[1:])
    for row, value in zip(stacked, values, strict=True):
        row[: len(value)] = value
    return stacked, torch.arange(longest) >= lengths.unsqueeze(1)
