"""From tables to raw examples: which column is which input, where images lie, what the label is."""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from mla_train.config import OnError, TableOptions
from mla_train.data.examples import LABEL, Examples, RawData
from mla_train.data.file_cells import find_files
from mla_train.data.file_kinds import FILE_KINDS
from mla_train.data.rows import Labels, note_unused, row_keys, row_names
from mla_train.data.tables.cells import (
    EMPTY_WORDS,
    NUMBER_WORDS,
    TEXT_WORDS,
    as_text,
    is_missing,
    is_written_object,
    written_list,
)
from mla_train.data.tables.source import format_of
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table, read_table
from mla_train.data.text_store import TextStore
from mla_train.data.texts import join_texts
from mla_train.errors import UserError, few, require

LABEL_NAMES = (
    "label", "label_coarse_original", "label_coarse", "coarse_label", "fine_label", "labels", "class", "category",
)  # fmt: skip
TARGET_NAMES = ("target", "summary", "highlights", "abstract", "headline")
"""Usual names of the column of a text that is to be written."""
NO_LABELS = "none"  # value of data.label_column
INPUT_NAMES = {
    "text": ("text", "sentence", "review", "content", "message", "article", "document", "dialogue"),
    "image": ("image", "img", "picture", "photo", "file", "path", "file_name", "filename", "image_path"),
    "audio": ("audio", "recording", "sound", "wav", "file", "path", "file_name", "filename", "audio_path"),
}
"""Usual names of the column of each input; `data.NAME_column` names another."""


LONG_NAME = 40
"""Characters of a name of a column that is rather a cell."""


def read_table_examples(options: Any, inputs: Sequence[str]) -> RawData:
    """Reads tables with inputs and a label in each row.

    Args:
        options: `data` options of the run, among them those of files, columns and labels.
        inputs: Names of the inputs, keys of `INPUT_NAMES`.

    Raises:
        UserError: A file or a column does not exist, a row cannot be read or has no label.
    """
    tables = read_tables(options, " and ".join(f"{name}s" for name in inputs), partial(read_table, kind=TextStore))
    # A row that is broken as a whole cannot be kept without its image.
    on_error = OnError.skip if options.on_error is OnError.missing else options.on_error
    notes = report_broken(tables, on_error)
    splits, classes = {}, None
    chosen: dict[str, str] = {}
    for split, whole in tables.items():
        table = labelled_rows(whole, options, notes)
        label_column, labels = read_labels(table, options, notes)
        named = table.class_names.get(label_column, classes)
        if classes not in (None, named):
            raise UserError(
                f"{table.file} names the classes of {label_column} {few(named or [], 4)}, and the split before it {few(classes or [], 4)}: "
                "write the names in place of the numbers"
            )
        classes = named
        beside = None
        values: dict[str, Sequence[Any]] = {}
        used = [label_column]
        for name in inputs:
            option = f"{name}_column"
            asked = getattr(options, option)
            if isinstance(asked, list):
                columns = [find_column(table, each, (), f"data.{option}") for each in asked]
                used += columns
                wheres = [f"{table.file} column {each}" for each in columns]
                texts = [
                    read_texts(table.column(each), where, table.places, notes, options, TextStore)
                    for each, where in zip(columns, wheres, strict=True)
                ]
                values[name] = TextStore(join_texts(row, options.texts) for row in zip(*texts, strict=True))
                continue
            column = find_column(table, asked, INPUT_NAMES[name], f"data.{option}")
            used.append(column)
            if split == "train":
                chosen[name] = column
            cells = table.column(column)
            if name in FILE_KINDS:
                values[name], beside = find_files(cells, table.origins, FILE_KINDS[name], notes)
            else:
                where = f"{table.file} column {column}"
                values[name] = read_texts(cells, where, table.places, notes, options, TextStore)
        if split == "train":
            chosen |= {LABEL: label_column} if label_column else {}
            note_unused(table, used, options, notes)
        names = row_names(table, options, notes, beside)
        splits[split] = Examples(values, labels, names, **row_keys(table, options))
    if "train" not in splits:
        raise UserError(f"there is no train split, only {', '.join(splits)}: name it with data.train=FILE")
    return RawData(splits, notes, classes, chosen)


def read_texts(
    cells: Sequence[Any],
    where: str,
    places: Sequence[str],
    notes: list[str],
    options: TableOptions | None = None,
    kind: Callable[[Iterator[str | None]], Any] = list,
) -> Any:
    """Cells as texts, None where there is none.

    Args:
        cells: Cells of a column.
        where: Name of the column and of its file, for messages.
        places: Place of each cell in the file.
        notes: Lines for the user; the number of damaged texts is added.
        options: Encoding of bytes, and what the user says to mean a missing text.
        kind: Kind of sequence that is made of the texts.

    Raises:
        UserError: A cell is no text.
    """
    options, replaced, words = options or TableOptions(), 0, {*EMPTY_WORDS, "na"}
    odd: list[str] = []

    def read() -> Iterator[str | None]:
        nonlocal replaced
        for cell, place in zip(cells, places, strict=True):
            try:
                text = None if is_missing(cell, options.na_values, TEXT_WORDS) else as_text(cell, options.encoding)
            except TypeError as error:
                raise UserError(f"{where}: {error} ({place})") from error
            if text is not None and "\N{REPLACEMENT CHARACTER}" in text:
                replaced += not _is_whole(cell, options.encoding)
            if text is not None and len(text) < 8 and text.strip().lower() in words:
                odd.append(text)
            yield text

    texts = kind(read())
    note_words(odd, words, where, "data.na_values= names it", notes)
    if replaced:
        notes.append(
            f"{where}: {replaced:,} texts hold halves of characters or bytes that are not UTF-8, which became "
            "\N{REPLACEMENT CHARACTER}; where bytes are of another encoding, data.encoding=cp1252 or the like"
        )
    return texts


def note_words(cells: Iterable[Any], words: Collection[str], where: str, remedy: str, notes: list[str]) -> None:
    """A note on texts or labels that may mean a missing one, as R writes NA, and SQL Server NULL."""
    short = (each.strip() for each in cells if isinstance(each, str) and len(each) < 8)
    counts = Counter(each for each in short if each.lower() in words)
    if counts:
        notes.append(
            f"{where}: {counts.total():,} cells are {few(list(counts))}: where that means a missing value, {remedy}"
        )


def refuse_written_list(cell: Any, where: str) -> None:
    """Raises a UserError where several texts stand in a cell as one, such as "['a', 'b']", which csv makes of a list."""
    texts = written_list(cell) if isinstance(cell, str) else None
    require(
        not texts or not all(isinstance(text, str) for text in texts),
        f"{where} is a list that is written as text, {str(cell)[:80]}: write each text in a row of its own, or a table in jsonl, whose "
        "cells may be lists",
    )


def with_target_texts(
    examples: Examples, table: Table, column: str, notes: list[str], options: TableOptions
) -> Examples:
    """The examples of a table with the texts of a column as targets.

    Args:
        examples: An example for each row, without targets.
        table: The table.
        column: Column of the targets; a list in a cell is several targets, each with the inputs of its row.
        notes: Lines for the user; the number of lists is added.
        options: See `read_texts`.

    Raises:
        UserError: A cell is no text, or is a list that is written as one.
    """
    cells = table.column(column)
    for cell, place in zip(cells, table.places, strict=True):
        refuse_written_list(cell, f"{table.file} {place}: {column}")
    lists = [list(cell) or [None] if isinstance(cell, list | tuple | np.ndarray) else None for cell in cells]
    several = sum(each is not None for each in lists)
    if several:
        notes.append(
            f"{table.file}: {several:,} rows have a list as {column}: each of its texts is a target of that row"
        )
    pairs = [(row, each) for row, cell in enumerate(cells) for each in lists[row] or [cell]]
    places = [table.places[row] for row, _ in pairs]
    texts = read_texts([each for _, each in pairs], f"{table.file} column {column}", places, notes, options)
    examples = replace(examples, targets=cells)
    if len(pairs) > len(table):
        examples = examples.select(np.array([row for row, _ in pairs]))
    return replace(examples, targets=texts)


def _is_whole(cell: Any, encoding: str | None) -> bool:
    """Whether a text can be written as UTF-8, or bytes are of an encoding."""
    try:
        return bool(cell.decode(encoding or "utf-8") if isinstance(cell, bytes) else str(cell).encode())
    except UnicodeError:
        return False


def find_column(table: Table, asked: str | None, usual: tuple[str, ...], option: str) -> str:
    """Name of a column: the one that is asked for, or the first of the usual ones.

    Raises:
        UserError: There is no such column.
    """
    choices = usual if asked is None else (asked,)
    column = next((name for name in choices if name in table.columns), None)
    if column is None:  # Text, LABEL
        plain = {name.strip().lower(): name for name in table.columns}
        column = next((plain[name.lower()] for name in choices if name.lower() in plain), None)
    if column is None:
        there = f"there are {', '.join(table.columns)}" if table.columns else "it has no columns"
        raise UserError(
            f"{table.file} has no column {choices[0]}; {there}. Name the one with {option}=" + _other_way(table)
        )
    return column


def _other_way(table: Table) -> str:
    """What to do about a table of one column whose name seems to hold several, or whose names seem to be cells."""
    if table.columns == ["text"] and format_of(table.file) == "txt":
        return "; a .txt is read as lines of text: rename a table to .csv or .tsv"
    parts = re.fullmatch(r"\w+\s*([^\w\s]+|\s)\s*\w+.*", table.columns[0]) if len(table.columns) == 1 else None
    if parts:
        return f", or the sign between cells with data.separator='{parts[1]}'"
    are_cells = any(len(name) > LONG_NAME or re.search(r"\d{3}|\w[.!?]( |$)", name) for name in table.columns)
    return "; if the first row is no header: data.header=false" if are_cells else ""


def labelled_rows(table: Table, options: Any, notes: list[str]) -> Table:
    """The rows that have a label, where data.on_error=skip leaves out the others; else all."""
    if options.on_error is not OnError.skip or options.label_column == NO_LABELS or options.label_separator is not None:
        return table
    column = find_column(table, options.label_column, LABEL_NAMES, "data.label_column")
    rows = [row for row, cell in enumerate(table.column(column)) if not is_missing(cell, options.na_values)]
    if len(rows) == len(table):
        return table
    notes.append(f"left out {len(table) - len(rows):,} rows of {table.file} without {column}")
    return table.select(rows)


def read_labels(table: Table, options: Any, notes: list[str]) -> tuple[str, list[Any]]:
    """The column of the labels, and the label of each row; with a separator between labels a row may have none.

    With `data.label_column=none` no row has a label, and the column has no name.
    """
    if options.label_column == NO_LABELS:
        return "", [None] * len(table.origins)
    column = find_column(table, options.label_column, LABEL_NAMES, "data.label_column")
    labels = Labels(table.column(column), table.origins)
    empty = [i for i, label in enumerate(labels) if is_missing(label, options.na_values)]
    if empty and options.label_separator is not None:
        notes.append(f"{len(empty):,} rows of {table.file} have an empty {column}: they are examples without any label")
    elif empty:
        raise UserError(
            f"{table.file} has {len(empty)} rows without {column}, the first is {table.places[empty[0]]}: correct or remove them, or "
            "leave them out with data.on_error=skip"
        )
    plain = set[str]()
    for place, label in enumerate(labels):
        if isinstance(label, bytes):
            labels[place] = label = _decoded(label, f"{labels.places[place]}: {column}", options)
        if isinstance(label, Mapping):
            raise UserError(
                f"{table.file}: {column} holds no label in {table.places[place]}: name another with data.label_column="
            )
        if isinstance(label, str) and label not in plain and options.label_separator is None:
            plain.add(label)
            if is_written_object(label):
                raise UserError(
                    f"{labels.places[place]}: {column} is an object that is written as text, {label[:80]}: write the label alone, or "
                    "name another column with data.label_column="
                )
            if written_list(label) is not None:
                raise UserError(
                    f"{labels.places[place]}: {column} is a list that is written as text, {label:.80}: several labels are read from "
                    "it with data.label_separator=','"
                )
    note_words(labels, NUMBER_WORDS, f"{table.file} column {column}", "remove these rows", notes)
    dates = [place for place, label in zip(labels.places, labels, strict=True) if isinstance(label, date)]
    if 0 < len(dates) < len(labels):
        notes.append(
            f"{len(dates):,} labels are dates and others are not, the first is in {dates[0]}: spreadsheets make dates of labels such as "
            "1-2"
        )
    return column, labels


def _decoded(label: bytes, where: str, options: Any) -> str:
    try:
        return label.decode(options.encoding or "utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{where} holds bytes that are not {options.encoding or 'UTF-8'}: name their encoding with data.encoding=cp1252 or "
            "the like"
        ) from error
    except LookupError as error:
        raise UserError(f"data.encoding={options.encoding}: unknown; write utf-8, cp1252, latin-1, ...") from error
