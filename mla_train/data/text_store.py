"""Texts of a corpus as bytes in one buffer, which may be in a file: a million texts take little more than their characters."""

from array import array
from collections.abc import Iterable, Iterator
from copy import copy
from itertools import chain
from typing import Any

import numpy as np

from mla_train.data.buffer import Buffer, GrowingBuffer
from mla_train.data.mapped import Lazy

PIECE = 1 << 20  # bytes that are added to the buffer at a time
READ = 1000  # texts that are read at a time


class TextStore(Lazy):
    """Texts, one behind the other; texts are added until the first is asked for.

    Args:
        texts: Texts, taken one after the other; None is missing. Cells of a column that are no texts are kept as they are.
    """

    def __init__(self, texts: Iterable[Any] = ()) -> None:
        self._growing = GrowingBuffer(np.uint8)
        self._pending = bytearray()
        self._codes = array("i")  # length of a text; of another cell -1 - its place among these
        self._others: list[Any] = [None]
        self._buffer: Buffer | None = None
        self.extend(texts)

    def append(self, text: Any) -> None:
        """Adds a text."""
        if type(text) is str:
            content = text.encode("utf-8", "surrogatepass")
            self._codes.append(len(content))
            self._pending += content
            if len(self._pending) > PIECE:
                self._flush()
            return
        if text is not None:
            self._others.append(text)
        self._codes.append(-1 if text is None else -len(self._others))

    def extend(self, texts: Iterable[Any]) -> None:
        """Adds texts."""
        for text in texts:
            self.append(text)

    def __iadd__(self, texts: Iterable[Any]) -> "TextStore":
        self.extend(texts)
        return self

    def _flush(self) -> None:
        self._growing.add(np.frombuffer(bytes(self._pending), np.uint8))
        self._pending = bytearray()

    def _finish(self) -> Buffer:
        """The bytes of all texts."""
        if self._buffer is None:
            self._flush()
            self._buffer = self._growing.finish()
            del self._growing
            self.codes = np.frombuffer(self._codes, np.int32) if self._codes else np.zeros(0, np.int32)
            lengths = self.codes.clip(0)
            self.starts = lengths.cumsum(dtype=np.int64)
            self.starts -= lengths
        return self._buffer

    @property
    def size(self) -> int:
        """Number of bytes of the texts."""
        self._finish()
        return int(self.codes.clip(0).sum(dtype=np.int64))

    def __len__(self) -> int:
        return len(self._codes) if self._buffer is None else len(self.codes)

    def value(self, place: int) -> Any:
        """See `Lazy`."""
        return next(self._read(slice(place, place + 1)))

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self._read(slice(at, at + READ)) for at in range(0, len(self), READ))

    def _read(self, places: slice) -> Iterator[Any]:
        content = self._finish().numbers.data
        for start, code in zip(self.starts[places].tolist(), self.codes[places].tolist(), strict=True):
            is_text = code >= 0
            yield str(content[start : start + code], "utf-8", "surrogatepass") if is_text else self._others[-code - 1]

    def select(self, places: Any) -> "TextStore":
        """See `Lazy`."""
        self._finish()
        view = copy(self)
        view._codes = array("i")
        view.codes, view.starts = self.codes[places], self.starts[places]
        return view
