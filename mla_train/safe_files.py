"""Files that are written completely or not at all, and whose damage is noticed when they are read."""

import hashlib
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from mla_train.locks import require_in_place

CHECKSUMS = "SHA256SUMS"
"""File beside checked files: one line for each content that a file may have, as `sha256sum` writes it."""
UNFINISHED = ".unfinished."
"""Prefix of a file that is being written."""
LONGEST_CHECKSUMS = 1_000_000
"""Characters that are read of it: a stranger's may have no end."""
MOST_CHECKSUMS = 16
"""Of one file: one for each kill between the writing of a checksum and of its file, before the next one is complete."""


@contextmanager
def atomic_path(file: Path, checked: bool = False, previous: Path | None = None) -> Iterator[Path]:
    """A path beside a file to write to, which takes the file's place at the end; after an error or a kill the old file stays.

    Args:
        file: File to write; the path to write to has the same ending.
        checked: Whether a checksum is kept, by which `is_whole` judges the file.
        previous: Name beside the file that its old content gets; None drops it.

    Raises:
        OSError: Its folder is locked by this process, and was moved away since.
    """
    require_in_place(file)
    part = file.with_name(f"{UNFINISHED}{token_hex(4)}.{file.name}")
    try:
        yield part
        _sync(part)
        if checked:
            _add_checksum(file, part, previous)
        if previous is not None and file.exists():
            _keep_as(previous, file)
        require_in_place(file)
        os.replace(part, file)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    with suppress(OSError):  # not every file system can do this for a folder
        _sync(file.parent)


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """A new folder beside another to write to, which takes its place at the end; after an error the old one stays.

    A kill between the two moves at the end leaves both, whole, under names that begin with `.unfinished.`.

    Raises:
        OSError: As in `atomic_path`.
    """
    require_in_place(folder)
    part = folder.with_name(f"{UNFINISHED}{token_hex(4)}.{folder.name}")
    part.mkdir(parents=True)
    try:
        yield part
        for file in part.rglob("*"):
            _sync(file)
        require_in_place(folder)
        old = folder.with_name(f"{UNFINISHED}{token_hex(4)}.{folder.name}")
        if folder.exists():  # moved before it is removed: a kill leaves no half of it in its place
            os.replace(folder, old)
        try:
            os.replace(part, folder)
        except OSError:
            with suppress(OSError):
                os.replace(old, folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    with suppress(OSError):
        _sync(folder.parent)


def write_atomically(file: Path, content: str | bytes, checked: bool = False) -> None:
    """Writes a whole file, see `atomic_path`; text as UTF-8, with halves of characters escaped."""
    with atomic_path(file, checked) as part:
        part.write_bytes(content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)


def finished_name(path: str) -> str:
    """The path that a file has when it is written, for messages."""
    return re.sub(rf"{re.escape(UNFINISHED)}[0-9a-f]{{8}}\.", "", path)


def remove_unfinished(folder: Path) -> None:
    """Removes what killed processes have left half written in a run folder."""
    for pattern in (f"{UNFINISHED}*", f"*/{UNFINISHED}*", f"figures/*/{UNFINISHED}*"):
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def is_whole(file: Path) -> bool:
    """Whether a file is there, and is as it was written; without a checksum only the former."""
    if not file.is_file():
        return False
    known = checksums(file.parent)[file.name]
    return not known or _digest(file) in known


def keep_checksum(file: Path) -> None:
    """Keeps the checksum of a file that another library has written, by which `is_whole` judges it."""
    _add_checksum(file, file, None)


def checksums(folder: Path) -> defaultdict[str, list[str]]:
    """Checksums of each file of a folder, the newest last."""
    known, file, text = defaultdict(list), folder / CHECKSUMS, ""
    if file.is_file():
        with file.open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(LONGEST_CHECKSUMS)
    for digest, name in re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.MULTILINE):
        known[name].append(digest)
    return known


def _add_checksum(file: Path, part: Path, previous: Path | None) -> None:
    # Old content stays valid until the new one is in place: a kill between the two leaves nothing that looks damaged.
    known = checksums(file.parent)
    if previous is not None:
        known[previous.name] += known[file.name]
    known[file.name].append(_digest(part))
    lines = [
        f"{digest}  {name}\n" for name, each in known.items() for digest in list(dict.fromkeys(each))[-MOST_CHECKSUMS:]
    ]
    write_atomically(file.parent / CHECKSUMS, "".join(lines))


def _keep_as(previous: Path, file: Path) -> None:
    """Gives a file a second name, so that it is there at every moment; without hard links it is moved."""
    link = previous.with_name(f"{UNFINISHED}{token_hex(4)}.{previous.name}")
    try:
        os.link(file, link)
    except OSError:
        os.replace(file, previous)
        return
    os.replace(link, previous)
    link.unlink(missing_ok=True)  # replace does nothing where both are the same file, as a kill after it leaves them


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
