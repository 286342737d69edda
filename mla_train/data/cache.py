"""A cache on disk for results that take time to compute. It is optional: where it cannot be used, all is computed.

An entry is an npz file of plain values and arrays, whose members have checksums (CRC-32); nothing is unpickled. Its name holds
a hash of all that the result depends on: arguments, files, source code and versions of packages. $MLA_TRAIN_CACHE names the
folder, and `data.cache=false` turns the cache off.
"""

import json
import os
import platform
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, wraps
from hashlib import blake2b
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.data.plain_values import TREE, decode, encode
from mla_train.errors import printable
from mla_train.program import PACKAGE
from mla_train.safe_files import UNFINISHED, atomic_path

MOST_BYTES = 2_000_000_000  # of all entries; the least recently used are removed beyond
MOST_DAYS = 90  # since an entry was last used
TICK = 0.02  # seconds between the stamp of a file and its reading, so that a change after it has another time
OWN = re.compile(rf"({re.escape(UNFINISHED)}[0-9a-f]{{8}}\.)?\w+-[0-9a-f]{{32}}\.npz")
"""Names of entries, also while they are written."""
PACKAGES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "Pillow",
    "tokenizers",
    "babel",
    "kaomoji-dataset",
    "soundfile",
    "espeakng-loader",
)
"""Packages that results are computed with."""

_is_on = True
_said: set[str] = set()


def use_cache(wanted: bool) -> None:
    """Turns the cache of this process on or off."""
    global _is_on
    _is_on = wanted


def cached(function: Callable[..., Any], ignore: Sequence[str] = (), kind: type | None = None) -> Callable[..., Any]:
    """Keeps results on disk: None, numbers, texts, bytes, arrays, and lists, tuples and dictionaries of them.

    Args:
        function: Function whose results are cached.
        ignore: Names of arguments for which others speak, such as those of files beside their times.
        kind: Dataclass of the results, if they are of one.
    """

    @wraps(function)
    def call(*arguments: Any) -> Any:
        folder = cache_folder() if _is_on else None
        if folder is None:
            return function(*arguments)
        known = [
            value for name, value in zip(signature(function).parameters, arguments, strict=False) if name not in ignore
        ]
        try:
            file = folder / f"{function.__name__}-{_key(function, known)}.npz"
        except TypeError as error:  # an argument of a kind that has no hash
            say_once(f"{function.__name__} is not cached: it is given {error}")
            return function(*arguments)
        try:
            stored = _read(file)
            return stored if kind is None else kind(**stored)
        except FileNotFoundError:
            pass
        except Exception as error:  # a damaged file raises errors of many kinds
            say_once(f"{file} is damaged and computed anew ({error})")
        time.sleep(TICK)
        result = function(*arguments)
        try:
            _write(file, result if kind is None else vars(result))
        except OSError as error:
            say_once(f"{folder} cannot be written, so results are computed anew next time ({error.strerror})")
        except TypeError as error:
            say_once(f"{function.__name__} is not cached: it returns {error}")
        return result

    return call


def cache_folder() -> Path | None:
    """The folder of the entries, which nobody but the user can read or write; None where there cannot be one."""
    try:
        named = os.environ.get("MLA_TRAIN_CACHE")
        folder = (Path(named) if named else Path.home() / ".cache" / "mla_train") / "results"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            say_once(f"{folder} is not a folder of yours, so nothing is cached")
            return None
        if status.st_mode & 0o077:
            folder.chmod(0o700)
    except (OSError, RuntimeError) as error:  # it is a file, cannot be made, or there is no home
        say_once(f"nothing is cached: {error}; $MLA_TRAIN_CACHE names another folder")
        return None
    return folder


def _key(function: Callable[..., Any], arguments: Sequence[Any]) -> str:
    """A hash of all that a result depends on."""
    arrays: list[np.ndarray] = []
    tree = encode([function.__module__, function.__qualname__, *arguments], arrays, stamp)
    known = blake2b(
        json.dumps([tree, _code(function.__module__.partition(".")[0]), _versions()]).encode(), digest_size=16
    )
    for array in arrays:
        known.update(f"{array.dtype.str}{array.shape}".encode())
        known.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return known.hexdigest()


def stamp(path: Path) -> str:
    """Path, size, identity and times of a file. The time of its status changes with every write, and cannot be set back."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return str(path)
    times = f"{status.st_mtime_ns}\t{status.st_ctime_ns}"
    return f"{os.path.abspath(path)}\t{status.st_size}\t{status.st_dev}\t{status.st_ino}\t{times}"


@cache
def _code(package: str) -> str:
    """A hash of the source of this package, and of another that has the function."""
    known = blake2b(digest_size=16)
    for folder in dict.fromkeys([PACKAGE, *_sources(package)]):
        for file in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            known.update(f"{file}\n".encode())
            known.update(file.read_bytes())
    return known.hexdigest()


def _sources(package: str) -> Iterator[Path]:
    """The folder of a package, or the file of a module."""
    module = sys.modules.get(package)
    file = getattr(module, "__file__", None)
    yield from map(Path, getattr(module, "__path__", [file] if file else []))


@cache
def _versions() -> list[str]:
    """Versions of what computes, and the number of threads, on which sums depend."""
    threads = os.environ.get("OMP_NUM_THREADS") or str(os.cpu_count())
    versions = [platform.python_version(), platform.machine(), threads]
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            versions.append(f"{package} {version(package)}")
    return versions


def _read(file: Path) -> Any:
    """The result of an entry, which counts as used now."""
    with np.load(file, allow_pickle=False) as content:
        if damaged := content.zip.testzip():  # a member that is not read to its end is not compared with its checksum
            raise ValueError(f"{damaged} is not as it was written")
        result = decode(json.loads(content[TREE].tobytes()), content)
    with suppress(OSError):
        os.utime(file)
    return result


def _write(file: Path, result: Any) -> None:
    """Writes an entry as a whole or not at all, and removes old ones."""
    arrays: list[np.ndarray] = []
    tree = np.frombuffer(json.dumps(encode(result, arrays)).encode(), np.uint8)
    if tree.nbytes + sum(array.nbytes for array in arrays) > MOST_BYTES // 2:
        return
    members: dict[str, Any] = {TREE: tree} | {str(place): array for place, array in enumerate(arrays)}
    with atomic_path(file) as part, part.open("wb") as stream:
        np.savez(stream, **members)
    _remove_old(file.parent)


def _remove_old(folder: Path) -> None:
    """Removes entries that were long not used, then the least recently used ones beyond the size of the cache."""
    entries = []
    for entry in os.scandir(folder):
        if not OWN.fullmatch(entry.name):  # somebody else's: $MLA_TRAIN_CACHE may name any folder
            continue
        with suppress(OSError):  # another process has removed it
            status = entry.stat(follow_symlinks=False)
            entries.append((status.st_mtime, status.st_size, entry.path))
    total = 0
    for used, size, path in sorted(entries, reverse=True):
        total += size
        days = (time.time() - used) / 86400
        if total > MOST_BYTES or days > (1 if Path(path).name.startswith(UNFINISHED) else MOST_DAYS):
            with suppress(OSError):
                os.unlink(path)


def say_once(message: str) -> None:
    """Prints a line once."""
    if message not in _said:
        _said.add(message)
        print(printable(f"cache: {message}"), file=sys.stderr)
