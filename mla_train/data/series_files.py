"""Labelled series in files: those of archives, and tables with a row a series or a row a step."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mla_train.data.examples import Examples, RawData, TableSeries
from mla_train.data.readers import NO_LABELS, labelled_rows, read_labels
from mla_train.data.rows import RowName, refuse_row_options, row_keys, row_names
from mla_train.data.series_archives import archive_files, is_archive, read_archives
from mla_train.data.series_columns import Formats, read_columns
from mla_train.data.series_steps import repeated_step, rows_of_series, series_name, without_end
from mla_train.data.splits import SPLITS
from mla_train.data.tables.splits import read_tables, report_broken
from mla_train.data.tables.table import Table
from mla_train.errors import UserError, few
from mla_train.modalities.series.times import order_of_times, seconds_of

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
    named = {split: value for split in SPLITS if (value := getattr(options, split))}
    lists = [split for split, value in named.items() if isinstance(value, list)]
    files |= {split: Path(value) for split, value in named.items() if split not in lists}
    if any(is_archive(file) for file in [*files.values(), *(Path(each) for split in lists for each in named[split])]):
        if lists:
            raise UserError(
                f"data.{lists[0]}={named[lists[0]]}: of the files of the UCR and UEA archives a split is one; lists are of tables"
            )
        if "train" not in files:
            raise UserError("data.train is missing: name the training file")
        refuse_row_options(options, "files of the UCR and UEA archives")
        return read_archives(files, options.label_column == NO_LABELS)
    tables = read_tables(options, "series")
    notes = report_broken(tables, options.on_error)
    read = _read_long if options.series_column else _read_wide
    splits = {}
    formats: Formats = {}
    form = ""
    for split in sorted(tables, key=lambda each: each != "train"):  # whose columns are those of the others
        splits[split] = read(tables[split], options, formats, form, notes)
        first = splits["train"].inputs["series"][0]
        formats, form = first.formats, first.time_format
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


def _read_wide(table: Table, options: Any, known: Formats, form: str, notes: list[str]) -> Examples:
    """A row a series: numeric columns are its steps, in val and test those of train."""
    table = labelled_rows(table, options, notes)
    label_column, labels = read_labels(table, options, notes)
    columns, formats = read_columns(table, [label_column, *row_columns(options)], options, known, notes)
    if not columns:
        raise UserError(
            f"{table.file} has no column of numbers beside {label_column}: with a row for each step, name the column that "
            "tells series apart with data.series_column="
        )
    columns, formats = _by_number(table, columns, formats, notes)
    _ask_for_steps(table, columns, labels, label_column)
    if len({re.sub(r"\d+(\D*)$", r"\1", name) for name in columns}) > 1:  # not t1, t2, ...
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
    parts = [re.fullmatch(r"(\D*)\d+(\D*)", name) for name in columns]
    if not all(parts) or len({part.groups() for part in parts if part}) > 1:
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


def _of_table(series: np.ndarray, formats: Formats, form: str = "") -> TableSeries:
    known = series.view(TableSeries)
    known.formats, known.time_format = formats, form
    return known


def _read_long(table: Table, options: Any, known: Formats, form: str, notes: list[str]) -> Examples:
    """A row a step: rows of a series have the same value in `data.series_column`, and the same label."""
    table = labelled_rows(table, options, notes)
    label_column, labels = read_labels(table, options, notes)
    roles = [options.series_column, label_column, *row_columns(options)]
    names, origins = table.column(options.series_column), list(map(" ".join, table.origins))
    rows = rows_of_series(names, origins, options.series_column, options.na_values)
    columns, formats = read_columns(table, roles, options, known, notes)
    if not columns:
        raise UserError(f"{table.file} has no column of numbers beside {', '.join(roles)}")
    values = np.array(list(columns.values())).T
    if options.time_column:
        cells = pd.Series(table.column(options.time_column), index=pd.Index(table.places, dtype=object))
        cells = cells.rename(options.time_column)
        moments, form = order_of_times(cells, str(table.file), options.time_format, form)
        times = seconds_of(moments)
        rows = {name: sorted(places, key=times.__getitem__) for name, places in rows.items()}
        for name, places in rows.items():
            if twice := repeated_step(name, places, times, cells):
                raise UserError(f"{table.file}: {twice}")
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
    series = [_of_table(values[places], formats, form) for places in rows.values()]
    return Examples(
        {"series": series},
        [labels[places[0]] for places in rows.values()],
        [RowName(str(table.file), f"series {name}") for name in rows],
        groups=groups,
    )
