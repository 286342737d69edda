"""Reading of a data set, where it is small before torch is loaded: what is wrong with it is then said at once."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

from mla_train.config import FileOptions, SeriesTableOptions
from mla_train.data.cache import use_cache
from mla_train.data.packed import MAX_BYTES, OPENERS, limit_unpacking
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables.splits import named_files
from mla_train.errors import UserError

SMALL = 20_000_000  # bytes that are read in about the time in which torch is loaded
PACKED = 10  # a compressed file counts as so many times its bytes

_ahead: list[tuple[Any, Any]] = []  # options and what they read, until it is asked for


def read(options: Any) -> Any:
    """The raw data of `data` options: `_target_`, called with them; once what was read ahead."""
    use_cache(getattr(options, "cache", True))
    limit_unpacking(getattr(options, "max_bytes", MAX_BYTES))
    ahead = _ahead.pop() if _ahead else (None, None)
    return ahead[1] if ahead[0] == options else import_object(options._target_)(options)


def read_ahead(options: Any) -> None:
    """Reads small files that options name, and keeps what was read for `read`.

    Raises:
        UserError: They cannot be read.
    """
    files = list(_files(options))
    sizes = (file.stat().st_size * (PACKED if file.suffix in OPENERS else 1) for file in files)
    if files and sum(sizes) <= SMALL:
        raw = read(options)
        _ahead[:] = [(deepcopy(options), raw)]


def _files(options: Any) -> Iterator[Path]:
    """Files that the options name; of a folder those that lie directly in it, as images count little before they are decoded."""
    named = []
    if isinstance(options, FileOptions):
        named = [file for split in PART_NAMES for file in named_files(getattr(options, split) or [], split)]
    elif isinstance(options, SeriesTableOptions):
        named = [Path(options.path)] if options.path else []
    elif hasattr(options, "download"):
        return
    root = getattr(options, "root", None)
    if root is not None and Path(root).exists():
        named += [Path(root), *(Path(root).iterdir() if Path(root).is_dir() else ())]
    yield from (file for file in named if file.exists())


def import_object(path: str) -> Callable[..., Any]:
    """A class or function by its import path, `package.module.Name`; raises UserError where there is none."""
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"_target_={path} cannot be imported: {error}") from error
