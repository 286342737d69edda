"""Files that may come from a stranger: regular ones alone, and packed ones up to what `data.max_bytes` allows.

A small file may unpack to gigabytes. It may unpack to `data.max_bytes`, or to 30 times its own size where that is more.
"""

import bz2
import gzip
import io
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mla_train.errors import UserError

OPENERS: dict[str, Any] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open}
UNPACKERS: dict[str, Callable[[], Any]] = {".xz": lzma.LZMADecompressor, ".bz2": bz2.BZ2Decompressor}
"""What unpacks formats whose openers skip bytes behind the end."""
UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile)
MAX_BYTES = 200_000_000
TIMES = 30
"""Times its size that a file may unpack to at least."""
PIECE = 1 << 20  # bytes
CELL = 8  # bytes of the shortest cell in memory
LINE = 60  # bytes of the shortest line in memory
MARKS = {",": CELL, ";": CELL, "\t": CELL, "|": CELL, "[": LINE, "{": LINE}
"""Bytes in memory of what begins or ends at a sign of a line: a cell, a list or an object of JSON."""

_most = MAX_BYTES


def limit_unpacking(most: int) -> None:
    """Sets what a packed file may unpack to, in bytes."""
    global _most
    _most = most


def most_bytes() -> int:
    """What a small file may unpack to."""
    return _most


def check_unpacked(count: float, size: int, name: str) -> None:
    """Raises UserError where a file of a size unpacks to more bytes than it may."""
    if count > max(_most, TIMES * size):
        raise UserError(
            f"{name} has {size:,} bytes and unpacks to more than {max(_most, TIMES * size):,}: it may be made to fill the "
            "memory. If you trust it, unpack it first, or set data.max_bytes= higher"
        )


def check_cells(rows: int, columns: int, size: int, name: str, cell: int = CELL) -> None:
    """Raises UserError where a file of a size becomes a table of more cells than it may, most of them empty.

    Args:
        rows: Number of rows.
        columns: Number of different columns of all rows.
        size: Bytes of the file.
        name: Name of the file, for messages.
        cell: Bytes of a cell in memory.
    """
    if rows * columns * cell > max(_most, TIMES * size):
        raise UserError(
            f"{name} has {size:,} bytes and becomes a table of {rows:,} rows and {columns:,} columns, too many to be held in "
            "memory: its rows have different keys, or few cells. Give all rows the same columns, or set data.max_bytes= higher"
        )


def check_lines(lines: Iterator[str], size: int, name: str) -> Iterator[str]:
    """The lines of a packed file of a size; raises UserError where they and their cells are more than may be held in memory."""
    most, held = max(_most, TIMES * size), 0
    for line in lines:
        held += LINE + sum(cost * line.count(mark) for mark, cost in MARKS.items())
        if held > most:
            raise UserError(
                f"{name} has {size:,} bytes and unpacks to more than {most // LINE:,} lines, or as many cells or lists as would "
                "take their place: it may be made to fill the memory. If you trust it, unpack it first, or set data.max_bytes= "
                "higher"
            )
        yield line


def is_small(size: int) -> bool:
    """Whether a file could fill the memory by surprise; a larger one may unpack to a multiple of its own size."""
    return TIMES * size <= _most


def check_regular(path: str | Path) -> int:
    """The size of a file.

    Raises:
        UserError: It does not exist, or is no regular file: a named pipe would be waited for without end.
    """
    try:
        status = os.stat(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: there is no such file ({os.path.abspath(path)})") from error
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a named pipe, a device or a socket"
        raise UserError(f"{path} is {what} and no regular file: write the data into a file")
    return status.st_size


def is_packed_name(path: str | Path) -> bool:
    """Whether a file is compressed, by its ending."""
    return Path(path).suffix.lower() in OPENERS


def open_packed(path: str | Path) -> BinaryIO:
    """Opens a regular file, decompressed.

    Raises:
        UserError: It is no regular file, or unpacks to more than it may.
    """
    size = check_regular(path)
    if not is_packed_name(path):
        return open(path, "rb")
    if is_small(size):  # it is looked through before, so that no part of what is too much is kept
        _look_through(str(path), size, os.stat(path).st_mtime_ns, _most)
    return io.BufferedReader(_Limited(_opener(path), size, str(path)), PIECE)


class _Streams(io.RawIOBase):
    """Unpacked bytes of compressed streams one behind the other; other bytes behind them, which bz2 and lzma skip, are an error.

    Args:
        path: File.
        unpacker: Makes what unpacks a stream.
    """

    def __init__(self, path: str | Path, unpacker: Callable[[], Any]) -> None:
        self.file, self.unpacker = open(path, "rb"), unpacker  # noqa: SIM115
        self.stream, self.place = unpacker(), 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        data = b""
        while not data:
            packed = self.stream.unused_data if self.stream.eof else b""
            if self.stream.eof:
                while not (packed := packed.lstrip(b"\0")):  # which may fill up a file
                    if not (packed := self.file.read(PIECE)):
                        return 0
                self.stream = self.unpacker()
                try:
                    data = self.stream.decompress(packed, len(buffer))
                except (OSError, lzma.LZMAError) as error:
                    raise OSError("there are bytes behind its end that are not compressed") from error
                continue
            if self.stream.needs_input and not (packed := self.file.read(PIECE)):
                raise EOFError("it ends before its end is marked")
            data = self.stream.decompress(packed, len(buffer))
        buffer[: len(data)] = data
        self.place += len(data)
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def _opener(path: str | Path) -> BinaryIO:
    ending = Path(path).suffix.lower()
    stream: Any = _Streams(path, UNPACKERS[ending]) if ending in UNPACKERS else OPENERS[ending](path, "rb")
    return stream


@lru_cache(maxsize=64)
def _look_through(path: str, size: int, time: int, most: int) -> None:
    """Unpacks a file to nowhere; once for each of its versions."""
    count = 0
    with _opener(path) as stream:
        while piece := stream.read(PIECE):
            count += len(piece)
            check_unpacked(count, size, path)


class _Limited(io.RawIOBase):
    """A stream of unpacked bytes that ends with an error where there are too many."""

    def __init__(self, stream: BinaryIO, size: int, name: str) -> None:
        self.stream, self.size, self.path = stream, size, name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self.stream.seekable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.stream.seek(offset, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def readinto(self, buffer: Any) -> int:
        piece = self.stream.read(len(buffer))
        buffer[: len(piece)] = piece
        check_unpacked(self.stream.tell(), self.size, self.path)
        return len(piece)

    def close(self) -> None:
        self.stream.close()
        super().close()


def check_zip(content: str | Path | BinaryIO, size: int, name: str) -> None:
    """Checks what the members of a zip file, such as a spreadsheet or npz, unpack to; they cannot be longer than they say.

    Raises:
        UserError: It unpacks to more than it may.
        BadZipFile: It is no zip file.
    """
    with zipfile.ZipFile(content) as archive:
        check_unpacked(sum(member.file_size for member in archive.infolist()), size, name)


@contextmanager
def open_arrays(path: str | Path) -> Iterator[Any]:
    """Arrays of an npz file by name, also of a compressed one; objects, which would be unpickled, are refused.

    Raises:
        UserError: It cannot be read, or unpacks to more than it may.
    """
    try:
        content: Any = io.BytesIO(open_packed(path).read()) if is_packed_name(path) else Path(path)
        size = check_regular(path)
        check_zip(content, size, str(path))
        with np.load(content, allow_pickle=False) as arrays:
            yield arrays
    except (ValueError, MemoryError, KeyError, RuntimeError, *UNREADABLE) as error:
        raise UserError(
            f"{path} cannot be read: {error}. Write it with numpy.savez, numbers and strings alone"
        ) from error
