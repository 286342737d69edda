"""From tables to raw examples: which column is which input, where images lie, what the label is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mla_train.config import OnError
from mla_train.data.examples import Examples, RawData
from mla_train.data.rows import Rows
from mla_train.data.tables import read_tables, report_broken
from mla_train.errors import UserError

LABEL_NAMES = (
    "label", "label_coarse_original", "label_coarse", "coarse_label", "fine_label", "labels", "class", "category",
)  # fmt: skip
TEXT_NAMES = ("text", "sentence", "review", "content", "message")
IMAGE_NAMES = ("image", "img", "picture", "photo", "file", "path")


@dataclass(frozen=True)
class InputColumn:
    """Where an input stands in a table.

    Attributes:
        option: Option that names the column, such as `text_column`.
        names: Usual names of the column, tried in order.
        is_image: Whether cells hold images: bytes, or paths relative to the file.
    """

    option: str
    names: tuple[str, ...]
    is_image: bool = False


INPUTS = {
    "text": InputColumn("text_column", TEXT_NAMES),
    "image": InputColumn("image_column", IMAGE_NAMES, is_image=True),
}


def read_table_examples(options: Any, inputs: Sequence[str]) -> RawData:
    """Reads tables with inputs and a label in each row.

    Args:
        options: `data` options of the run, among them those of files, columns and labels.
        inputs: Names of the inputs, keys of `INPUTS`.

    Raises:
        UserError: A file or a column does not exist, a row cannot be read or has no label.
    """
    tables = read_tables(options, " and ".join(f"{name}s" for name in inputs))
    # A row that is broken as a whole cannot be kept without its image.
    on_error = OnError.skip if options.on_error is OnError.missing else options.on_error
    notes = report_broken(tables, on_error)
    splits, classes = {}, None
    for split, table in tables.items():
        label_column = find_column(table, options.label_column, LABEL_NAMES, "data.label_column")
        labels = _labels(table, label_column, options.label_separator, notes)
        classes = table.class_names.get(label_column, classes)
        names = [f"{table.file} row {number}" for number in range(1, len(labels) + 1)]
        values: dict[str, Sequence[Any]] = {}
        for name in inputs:
            column = INPUTS[name]
            asked = getattr(options, column.option)
            chosen = find_column(table, asked, column.names, f"data.{column.option}")
            cells = table.column(chosen)
            if column.is_image:
                values[name] = _images(cells, table.file, names)
                if isinstance(next((cell for cell in cells if not is_empty(cell)), None), str):
                    names = [name if is_empty(cell) else str(cell) for name, cell in zip(names, cells, strict=True)]
            else:
                values[name] = [None if is_empty(cell) else cell for cell in cells]
        splits[split] = Examples(values, labels, names)
    if "train" not in splits:
        raise UserError(f"there is no train split, only {', '.join(splits)}: name it with data.train=FILE")
    return RawData(splits, notes, classes)


def find_column(table: Rows, asked: str | None, usual: tuple[str, ...], option: str) -> str:
    """Name of a column: the one that is asked for, or the first of the usual ones.

    Args:
        table: Table to search.
        asked: Name that the user gave; None tries the usual ones.
        usual: Usual names, tried in order.
        option: Option that names the column, for the error message.

    Raises:
        UserError: There is no such column.
    """
    column = asked if asked in table.columns else next((name for name in usual if name in table.columns), None)
    if column is None or (asked is not None and column != asked):
        raise UserError(
            f"{table.file} has no column {asked or usual[0]}; there are {', '.join(table.columns)}. Name the one with "
            f"{option}="
        )
    return column


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: none, NaN, or a text of blanks."""
    if isinstance(cell, float):
        return math.isnan(cell)
    return cell is None or (isinstance(cell, str) and not cell.strip())


def _labels(table: Rows, column: str, separator: str | None, notes: list[str]) -> list[Any]:
    labels = table.column(column)
    empty = [i for i, label in enumerate(labels) if is_empty(label)]
    if empty and separator is not None:
        notes.append(f"{len(empty):,} rows of {table.file} have an empty {column}: they are examples without any label")
    elif empty:
        raise UserError(
            f"{table.file} has {len(empty)} rows without {column}, the first is row {empty[0] + 1}: correct or remove them"
        )
    odd = next((i for i, label in enumerate(labels) if isinstance(label, Mapping)), None)
    if odd is not None:
        raise UserError(f"{table.file}: {column} holds no label in row {odd + 1}: name another with data.label_column=")
    return labels


def _images(cells: Sequence[Any], file: Path, names: Sequence[str]) -> list[Any]:
    """Bytes of images, or files that lie in the folder of the table."""
    folder, images = file.parent.resolve(), []
    for cell, name in zip(cells, names, strict=True):
        if isinstance(cell, Mapping) and cell.get("bytes"):
            images.append(cell["bytes"])
            continue
        path = cell.get("path") if isinstance(cell, Mapping) else cell
        if is_empty(path):
            images.append(None)
        elif isinstance(path, bytes):
            images.append(path)
        elif isinstance(path, str):
            images.append(_locate(path, folder, name))
        else:
            raise UserError(
                f"{name}: the image is no path but {type(path).__name__}: write the path of an image file, or name another "
                "column with data.image_column="
            )
    return images


def _locate(path: str, folder: Path, name: str) -> Path:
    """The file that a path names, links followed.

    Args:
        path: Path relative to the folder.
        folder: Folder of the table, links followed.
        name: Name of the row, for the error message.

    Raises:
        UserError: It lies outside the folder.
    """
    try:
        file = (folder / path).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, signs that no path can have
        return folder / "unreadable path"
    if not file.is_relative_to(folder):
        raise UserError(
            f"{name}: the image {path} lies outside the folder of the table, {folder}; only images inside are read: put "
            "it there"
        )
    return file
