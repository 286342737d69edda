"""Texts in files of one's own, in folders of the usual shape, or on the Hugging Face hub."""

from typing import Any

import numpy as np

from mla_train.data.rows import Rows
from mla_train.data.tables import label_order, read_tables, report_broken
from mla_train.errors import UserError
from tasks.text_classification.config import TextFilesDataConfig
from tasks.text_classification.data import TextData, TextSplit

TEXT_NAMES = ("text", "sentence", "review", "content", "message")
LABEL_NAMES = ("label", "label_coarse_original", "label_coarse", "coarse_label", "labels", "class", "category")


class TextFilesData(TextData):
    """A table with a text and a label in each row; missing val or test parts are cut from train, and said so."""

    def setup(self) -> None:
        """Reads all parts.

        Raises:
            UserError: A file or column is not there, a row is broken, or test has labels that train lacks.
        """
        options = self.config.data
        assert isinstance(options, TextFilesDataConfig)
        tables = read_tables(options, "texts")
        self.notes += report_broken(tables, options.on_error)
        columns = {part: _columns(table, options) for part, table in tables.items()}
        order = sorted(set(columns["train"][1]), key=label_order)
        for part, (_, labels) in columns.items():
            unknown = sorted({str(label) for label in set(labels) - set(order)})
            if unknown:
                raise UserError(f"{part} has label {', '.join(unknown[:5])}, which train lacks")
        numbers = {label: number for number, label in enumerate(order)}
        names = [str(label) for label in order]
        if options.labels is not None:
            if len(options.labels) != len(order):
                raise UserError(f"data.labels names {len(options.labels)} classes, but there are {', '.join(names)}")
            names = list(options.labels)
        parts = {
            part: TextSplit(texts, np.array([numbers[label] for label in labels]))
            for part, (texts, labels) in columns.items()
        }
        parts = self.without_waste(parts)
        for part, share in (("test", options.test_share), ("val", options.val_share)):
            if part not in parts:
                before = len(parts["train"])
                parts["train"], parts[part] = self.cut(parts["train"], share, names)
                self.notes.append(
                    f"no {part} part is given: cut {len(parts[part]):,} of {before:,} training texts off for it, "
                    f"stratified by class (data.split_seed={options.split_seed})"
                )
        self.finish(parts, names)


def _find_column(table: Rows, asked: str | None, usual: tuple[str, ...], option: str) -> str:
    if asked is not None:
        return asked
    found = [name for name in usual if name in table.columns]
    if not found:
        raise UserError(
            f"{table.file} has no column {usual[0]}; there are {', '.join(table.columns)}. Name the one with {option}="
        )
    return found[0]


def _columns(table: Rows, options: TextFilesDataConfig) -> tuple[list[str], list[Any]]:
    texts = table.column(_find_column(table, options.text_column, TEXT_NAMES, "data.text_column"))
    label_column = _find_column(table, options.label_column, LABEL_NAMES, "data.label_column")
    labels = table.column(label_column)
    empty = [i for i, label in enumerate(labels) if label is None or label == ""]
    if empty:
        raise UserError(f"{table.file} has {len(empty)} rows without {label_column}, the first is row {empty[0] + 1}")
    return ["" if text is None else str(text) for text in texts], labels
