"""From tables to raw examples: which column is which input, where images lie, what the label is."""

from collections.abc import Mapping, Sequence
from typing import Any

from mla_train.config import OnError
from mla_train.data.examples import Examples, RawData
from mla_train.data.image_paths import find_images
from mla_train.data.rows import row_keys, row_names
from mla_train.data.tables.cells import as_text, is_empty, is_missing
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table
from mla_train.data.texts import join_texts
from mla_train.errors import UserError

LABEL_NAMES = (
    "label", "label_coarse_original", "label_coarse", "coarse_label", "fine_label", "labels", "class", "category",
)  # fmt: skip
INPUT_NAMES = {
    "text": ("text", "sentence", "review", "content", "message"),
    "image": ("image", "img", "picture", "photo", "file", "path", "file_name", "filename", "image_path"),
}
"""Usual names of the column of each input; `data.NAME_column` names another."""


def read_table_examples(options: Any, inputs: Sequence[str]) -> RawData:
    """Reads tables with inputs and a label in each row.

    Args:
        options: `data` options of the run, among them those of files, columns and labels.
        inputs: Names of the inputs, keys of `INPUT_NAMES`.

    Raises:
        UserError: A file or a column does not exist, a row cannot be read or has no label.
    """
    tables = read_tables(options, " and ".join(f"{name}s" for name in inputs))
    # A row that is broken as a whole cannot be kept without its image.
    on_error = OnError.skip if options.on_error is OnError.missing else options.on_error
    notes = report_broken(tables, on_error)
    splits, classes = {}, None
    for split, table in tables.items():
        label_column, labels = read_labels(table, options, notes)
        classes = table.class_names.get(label_column, classes)
        beside = None
        values: dict[str, Sequence[Any]] = {}
        for name in inputs:
            option = f"{name}_column"
            asked = getattr(options, option)
            if isinstance(asked, list):
                columns = [find_column(table, each, (), f"data.{option}") for each in asked]
                texts = [read_texts(table.column(c), f"{table.file} column {c}", table.places, notes) for c in columns]
                values[name] = [join_texts(row, options.texts) for row in zip(*texts, strict=True)]
                continue
            column = find_column(table, asked, INPUT_NAMES[name], f"data.{option}")
            cells = table.column(column)
            if name == "image":
                values[name], beside = find_images(cells, table.origins, notes)
            else:
                values[name] = read_texts(cells, f"{table.file} column {column}", table.places, notes)
        names = row_names(table, options, notes, beside)
        splits[split] = Examples(values, labels, names, **row_keys(table, options))
    if "train" not in splits:
        raise UserError(f"there is no train split, only {', '.join(splits)}: name it with data.train=FILE")
    return RawData(splits, notes, classes)


def read_texts(cells: Sequence[Any], where: str, places: Sequence[str], notes: list[str]) -> list[str | None]:
    """Cells as texts, None where there is none.

    Args:
        cells: Cells of a column.
        where: Name of the column and of its file, for messages.
        places: Place of each cell in the file.
        notes: Lines for the user; the number of damaged texts is added.

    Raises:
        UserError: A cell is no text.
    """
    texts: list[str | None] = []
    for cell, place in zip(cells, places, strict=True):
        try:
            texts.append(None if is_empty(cell) else as_text(cell))
        except TypeError as error:
            raise UserError(f"{where}: {error} ({place})") from error
    replaced = sum(
        text is not None and "\N{REPLACEMENT CHARACTER}" in text and not _is_whole(cell)
        for text, cell in zip(texts, cells, strict=True)
    )
    if replaced:
        notes.append(
            f"{where}: {replaced:,} texts hold halves of characters or bytes that are not UTF-8, which became "
            "\N{REPLACEMENT CHARACTER}"
        )
    return texts


def _is_whole(cell: Any) -> bool:
    """Whether a text or its bytes can be written and read as UTF-8."""
    try:
        return bool(cell.decode() if isinstance(cell, bytes) else str(cell).encode())
    except UnicodeError:
        return False


def find_column(table: Table, asked: str | None, usual: tuple[str, ...], option: str) -> str:
    """Name of a column: the one that is asked for, or the first of the usual ones.

    Raises:
        UserError: There is no such column.
    """
    choices = usual if asked is None else (asked,)
    column = next((name for name in choices if name in table.columns), None)
    if column is None:
        raise UserError(
            f"{table.file} has no column {choices[0]}; there are {', '.join(table.columns)}. "
            f"Name the one with {option}="
        )
    return column


def read_labels(table: Table, options: Any, notes: list[str]) -> tuple[str, list[Any]]:
    """The column of the labels, and the label of each row; with a separator between labels a row may have none."""
    column = find_column(table, options.label_column, LABEL_NAMES, "data.label_column")
    labels = table.column(column)
    empty = [i for i, label in enumerate(labels) if is_missing(label, options.na_values)]
    if empty and options.label_separator is not None:
        notes.append(f"{len(empty):,} rows of {table.file} have an empty {column}: they are examples without any label")
    elif empty:
        raise UserError(
            f"{table.file} has {len(empty)} rows without {column}, the first is {table.places[empty[0]]}: correct or remove them"
        )
    odd = next((i for i, label in enumerate(labels) if isinstance(label, Mapping)), None)
    if odd is not None:
        raise UserError(
            f"{table.file}: {column} holds no label in {table.places[odd]}: name another with data.label_column="
        )
    return column, labels
