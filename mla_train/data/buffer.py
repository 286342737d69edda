"""Numbers that grow in memory and, beyond some size, in a temporary file that is mapped into memory.

The file stands in the folder of the cache and has no name: it is gone with the last process that uses it, also after a crash.
"""

import mmap
import os
import tempfile
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np

from mla_train.data.cache import cache_folder, say_once

MOST_IN_MEMORY = 250_000_000
"""Bytes of a buffer beyond which it is in a file."""


class Buffer:
    """Numbers in memory or in a file; a copy in another process reads the same file.

    Args:
        numbers: Numbers, `(length,)`.
        file: File that they are mapped from; None where they are in memory.
    """

    def __init__(self, numbers: np.ndarray, file: Any = None) -> None:
        self.numbers, self.file = numbers, file

    def __reduce__(self) -> Any:
        """What a copy is made of."""
        if self.file is None:
            return Buffer, (self.numbers,)
        return _received, (DupFd(self.file.fileno()), self.numbers.dtype)


def _received(descriptor: Any, dtype: Any) -> Buffer:
    return _mapped(os.fdopen(descriptor.detach(), "rb"), dtype)


def _mapped(file: Any, dtype: Any, count: int = -1) -> Buffer:
    return Buffer(np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), dtype, count), file)


class GrowingBuffer:
    """Takes numbers piece by piece.

    Args:
        dtype: Kind of number.
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype, self.size = np.dtype(dtype), 0
        self._parts: list[np.ndarray] = []
        self._file: Any = None
        self._stays = False  # in memory, as there is no room for a file

    def add(self, numbers: np.ndarray) -> None:
        """Puts numbers behind the others."""
        numbers = np.ascontiguousarray(numbers, self.dtype)
        self.size += len(numbers)
        self._parts.append(numbers)
        if self._file is not None or (self.size * self.dtype.itemsize > MOST_IN_MEMORY and not self._stays):
            self._write()

    def finish(self) -> Buffer:
        """All numbers."""
        if self._file is not None:
            return _mapped(self._file, self.dtype)
        return Buffer(np.concatenate([np.zeros(0, self.dtype), *self._parts]))

    def _write(self) -> None:
        """Moves what is in memory into the file; where that is not possible, all into memory."""
        written = self.size - sum(map(len, self._parts))
        try:
            if self._file is None:
                folder = cache_folder()
                if folder is None:
                    self._stays = True
                    return
                self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115
            for part in self._parts:
                left = part.data.cast("B")
                while left:
                    left = left[self._file.write(left) :]
            self._parts = []
        except OSError as error:
            say_once(f"a temporary file cannot be written ({error.strerror}), so that large data stays in memory")
            self._stays = True
            if written:
                self._parts.insert(0, _mapped(self._file, self.dtype, written).numbers.copy())
            self._file = None
