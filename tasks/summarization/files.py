"""Texts with their summaries in tables, or on the Hugging Face hub."""

import numpy as np

from mla_train.data.examples import LABEL, Examples, RawData
from mla_train.data.readers import INPUT_NAMES, TARGET_NAMES, find_column, read_texts
from mla_train.data.rows import note_unused, row_keys, row_names
from mla_train.data.splits import PART_NAMES
from mla_train.data.tables.cells import is_empty
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table
from mla_train.errors import UserError
from tasks.summarization.config import SummaryFilesConfig


def read_summary_files(options: SummaryFilesConfig) -> RawData:
    """Tables with a text and its summary in each row; rows that lack either are left out and counted.

    Raises:
        UserError: A file or column does not exist, a row is broken, or no row is complete.
    """
    tables = read_tables(options, "texts and summaries")
    notes = report_broken(tables, options.on_error)
    splits = {split: _pairs(tables[split], split, options, notes) for split in PART_NAMES if split in tables}
    if "train" not in splits:
        raise UserError(f"there is no train split, only {', '.join(splits)}: name it with data.train=FILE")
    return RawData(splits, notes, columns=dict(zip(("text", LABEL), _columns(tables["train"], options), strict=True)))


def _columns(table: Table, options: SummaryFilesConfig) -> tuple[str, str]:
    """The columns of texts and of their summaries."""
    text = find_column(table, options.text_column, INPUT_NAMES["text"], "data.text_column")
    return text, find_column(table, options.target_column, TARGET_NAMES[1:], "data.target_column")


def _pairs(table: Table, split: str, options: SummaryFilesConfig, notes: list[str]) -> Examples:
    columns = _columns(table, options)
    if columns[0] == columns[1]:
        raise UserError(f"{table.file}: {columns[0]} is both text and summary: name another with data.target_column=")
    if options.text_column is None or options.target_column is None:
        notes.append(f"{table.file}: the texts are in the column {columns[0]}, their summaries in {columns[1]}")
    if split == "train":
        note_unused(table, columns, options, notes)
    texts, summaries = (
        read_texts(table.column(column), f"{table.file} column {column}", table.places, notes, options)
        for column in columns
    )
    part = Examples({"text": texts}, summaries, row_names(table, options, notes), **row_keys(table, options))
    pairs = enumerate(zip(texts, summaries, strict=True))
    complete = np.array([place for place, pair in pairs if not any(map(is_empty, pair))], dtype=int)
    if len(complete) < len(texts):
        notes.append(f"left out {len(texts) - len(complete):,} rows of {split} without a text or a summary")
    if not len(complete):
        raise UserError(f"{table.file}: no row has a {columns[0]} and a {columns[1]}; each row needs both")
    return part.select(complete)
