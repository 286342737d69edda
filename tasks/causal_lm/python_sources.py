"""The modules of Python's standard library as texts: each file whole, with its split by a hash of its path."""

import sysconfig
from hashlib import blake2b
from pathlib import Path

from mla_train.data.examples import Examples, RawData
from mla_train.data.splits import SPLITS
from mla_train.errors import require
from tasks.causal_lm.config import PythonSourcesConfig

LEFT_OUT = {
    "__pycache__", "dist-packages", "encodings", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tests"
}  # fmt: skip
"""Folders that are not read: tests, packages that are installed, tables that a program wrote."""
ENDS = {"train": 0.9, "val": 0.95, "test": 1.0}


def read_python_sources(options: PythonSourcesConfig) -> RawData:
    """Files in an order that depends on their paths alone, up to so many bytes.

    Raises:
        UserError: This Python has no sources.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [file.relative_to(root).as_posix() for file in root.rglob("*.py")]
    paths = [path for path in paths if not LEFT_OUT & set(path.split("/")[:-1])]
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    size = 0
    for path in sorted(paths, key=lambda path: _share(path, "order")):  # else a limit would keep the first letters
        try:
            content = (root / path).read_bytes()
            text = content.decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        if size + len(content) > options.max_bytes_read:
            break
        size += len(content)
        share = _share(path, "split")
        split = next(split for split in SPLITS if share < ENDS[split])
        texts[split].append(text)
        names[split].append(path)
    require(
        all(texts.values()),
        f"data=python_sources: {root} has too few .py files: raise data.max_bytes_read, or use data=text_lines",
    )
    counts = ", ".join(f"{len(texts[split]):,} {split}" for split in SPLITS)
    note = f"{size:,} bytes of the sources of Python in {root}: {counts} files"
    splits = {split: Examples({"text": texts[split]}, [None] * len(names[split]), names[split]) for split in SPLITS}
    return RawData(splits, [note])


def _share(path: str, use: str) -> float:
    """A number from 0 to 1 that depends on a path alone, for one use."""
    return int.from_bytes(blake2b(f"{use} {path}".encode(), digest_size=7).digest(), "big") / 2**56
