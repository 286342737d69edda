"""Labelled series in the files of the UCR and UEA archives: .ts, .arff, .tsv, .txt, and those of 2015, without an ending."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mla_train.data.examples import Examples, RawData
from mla_train.data.packed import CELL, check_regular, check_unpacked
from mla_train.data.rows import RowName
from mla_train.data.series_steps import without_end
from mla_train.data.splits import SPLITS
from mla_train.data.tables.cells import ROW_NUMBER, is_row_number
from mla_train.data.tables.source import is_undecoded, read_lines
from mla_train.errors import UserError, did_you_mean, few, require

ATTRIBUTE = re.compile(r"\s*@attribute\s+('[^']*'|\"[^\"]*\"|[^\s{]+)\s*(\{|\S+)", re.IGNORECASE)
"""The name of an attribute of an .arff file, and its kind."""
LABEL_IN_FRONT = (".tsv", ".txt", "")
"""Endings of files whose lines are a label and values."""
MISSING = ("?", "nan")
"""Labels of series that have none."""


def archive_files(root: Path) -> dict[str, Path]:
    """Files of a folder NAME that holds NAME_TRAIN.ts and NAME_TEST.ts, or .tsv, .arff, .txt or no ending.

    Raises:
        UserError: There are several, and none has the name of the folder.
    """
    files = {}
    for split in SPLITS:
        for ending in ("", ".txt", ".arff", ".tsv", ".ts"):
            named = sorted(file for file in root.glob(f"*_{split.upper()}{ending}") if file.is_file())
            own = root / f"{root.resolve().name}_{split.upper()}{ending}"
            if len(named) > 1 and own not in named:
                raise UserError(f"{root} has several {split} files: name one with data.{split}=FILE")
            if named:
                files[split] = own if own in named else named[0]
    return files


def read_archive_folder(root: Path) -> RawData:
    """Reads a folder NAME with NAME_TRAIN.ts and NAME_TEST.ts, as the UCR and UEA archives have them.

    Raises:
        UserError: There is no such data set.
    """
    files = archive_files(root)
    if "train" not in files:
        folders = sorted(root.parent.glob("*"))
        others = [folder.name for folder in folders if archive_files(folder).keys() >= {"train", "test"}]
        raise UserError(
            f"{root.parent} has no data set {root.name}. {did_you_mean(root.name, others)} All: {', '.join(others)}. Another "
            "folder of data sets is named by data.root="
        )
    return read_archives(files)


def read_archives(files: Mapping[str, Path], unlabelled: bool = False) -> RawData:
    """Reads the file of each split; files without labels only if that is wanted."""
    splits = {split: read_archive_file(file) for split, file in files.items()}
    without = next((str(files[split]) for split, part in splits.items() if None in part.targets), None)
    if without is not None and not unlabelled:
        raise UserError(
            f"{without}: series have no labels to learn from (@classLabel false, ? or NaN): add them, or remove these series"
        )
    notes = [note_label_place(file) for file in files.values() if unlabelled or file.suffix in (".txt", "")]
    return RawData(splits, [note for note in notes if note])


def note_label_place(file: Path) -> str:
    """What a file whose series need no labels is read as; empty for .ts, which says whether it has some."""
    if file.suffix == ".ts":
        return ""
    place = "last value" if file.suffix == ".arff" else "first number"
    return f"{file}: the {place} of each line is taken for its label and is no step; series without labels are read from .csv and .ts"


def is_archive(file: Path) -> bool:
    """Whether a file is a .ts or .arff, or a .tsv, .txt or one without ending whose first line is numbers and no header."""
    if file.suffix in LABEL_IN_FRONT and file.is_file():
        return all(is_number(cell) for cell in _cells(next(read_lines(str(file), str(file)), ""), file))
    return file.suffix in (".ts", ".arff")


def _cells(line: str, file: Path) -> list[str]:
    """Label and values of a line: between tabs in .tsv, else between commas or blanks."""
    if file.suffix == ".tsv":
        return line.strip(" \r\n").split("\t")
    return line.strip(" \r\n").split(",") if "," in line else line.split()


def read_archive_file(file: Path) -> Examples:
    """Reads a .ts file, an .arff file (a relation holds a line for each channel), or another with the label in front.

    Returns:
        The series; their targets are None where a .ts file says that it has no labels, or a label is missing.

    Raises:
        UserError: The file does not exist, a line is no series with a label, or an attribute of an .arff file is no step.
    """
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    series: list[np.ndarray] = []
    labels: list[str | None] = []
    names: list[str] = []
    lines: list[list[str]] = []
    said: dict[str, bool] = {}
    attributes = list[tuple[str, str]]()
    size, count = check_regular(file), 0
    for number, line in enumerate(read_lines(str(file), str(file), newline=""), 1):
        if is_undecoded(line):
            raise UserError(f"{file} line {number} is not UTF-8: save it as UTF-8")
        label: str | None = None
        if not line.strip():
            continue
        if file.suffix in LABEL_IN_FRONT:
            label, *values = _cells(line, file)
            channels = [values]
            lines.append([label, *values])
        elif line.lstrip().startswith(("#", "@", "%")):
            header = "".join(line.lower().split())
            if header.startswith("@timestampstrue"):
                raise UserError(f"{file}: series with time stamps are not read; write the values alone")
            if match := re.match("@(class|target)label(true|false)", header):
                said[match[1]] = match[2] == "true"
            if match := ATTRIBUTE.match(line):
                attributes.append((match[1].strip("'\""), match[2].lower()))
            continue
        elif file.suffix == ".arff":
            relation, _, label = line.strip().rpartition(",")
            _check_attributes(attributes, relation, f"{file} line {number}")
            channels = [part.split(",") for part in relation.strip("'\"").split("\\n")]
            label = label.strip().strip("'\"")
        else:
            parts = line.strip().split(":")
            label = parts.pop() if not said or any(said.values()) else None
            channels = [part.split(",") for part in parts]
        if not channels or not channels[0] or (label is not None and not label.strip()):
            raise UserError(f"{file} line {number}: a series needs values and a label")
        longest = max(map(len, channels))
        count += longest * len(channels) * CELL
        check_unpacked(count, size, str(file))  # of channels of one step beside a long one
        steps = np.full((longest, len(channels)), np.nan)
        try:
            for i, cells in enumerate(channels):
                steps[: len(cells), i] = [_number(cell) if cell.strip() not in ("", "?") else np.nan for cell in cells]
        except ValueError as error:
            raise UserError(f"{file} line {number}: {error}") from None
        if np.isinf(steps).any():
            raise UserError(f"{file} line {number}: a value is infinite: correct it, or write NaN where it is missing")
        series.append(without_end(steps))
        is_missing = label is None or label.strip().lower() in MISSING
        labels.append(None if is_missing else _plain_label(str(label).strip(), file.suffix))
        names.append(RowName(str(file), f"line {number}"))
    if not series:
        raise UserError(f"{file} has no series")
    if [_counts_columns(cells) for cells in lines[:3]] in ([True, False], [True, False, False]):
        raise UserError(
            f"{file}: the first line counts columns, {lines[0][0]} to {lines[0][-1]}, and is no series: remove it, as with "
            "header=False in pandas"
        )
    for place, (name, _) in enumerate(attributes[:-1]):
        if ROW_NUMBER.fullmatch(name) and all(len(steps) > place for steps in series):
            counts = is_row_number(name, np.array([steps[place, 0] for steps in series]))
            require(not counts, f"{file}: attribute {name} counts rows and is no step: remove it")
    return Examples({"series": series}, labels, names)


def _check_attributes(attributes: Sequence[tuple[str, str]], values: str, where: str) -> None:
    """Refuses a line of an .arff file whose last value is not the class, or that has other values than the header has attributes.

    Args:
        attributes: Name and kind of each attribute, those inside a relation among them.
        values: The line without its last value.
        where: File and line.
    """
    kinds = [kind for _, kind in attributes]
    is_named = any(kind.startswith("{") for kind in kinds)  # the class lists its values
    if is_named and not kinds[-1].startswith("{"):
        raise UserError(f"{where}: the class is not the last attribute, where it is read: move it there")
    lists = [name for name, kind in attributes[:-1] if kind.startswith("{")]
    if lists:
        raise UserError(f"{where}: attribute {few(lists)} has names as values and is no step: remove it")
    count = values.count(",") + 2 if values else 1
    if count < 2 or (is_named and "relational" not in kinds and count != len(kinds)):
        raise UserError(f"{where} has {count:,} values with commas between, and the header {len(kinds):,} attributes")


def _plain_label(label: str, ending: str) -> str:
    """A label; in files that hold numbers alone, 2.0000000e+00 is 2."""
    if ending not in (".txt", "") or not is_number(label) or not abs(number := float(label)) < 2**53:
        return label
    return str(int(number)) if number.is_integer() else repr(number)


def _counts_columns(cells: Sequence[str]) -> bool:
    """Whether cells are 0, 1, 2, ..., or begin with 1, as names of columns do that pandas gives."""
    return len(cells) > 2 and cells[0] in ("0", "1") and cells == [str(int(cells[0]) + i) for i in range(len(cells))]


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number, or the text of one."""
    try:
        _number(cell)
    except (TypeError, ValueError):
        return False
    return not isinstance(cell, bool)


def _number(cell: Any) -> float:
    """The number of a cell; a ValueError where it is none, as 1_0, which Python reads."""
    if isinstance(cell, str) and "_" in cell:
        raise ValueError(f"could not convert string to float: {cell!r}")
    return float(cell)
