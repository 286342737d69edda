"""What is wrong with the files of a data set, as far as their names and first rows tell it: known before torch is loaded."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from mla_train.config import FileOptions, SeriesFileOptions, SeriesTableOptions
from mla_train.data.packed import MAX_BYTES, check_regular, limit_unpacking
from mla_train.data.readers import INPUT_NAMES, LABEL_NAMES, find_column
from mla_train.data.split_file import is_splits_file
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables import open_source
from mla_train.data.tables.source import format_of
from mla_train.data.tables.splits import find_parts, named_files
from mla_train.data.tables.table import Table
from mla_train.errors import UserError

WITH_HEADER = ("csv", "tsv", "parquet", "arrow")
"""Formats whose first bytes name all columns."""
COLUMNS = ("text", "image", "audio", "label", "source", "target", "id", "group", "time", "split")
"""Options `NAME_column` of tables of examples."""
LISTS = ("targets", "known", "observed", "static")
"""Options of tables of series that list columns."""


def check_files(options: Any) -> None:
    """Looks at the files that `data` options name; readers of other kinds of data say themselves what is wrong.

    Raises:
        UserError: A file does not exist, is empty, or lacks a column that is asked for.
    """
    limit_unpacking(getattr(options, "max_bytes", MAX_BYTES))
    for split, file in _files(options):
        kind = format_of(file)
        if kind not in WITH_HEADER or isinstance(options, SeriesFileOptions):
            check_regular(file)
            continue
        source = open_source(file, options=options)
        if next(source.rows, None) is None:
            raise UserError(f"{source.name} has no rows")
        _check_columns(Table(file, {name: [] for name in source.columns if name}, []), split, options)


def _files(options: Any) -> Iterator[tuple[str, Path]]:
    """Files with the split that they hold; of several files of a split the first."""
    if isinstance(options, SeriesTableOptions):
        if options.path is not None:
            yield "train", named_files(options.path, "path")[0]
        return
    root = getattr(options, "root", None)
    if root is not None and not Path(root).exists() and not hasattr(options, "download"):
        raise UserError(f"data.root={root}: there is no such folder ({Path(root).resolve()})")
    if not isinstance(options, FileOptions):
        return
    files: dict[str, list[Path]] = {}
    if root is not None:
        with suppress(UserError):  # a folder of another shape, which its reader knows
            files = {"train": [Path(root)]} if Path(root).is_file() else find_parts(Path(root))
    files |= {split: named_files(getattr(options, split), split) for split in PART_NAMES if getattr(options, split)}
    for split, those in files.items():
        yield split, those[0]


def _check_columns(table: Table, split: str, options: Any) -> None:
    if isinstance(options, SeriesTableOptions):
        for option in ("time_column", "series_column", *LISTS):
            named = getattr(options, option) or []
            for name in named if isinstance(named, list) else [named]:
                find_column(table, name, (), f"data.{option}")
        return
    inputs = getattr(options, "modalities", None)
    for name in COLUMNS:
        option = f"{name}_column"
        asked = getattr(options, option, None)
        if name == "split" and (asked is None or is_splits_file(asked) or split != "train"):
            continue
        if name in INPUT_NAMES and inputs is not None and name not in inputs:
            continue
        usual = LABEL_NAMES if name == "label" else INPUT_NAMES.get(name, ())
        if asked is None and not (usual and hasattr(options, option)):
            continue
        for column in asked if isinstance(asked, list) else [asked]:
            find_column(table, column, usual, f"data.{option}")
