"""What a network is given: a dataclass of named tensors."""

from dataclasses import dataclass, fields, replace
from typing import Any, Self

from torch import Tensor


@dataclass
class Batch:
    """Base of all batches; a task adds its tensors.

    Attributes:
        index: Place of each example in its split, `(batch,)`; evaluation uses it to count each example once.
    """

    index: Tensor

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.index)

    def to(self, device: Any, non_blocking: bool = False) -> Self:
        """Moves all tensors to a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """Makes copies to a GPU asynchronous."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, function: Any) -> Self:
        return replace(self, **{f.name: _apply(function, getattr(self, f.name)) for f in fields(self)})


def _apply(function: Any, value: Any) -> Any:
    """A function on a tensor, or on those in a dict or tuple; other values stay."""
    if isinstance(value, dict):
        return {name: _apply(function, item) for name, item in value.items()}
    if isinstance(value, tuple):
        return tuple(_apply(function, item) for item in value)
    return function(value) if isinstance(value, Tensor) else value
