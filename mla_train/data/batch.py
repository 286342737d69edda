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
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: function(v) for name, v in values.items() if isinstance(v, Tensor)})
