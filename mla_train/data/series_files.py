"""Labelled series in files: .ts, .arff and .tsv as the UCR and UEA archives have them, tables with a row a series or a row a step."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.examples import Examples, RawData, TableSeries
from mla_train.data.readers import read_labels
from mla_train.data.rows import RowName, refuse_row_options, row_keys, row_names
from mla_train.data.series_columns import Formats, read_columns
from mla_train.data.splits import SPLITS
from mla_train.data.tables.cells import is_missing
from mla_train.data.tables.source import is_undecoded, read_lines
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table
from mla_train.errors import UserError, did_you_mean, few
from mla_train.modalities.series.times import times_of

MOST_COLUMNS_OF_STEPS = 12
"""Columns of a table up to which its rows may be steps of series."""


def read_series_files(options: Any) -> RawData:
    """Reads labelled series from the files that the options name.

    Args:
        options: `data` options of the run, among them those of files and labels, `series_column` and `time_column`.

    Raises:
        UserError: A file or a column does not exist, a cell is no number, or labels are missing.
    """
    files = {} if options.root is None else archive_files(Path(options.root))
    files |= {split: Path(getattr(options, split)) for split in SPLITS if getattr(options, split)}
    if any(is_archive(file) for file in files.values()):
        if "train" not in files:
            raise UserError("data.train is missing: name the training file")
        refuse_row_options(options, "files of the UCR and UEA archives")
        return RawData({split: read_archive_file(file) for split, file in files.items()})
    tables = read_tables(options, "series")
    notes = report_broken(tables, options.on_error)
    read = _read_long if options.series_column else _read_wide
    splits: dict[str, Examples] = {}
    formats: Formats = {}
    for split in sorted(tables, key=lambda each: each != "train"):  # whose columns are those of the others
        splits[split] = read(tables[split], options, formats, notes)
        formats = splits["train"].inputs["series"][0].formats
    splits = {split: splits[split] for split in tables}
    if options.series_column and options.split_column:
        _check_whole(splits, options.split_column)
    return RawData(splits, notes)


def _check_whole(splits: dict[str, Examples], column: str) -> None:
    """Refuses a series whose rows are in several splits."""
    known: dict[str, str] = {}
    for split, part in splits.items():
        for name in part.names:
            if known.setdefault(name, split) != split:
                raise UserError(
                    f"{name} is in {known[name]} and, by column {column}, in {split}: a series has one split"
                )


def archive_files(root: Path) -> dict[str, Path]:
    """Files of a folder NAME that holds NAME_TRAIN.ts and NAME_TEST.ts, or .tsv, .arff or .txt.

    Raises:
        UserError: There are several, and none has the name of the folder.
    """
    files = {}
    for split in SPLITS:
        for ending in (".txt", ".arff", ".tsv", ".ts"):
            named = sorted(root.glob(f"*_{split.upper()}{ending}"))
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
    return RawData({split: read_archive_file(file) for split, file in files.items()})


def is_archive(file: Path) -> bool:
    """Whether a file is a .ts or .arff, or a .tsv or .txt whose first line is numbers and no header."""
    if file.suffix in (".tsv", ".txt") and file.is_file():
        return all(is_number(cell) for cell in next(read_lines(str(file), str(file)), "").split())
    return file.suffix in (".ts", ".arff")


def read_archive_file(file: Path) -> Examples:
    """Reads a .ts file, an .arff file, where a relation holds a line for each channel, or a .tsv or .txt file whose first column is the label.

    Raises:
        UserError: The file does not exist, or a line is no series with a label.
    """
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    series: list[np.ndarray] = []
    labels: list[str] = []
    names: list[str] = []
    for number, line in enumerate(read_lines(str(file), str(file), newline=""), 1):
        if is_undecoded(line):
            raise UserError(f"{file} line {number} is not UTF-8: save it as UTF-8")
        line = line.strip()
        if not line or line.startswith(("#", "@", "%")):
            if line.lower().replace(" ", "").startswith("@timestampstrue"):
                raise UserError(f"{file}: series with time stamps are not read; write the values alone")
            continue
        if file.suffix == ".ts":
            *parts, label = line.split(":")
            channels = [part.split(",") for part in parts]
        elif file.suffix == ".arff":
            relation, _, label = line.rpartition(",")
            channels, label = (
                [part.split(",") for part in relation.strip("'\"").split("\\n")],
                label.strip().strip("'\""),
            )
        else:
            label, *values = line.split("\t") if file.suffix == ".tsv" else line.split()
            if file.suffix == ".txt" and is_number(label):
                label = f"{float(label):g}"  # 2.0000000e+00
            channels = [values]
        if not channels or not label.strip():
            raise UserError(f"{file} line {number}: a series needs values and a label")
        steps = np.full((max(map(len, channels)), len(channels)), np.nan)
        try:
            for i, cells in enumerate(channels):
                steps[: len(cells), i] = [float(cell) if cell.strip() not in ("", "?") else np.nan for cell in cells]
        except ValueError as error:
            raise UserError(f"{file} line {number}: {error}") from None
        series.append(without_end(steps))
        labels.append(label.strip())
        names.append(RowName(str(file), f"line {number}"))
    if not series:
        raise UserError(f"{file} has no series")
    return Examples({"series": series}, labels, names)


def without_end(values: np.ndarray) -> np.ndarray:
    """A series without the steps at its end that have no value in any channel, `(length, channels)`."""
    real = np.flatnonzero(~np.isnan(values).all(1))
    return values[: real[-1] + 1] if len(real) else values[:0]


def _read_wide(table: Table, options: Any, known: Formats, notes: list[str]) -> Examples:
    """A row a series: numeric columns are its steps, in val and test those of train."""
    label_column, labels = read_labels(table, options, notes)
    columns, formats = read_columns(table, [label_column, *row_columns(options)], options, known, notes)
    if not columns:
        raise UserError(
            f"{table.file} has no column of numbers beside {label_column}: with a row for each step, name the column that "
            "tells series apart with data.series_column="
        )
    columns, formats = _by_number(table, columns, formats, notes)
    _ask_for_steps(table, columns, labels, label_column)
    if len({re.sub(r"\d+$", "", name) for name in columns}) > 1:  # not t1, t2, ...
        names = list(columns)
        notes.append(
            f"the {len(names)} steps of a series are the columns {few(names, 4)}{f' {names[-1]}' * (len(names) > 4)}"
        )
    series = [_of_table(without_end(row[:, None]), formats) for row in np.array(list(columns.values())).T]
    return Examples({"series": series}, labels, row_names(table, options, notes), **row_keys(table, options))


def _by_number(
    table: Table, columns: dict[str, np.ndarray], formats: Formats, notes: list[str]
) -> tuple[dict[str, np.ndarray], Formats]:
    """Steps t0, t1, t10, t2, which programs sort as words, in the order of their numbers; any other order is noted."""
    parts = [re.fullmatch(r"(\D*)(\d+)", name) for name in columns]
    if not all(parts) or len({part[1] for part in parts if part}) > 1:
        return columns, formats
    ordered = sorted(columns, key=lambda name: int(re.sub(r"\D", "", name)))
    if list(columns) in (ordered, ordered[::-1]):
        return columns, formats
    if list(columns) != sorted(columns):
        notes.append(
            f"{table.file}: steps are read in the order of the file, {few(list(columns))}: sort them if they are in none"
        )
        return columns, formats
    notes.append(
        f"{table.file}: columns are sorted as words; steps are read in the order of their numbers, {few(ordered)}"
    )
    return {name: columns[name] for name in ordered}, {name: formats[name] for name in ordered}


def _ask_for_steps(table: Table, columns: Mapping[str, np.ndarray], labels: Sequence[Any], label_column: str) -> None:
    """Refuses rows that look like steps: one column counts on within each value of another, which has one label."""
    if len(table.columns) > MOST_COLUMNS_OF_STEPS:
        return
    for name in table.columns:
        if name == label_column:
            continue
        codes, values = pd.factorize(pd.Series([series_name(cell) for cell in table.column(name)]))
        if not 2 <= len(values) <= len(codes) / 3 or len(set(zip(codes, map(str, labels), strict=True))) > len(values):
            continue
        order = np.argsort(codes, kind="stable")
        within = codes[order][1:] == codes[order][:-1]
        counters = [
            other for other, steps in columns.items() if other != name and (np.diff(steps[order])[within] == 1).all()
        ]
        if counters:
            raise UserError(
                f"{table.file}: rows look like steps of {len(values):,} series, as {counters[0]} counts on within each {name}: "
                f"data.series_column={name} data.time_column={counters[0]} puts them together"
            )


def row_columns(options: Any) -> list[str]:
    """Columns that say what a row is, and are no steps or channels."""
    names = (getattr(options, f"{name}_column", None) for name in ("id", "group", "time", "split"))
    return [name for name in names if name is not None]


def _of_table(series: np.ndarray, formats: Formats) -> TableSeries:
    known = series.view(TableSeries)
    known.formats = formats
    return known


def _read_long(table: Table, options: Any, known: Formats, notes: list[str]) -> Examples:
    """A row a step: rows of a series have the same value in `data.series_column`, and the same label."""
    label_column, labels = read_labels(table, options, notes)
    roles = [options.series_column, label_column, *row_columns(options)]
    rows: dict[str, list[int]] = {}
    for row, cell in enumerate(table.column(options.series_column)):
        if is_missing(cell, options.na_values):
            raise UserError(
                f"{' '.join(table.origins[row])}: there is no name in column {options.series_column}: write that of the series, "
                "or remove the row"
            )
        rows.setdefault(series_name(cell), []).append(row)
    columns, formats = read_columns(table, roles, options, known, notes)
    if not columns:
        raise UserError(f"{table.file} has no column of numbers beside {', '.join(roles)}")
    values = np.array(list(columns.values())).T
    if options.time_column:
        cells = pd.Series(table.column(options.time_column), index=pd.Index(table.places, dtype=object))
        times = times_of_steps(cells.rename(options.time_column), str(table.file), options.time_format)
        rows = {name: sorted(places, key=times.__getitem__) for name, places in rows.items()}
        for name, places in rows.items():
            twice = next((pair for pair in pairwise(places) if times[pair[0]] == times[pair[1]]), None)
            if twice is not None:
                raise UserError(
                    f"{table.file}: {cells.iloc[twice[0]]} of column {options.time_column} stands twice in series {name}, in "
                    f"{table.places[twice[0]]} and {table.places[twice[1]]}: remove one"
                )
        uneven = [
            name
            for name, each in rows.items()
            if len(each) > 2 and np.ptp(gaps := np.diff(times[each])) > gaps.min() / 2
        ]
        if uneven:
            notes.append(
                f"{table.file}: {len(uneven):,} series have steps at uneven distances in {options.time_column}, such as {uneven[0]}: "
                "their steps are read as even; rows with empty cells are gaps"
            )
    else:
        channels = f", with the channels {few(list(columns))}" if len(columns) > 1 else ""
        notes.append(f"{table.file}: steps are taken in the order of the rows (data.time_column=){channels}")
    for name, places in rows.items():
        several = {labels[place] for place in places}
        if len(several) > 1:
            raise UserError(
                f"{table.file}: series {name} has the labels {', '.join(sorted(map(str, several)))}; a series has one"
            )
    groups = None
    if options.group_column:
        cells = table.column(options.group_column)
        groups = [cells[places[0]] for places in rows.values()]
        odd = next((n for n, places in rows.items() if len({str(cells[place]) for place in places}) > 1), None)
        if odd is not None:
            raise UserError(
                f"{table.file}: series {odd} is in several groups of {options.group_column}; a series has one"
            )
    series = [_of_table(values[places], formats) for places in rows.values()]
    return Examples(
        {"series": series},
        [labels[places[0]] for places in rows.values()],
        [RowName(str(table.file), f"series {name}") for name in rows],
        groups=groups,
    )


def series_name(cell: Any) -> str:
    """The one form of the name of a series: 3, 3.0 and "3 " are one."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell).strip()


def times_of_steps(cells: pd.Series, path: str, form: str | None = None) -> np.ndarray:
    """Numbers in the order of times, which are numbers or times of any usual way to write them, `(rows,)`.

    Args:
        cells: Times; the index tells where they stand in the file.
        path: Name of the file, for messages.
        form: Value of `data.time_format`.

    Raises:
        UserError: A cell is no time.
    """
    numbers = pd.to_numeric(cells, errors="coerce").to_numpy(float)
    if form is None and not np.isnan(numbers).any():
        return numbers
    return times_of(cells, path, form).times.asi8.astype(float)


def is_number(cell: Any) -> bool:
    """Whether a cell holds a number, or the text of one."""
    try:
        float(cell)
    except (TypeError, ValueError):
        return False
    return not isinstance(cell, bool)
