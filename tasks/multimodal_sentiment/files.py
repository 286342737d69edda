"""Texts with pictures in files of one's own: a table whose rows hold a text, the path of a picture and a label."""

import math
import stat
from collections.abc import Container, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.cache import cached
from mla_train.data.pictures import LARGEST, name_broken, read_pictures
from mla_train.data.rows import Rows, find_parts, read_rows
from mla_train.data.splits import PART_NAMES, stratified_cut
from mla_train.data.tables import label_order
from mla_train.data.texts import clean
from mla_train.errors import UserError
from tasks.multimodal_sentiment.columns import Column, Images, MultimodalSplit, Texts, singles
from tasks.multimodal_sentiment.config import OnBroken, TextImageFilesDataConfig
from tasks.multimodal_sentiment.data import MultimodalData

Stamp = tuple[int, int]


@dataclass(frozen=True)
class Example:
    """A row of a table.

    Attributes:
        place: Its file and number, for people.
        label: As it stands in the table.
        text: Cleaned; empty where there is none.
        picture: Path as it stands in the table; empty where there is none.
        file: Where the path leads; None where it leads nowhere.
    """

    place: str
    label: Any
    text: str = ""
    picture: str = ""
    file: Path | None = None


class TextImageFilesData(MultimodalData):
    """Texts with pictures; missing val or test parts are cut from train, and said so."""

    def setup(self) -> None:
        """Reads all parts.

        Raises:
            UserError: A file, a column or a label is not there, a picture lies outside the folder of its table, a row
                or picture cannot be read and `data.on_error=stop`, or nothing is left of a part.
        """
        options = self.config.data
        assert isinstance(options, TextImageFilesDataConfig)
        if options.image_size is not None and not 4 <= options.image_size <= LARGEST:
            raise UserError(f"data.image_size={options.image_size}: from 4 to {LARGEST} pixels")
        tables = _read_tables(options)
        self._report_broken([place for table in tables.values() for place in table.broken])
        examples = {part: _read_examples(table, options) for part, table in tables.items()}
        order = _order_labels(examples)
        classes = [str(label) for label in order]
        if options.labels is not None:
            if len(options.labels) != len(order):
                raise UserError(f"data.labels names {len(options.labels)} classes, but there are {', '.join(classes)}")
            classes = list(options.labels)
        places, images = self._read_pictures([row for rows in examples.values() for row in rows])
        numbers = {label: number for number, label in enumerate(order)}
        parts = {}
        for part, rows in self._without_waste(examples, places).items():
            labels = np.array([numbers[row.label] for row in rows])
            names = [row.picture or row.place for row in rows]
            columns: dict[str, Column] = {}
            for modality in options.modalities:
                if modality == "text":
                    columns[modality] = Texts([row.text for row in rows])
                else:
                    index = np.array([places.get(row.file, -1) for row in rows])
                    columns[modality] = Images(images[index], index < 0)
            parts[part] = MultimodalSplit(columns, labels, names, singles(len(rows)))
        for part, share in (("test", options.test_share), ("val", options.val_share)):
            if part not in parts:
                train = parts["train"]
                stay, off = stratified_cut(train.labels, share, options.split_seed, classes)
                parts["train"], parts[part] = train.part(stay), train.part(off)
                self.notes.append(
                    f"no {part} part is given: cut {len(off):,} of {len(train):,} training examples off for it, "
                    f"stratified by class (data.split_seed={options.split_seed})"
                )
        self.finish(parts, classes)

    def _report_broken(self, broken: Sequence[str]) -> None:
        """Stops at rows that could not be read, or notes that they are left out."""
        if not broken:
            return
        shown = ", ".join(broken[:5]) + (", ..." if len(broken) > 5 else "")
        if self.config.data.on_error is OnBroken.stop:
            raise UserError(
                f"{len(broken)} rows cannot be read: {shown}. Mend or remove them, or leave them out with "
                "data.on_error=missing"
            )
        self.notes.append(f"left out {len(broken)} rows that cannot be read: {shown}")

    def _read_pictures(self, examples: Sequence[Example]) -> tuple[dict[Path | None, int], Tensor]:
        """Reads each picture once, all of them in one size.

        Args:
            examples: Of all parts.

        Returns:
            Where the picture of each file stands, and bytes `(pictures + 1, 3, height, width)`; the last is black.

        Raises:
            UserError: A picture cannot be read and `data.on_error=stop`, or none can.
        """
        options = self.config.data
        shown = [row for row in examples if row.picture]
        found = {file: _stamp(file) for file in dict.fromkeys(row.file for row in shown) if file is not None}
        stamps = {file: stamp for file, stamp in found.items() if stamp is not None}
        images, read, notes = cached(decode)([str(file) for file in stamps], list(stamps.values()), options.image_size)
        self.notes += notes
        files = list(stamps)
        places: dict[Path | None, int] = {files[i]: place for place, i in enumerate(read)}
        broken = [i for i, row in enumerate(shown) if row.file not in places]
        if broken:
            problem = name_broken(broken, [f"{row.picture} ({row.place})" for row in shown])
            if not places:
                raise UserError(f"{problem}. Mend the paths, or leave pictures out with data.modalities=[text]")
            if options.on_error is OnBroken.stop:
                raise UserError(f"{problem}. Mend or remove them, or take them as missing with data.on_error=missing")
            self.notes.append(f"{problem}; they are taken as missing")
        return places, torch.cat([torch.from_numpy(images), torch.zeros(1, *images.shape[1:], dtype=torch.uint8)])

    def _without_waste(
        self, examples: dict[str, list[Example]], files: Container[Path | None]
    ) -> dict[str, list[Example]]:
        """Leaves out empty rows and repeated training rows, and counts those that train shares with val and test.

        Parts are cut from train only after this, so that no row is in two of them.

        Args:
            examples: By part.
            files: Pictures that could be read.

        Raises:
            UserError: Nothing is left of a part.
        """
        modalities = self.config.data.modalities
        kept = {}
        for part, rows in examples.items():
            full = [row for row in rows if row.text or row.file in files]
            if len(full) < len(rows):
                self.notes.append(
                    f"left out {len(rows) - len(full):,} rows of {part} without {' or '.join(modalities)}"
                )
            if not full:
                raise UserError(f"the {part} part has no row with {' or '.join(modalities)}; give it some")
            kept[part] = full
        unique: dict[tuple[str, Path | None, Any], Example] = {}
        for row in kept["train"]:
            unique.setdefault((row.text, row.file, row.label), row)
        repeated = len(kept["train"]) - len(unique)
        if repeated:
            self.notes.append(f"left out {repeated:,} repeated rows of train")
        kept["train"] = list(unique.values())
        known = {(row.text, row.file) for row in kept["train"]}
        for part in [name for name in kept if name != "train"]:
            shared = sum((row.text, row.file) in known for row in kept[part])
            if shared:
                self.notes.append(
                    f"{shared:,} examples of {part} are in train too, with the same {' and '.join(modalities)}; they "
                    "stay, so that scores can be compared"
                )
        return kept


def decode(
    files: Sequence[str], stamps: Sequence[Stamp], image_size: int | None
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Reads pictures in colour, all in one size.

    Args:
        files: Their paths.
        stamps: Size and time of change of each: what is remembered is asked for by these, and read anew when one changes.
        image_size: Height and width; None keeps a common size.

    Returns:
        Bytes `(read, 3, height, width)`, which files they come from `(read,)`, and what was changed about them.
    """
    try:
        found = read_pictures([Path(file) for file in files], image_size, channels=3)
    except UserError:  # not one of them can be read
        return np.zeros((0, 3, 1, 1), dtype=np.uint8), np.zeros(0, dtype=int), []
    return found.images.numpy(), found.read, found.notes


def _read_tables(options: TextImageFilesDataConfig) -> dict[str, Rows]:
    """The parts that the options name; "train" is the first of them."""
    named = {part: Path(getattr(options, part)) for part in PART_NAMES if getattr(options, part)}
    files = (find_parts(Path(options.root)) if options.root else {}) | named
    if not files:
        raise UserError("say where the texts and pictures are: data.root=FOLDER or data.train=FILE")
    if "train" not in files:
        raise UserError("data.train is missing: name the training file")
    return {part: read_rows(file) for part, file in files.items()}


def _read_examples(table: Rows, options: TextImageFilesDataConfig) -> list[Example]:
    """The rows of a table, with what `data.modalities` asks for."""
    if not table.rows:
        raise UserError(f"{table.file} has no row that can be read")
    labels = _column(table, "label", options)
    wrong = [i for i, label in enumerate(labels) if _is_empty(label) or not isinstance(label, Hashable)]
    if wrong:
        raise UserError(
            f"{table.file} has {len(wrong)} rows without a single {options.label_column}, the first is row "
            f"{wrong[0] + 1}; mend or remove them"
        )
    nothing = [None] * len(labels)
    texts = _column(table, "text", options) if "text" in options.modalities else nothing
    pictures = _column(table, "image", options) if "image" in options.modalities else nothing
    folder = table.file.parent.resolve()
    examples = []
    for i, (label, text, picture) in enumerate(zip(labels, texts, pictures, strict=True)):
        place = f"{table.file} row {i + 1}"
        text = "" if _is_empty(text) else clean(str(text))
        if _is_empty(picture):
            examples.append(Example(place, label, text))
        elif isinstance(picture, str):
            examples.append(Example(place, label, text, picture, _locate(picture, folder, place)))
        else:
            raise UserError(
                f"{place}: {options.image_column} holds no path but {type(picture).__name__}; write the path of a "
                "picture file, or name another column with data.image_column="
            )
    return examples


def _column(table: Rows, kind: str, options: TextImageFilesDataConfig) -> list[Any]:
    """The cells of the column that holds texts, images or labels."""
    name = getattr(options, f"{kind}_column")
    if name not in table.columns:
        raise UserError(
            f"{table.file} has no column {name}; there are {', '.join(table.columns)}. Name the one with "
            f"data.{kind}_column="
        )
    return table.column(name)


def _is_empty(cell: Any) -> bool:
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or (isinstance(cell, str) and not cell.strip())
    )


def _locate(picture: str, folder: Path, place: str) -> Path | None:
    """Where a path leads, links followed: inside the folder, or nowhere.

    Args:
        picture: Relative to the folder.
        folder: Of the table, links followed.
        place: Of the row, for the error message.

    Raises:
        UserError: It leads out of the folder.
    """
    try:
        file = (folder / picture).resolve()
    except (OSError, RuntimeError, ValueError):  # links in a circle, signs that no path can have
        return None
    if not file.is_relative_to(folder):
        raise UserError(
            f"{place}: the picture {picture} lies outside the folder of the table, {folder}; only pictures inside are "
            "read: put it there"
        )
    return file


def _stamp(file: Path) -> Stamp | None:
    """Size and time of change; None if this is no file."""
    try:
        # Behind links in a circle a path is not followed to its end, and could still lead elsewhere.
        found = file.stat() if file.resolve(strict=True) == file else None
    except (OSError, RuntimeError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if found and stat.S_ISREG(found.st_mode) else None


def _order_labels(examples: dict[str, list[Example]]) -> list[Any]:
    """The labels of train: numbers by size, before words by the alphabet."""
    found = {part: dict.fromkeys(row.label for row in rows) for part, rows in examples.items()}
    for part, labels in found.items():
        unknown = sorted(str(label) for label in labels if label not in found["train"])
        if unknown:
            raise UserError(
                f"{part} has label {', '.join(unknown[:5])}, which train lacks; mend or remove these rows of {part}"
            )
    return sorted(found["train"], key=label_order)
