"""Locks that the kernel takes away from a process that ends, however it ends, so that none is ever left behind."""

import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

TRIES = 5
_HELD: dict[int, Path] = {}
"""Handles of the locks of this process, and their files."""


@contextmanager
def lock(file: Path) -> Iterator[bool]:
    """Creates a file and locks it until the end of the block, where it is removed; yields whether it was free."""
    handle = _open_locked(file)
    if handle is None:
        yield False
        return
    _HELD[handle] = file.absolute()
    try:
        os.truncate(handle, 0)
        os.write(
            handle, f"process {os.getpid()} on {socket.gethostname()} since {datetime.now():%Y-%m-%d %H:%M}".encode()
        )
        yield True
    finally:
        del _HELD[handle]
        with suppress(FileNotFoundError):
            if _is_open_as(
                handle, file
            ):  # else the folder was moved, and another process has locked a new one in its place
                file.unlink()
        os.close(handle)


def is_locked(file: Path) -> bool:
    """Whether a living process holds a lock."""
    try:
        handle = os.open(file, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        return False
    try:
        return not _lock(handle)
    finally:
        os.close(handle)


def holds(file: Path) -> bool:
    """Whether this process holds the lock that a file is, and not one that was moved away from it."""
    with suppress(FileNotFoundError):
        return any(_is_open_as(handle, file) for handle in _HELD)
    return False


def require_in_place(file: Path) -> None:
    """Raises an OSError where a file stands in a folder that this process has locked, and that was moved away since.

    Another process may have begun in its place, whose files would be written over.
    """
    folders = file.absolute().parents
    if any(held.parent in folders and not holds(held) for held in _HELD.values()):
        raise OSError(errno.ESTALE, "the folder was moved or removed while it was in use", str(file))


def open_own(file: Path, flags: int) -> int:
    """A handle of a file to write to, which is made if need be; OSError where it is a link, which may lead anywhere."""
    return os.open(file, flags | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)


def owner(file: Path) -> str:
    """The process that holds a lock, in words."""
    with suppress(OSError):
        return file.read_text(errors="replace") or "another process"
    return "another process"


def _open_locked(file: Path) -> int | None:
    """The file, locked; None where another process holds it."""
    while True:
        handle = open_own(file, os.O_RDWR)
        if not _lock(handle):
            os.close(handle)
            return None
        with suppress(FileNotFoundError):
            if _is_open_as(handle, file):
                return handle
        os.close(handle)  # its last owner has removed it since it was opened


def _is_open_as(handle: int, file: Path) -> bool:
    return os.path.samestat(os.fstat(handle), file.stat())


def _lock(handle: int) -> bool:
    for _ in range(TRIES):
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(0.02)  # it may be somebody who only asks whether it is locked
    return False


def _forget() -> None:
    for handle in _HELD:
        os.close(handle)
    _HELD.clear()


# A forked process, such as a worker that reads data, shares the lock, and would hold it after the death of its parent.
os.register_at_fork(after_in_child=_forget)
