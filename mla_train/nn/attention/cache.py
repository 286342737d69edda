"""The states of tokens that attention has read, kept for decoding token by token."""

import torch
from torch import Tensor


class Cache:
    """Tensors that grow along their last but one dimension, in buffers that double when full.

    It is made for decoding: gradients do not pass through it.
    """

    def __init__(self) -> None:
        self._buffers: tuple[Tensor, ...] = ()
        self._length = 0

    def __len__(self) -> int:
        """Number of cached tokens."""
        return self._length

    @property
    def nbytes(self) -> int:
        """Bytes of the cached tokens, without the spare room of the buffers."""
        return sum(state.numel() * state.element_size() for state in self.states)

    @property
    def states(self) -> tuple[Tensor, ...]:
        """All cached states, without copying: each `(batch, ..., length, width)`."""
        return tuple(buffer.narrow(-2, 0, self._length) for buffer in self._buffers)

    def append(self, *states: Tensor) -> tuple[Tensor, ...]:
        """Adds the states of new tokens, each `(batch, ..., new_length, width)`, and returns those of all tokens."""
        new = states[0].size(-2)
        if not self._buffers:
            self._buffers = tuple(state.detach().clone() for state in states)
        else:
            if self._length + new > self._buffers[0].size(-2):
                room = max(self._buffers[0].size(-2), new)
                self._buffers = tuple(
                    torch.cat([buffer, buffer.new_empty(*buffer.shape[:-2], room, buffer.size(-1))], dim=-2)
                    for buffer in self._buffers
                )
            for buffer, state in zip(self._buffers, states, strict=True):
                buffer.narrow(-2, self._length, new).copy_(state)
        self._length += new
        return self.states

    def crop(self, length: int) -> None:
        """Forgets all but the first tokens."""
        self._length = min(self._length, length)

    def reorder(self, index: Tensor) -> None:
        """Keeps the given rows of the batch in the given order, for beams that continue."""
        self._buffers = tuple(buffer.index_select(0, index) for buffer in self._buffers)
