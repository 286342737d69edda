"""Texts in files of one's own, in folders of the usual shape, or on the Hugging Face hub."""

from pathlib import Path
from typing import Any

import numpy as np

from mla_train.config import OnError
from mla_train.data.rows import Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES
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
        tables = _tables(options)
        broken = [place for table in tables.values() for place in table.broken]
        if broken:
            shown = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
            if options.on_error is OnError.stop:
                raise UserError(
                    f"{len(broken)} rows cannot be read: {shown}. Mend or remove them, or leave them out with "
                    "data.on_error=skip"
                )
            self.notes.append(f"left out {len(broken)} rows that cannot be read: {shown}")
        columns = {part: _columns(table, options) for part, table in tables.items()}
        order = sorted(set(columns["train"][1]), key=_label_order)
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


def _label_order(label: Any) -> tuple[bool, float, str]:
    """Numbers by size, before words by the alphabet."""
    try:
        return False, float(label), ""
    except (TypeError, ValueError):
        return True, 0.0, str(label)


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


def _tables(options: TextFilesDataConfig) -> dict[str, Rows]:
    """Parts that the options name."""
    named = {part: getattr(options, part) for part in ("train", "val", "test") if getattr(options, part)}
    if options.root is not None:
        return {part: read_rows(file) for part, file in find_parts(Path(options.root)).items()}
    if named:
        if "train" not in named:
            raise UserError("data.train is missing: name the training file")
        return {part: read_rows(Path(file)) for part, file in named.items()}
    if options.hub is None:
        raise UserError("say where the texts are: data.root=FOLDER, data.train=FILE or data.hub=NAME")
    return _hub_tables(options)


def _hub_tables(options: TextFilesDataConfig) -> dict[str, Rows]:
    from datasets import load_dataset

    try:
        loaded = load_dataset(options.hub, revision=options.revision)
    except Exception as error:  # the library raises many kinds, all of which mean the same here
        raise UserError(
            f"cannot load {options.hub} from the hub: {error}. With its files at hand, name their folder: data.root=FOLDER"
        ) from error
    tables = {}
    for part, names in PART_NAMES.items():
        found = next((loaded[name] for name in names if name in loaded), None)
        if found is not None:
            tables[part] = Rows(Path(f"{options.hub}/{part}"), list(found.column_names), list(found))
    return tables
