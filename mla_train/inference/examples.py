"""Files as rows that are predicted, an example each: tables, folders of images, arrays, whole series."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import TableOptions
from mla_train.data.file_kinds import FILE_KINDS, IMAGES, FileKind
from mla_train.data.image_files import LeftOut, without_thumbnails
from mla_train.data.readers import LABEL_NAMES
from mla_train.data.series_archives import is_archive, is_number, note_label_place, read_archive_file
from mla_train.data.series_columns import Formats, first_of, known_columns
from mla_train.data.series_files import row_columns
from mla_train.data.series_steps import repeated_step, rows_of_series, without_end
from mla_train.data.tables.cells import NUMBER_WORDS, is_empty, is_missing
from mla_train.data.tables.numbers import NumberFormat, read_numbers
from mla_train.data.tables.source import Row, Source
from mla_train.errors import UserError, few
from mla_train.inference.files import CHUNK, chunks, open_input, table_options
from mla_train.inference.histories import event_options, from_events, has_events
from mla_train.inference.predictor import Predictor
from mla_train.modalities import Items, Series
from mla_train.modalities.series.times import order_of_times, seconds_of


def open_examples(
    predictor: Predictor,
    path: str,
    kind: str | None = None,
    label: str | None = None,
    columns: Mapping[str, str] | None = None,
    is_labelled: bool = False,
) -> Source:
    """Opens a file as a source with a row for each example.

    Args:
        predictor: Trained model.
        path: Path, or "-" for the standard input.
        kind: Format of a table, see `open_input`.
        label: Column of the labels; None takes that of the training data or one of a usual name.
        columns: Column by input, or by what an event consists of, where the usual names do not fit.
        is_labelled: Whether labels are needed: the last of the events of each user is one, the folder of a file another.

    Raises:
        UserError: There is no such file, or it holds no examples.
    """
    inputs, options = predictor.spec.inputs, predictor.config.data
    if all(each.kind != Series.kind for each in inputs.values()):
        files = next((FILE_KINDS[each.kind] for each in inputs.values() if each.kind in FILE_KINDS), IMAGES)
        source = open_input(path, kind, table_options(options), files)
        folder = getattr(options, "images", None)
        if folder and source.format not in ("files", "txt", "npz"):
            source.notes.append(
                f"paths are relative to {source.folder}, and to data.images={folder} in the training data"
            )
        if source.format == "npz":
            return _arrays(source, list(inputs))
        (name, modality), *_ = inputs.items()
        events = event_options(options, columns or {})
        if modality.kind == Items.kind and name not in (columns or {}) and has_events(source, events, name):
            return from_events(source, events, name, modality.spec, is_labelled)
        return _labelled_by_folder(source, files) if is_labelled and source.format == "files" else source
    spec = next(each.spec for each in inputs.values() if each.kind == Series.kind)
    formats = {name: NumberFormat(*signs) if signs else None for name, signs in spec.formats.items()}
    return _open_series(options, formats, spec.time_format, path, kind, label)


def _labelled_by_folder(source: Source, files: FileKind) -> Source:
    """A folder of files with the name of the folder of each as its label, as data sets of class folders have them."""
    column = source.columns[0]

    def labelled(row: Row) -> Row:
        folder, *below = Path(row.cells[column]).parts
        label = unicodedata.normalize("NFC", folder) if below else None
        return row._replace(
            cells={**row.cells, "label": label}, error=row.error or ("" if below else "in no folder of a class")
        )

    of_folder: dict[str, list[Row]] = {}
    for row in source.rows:
        of_folder.setdefault(Path(row.cells[column]).parts[0], []).append(row)
    rows, left_out = list[Row](), LeftOut(files.name)
    for name, those in of_folder.items():  # as in training
        kept = set(
            without_thumbnails([source.folder / row.cells[column] for row in those], source.folder / name, left_out)
        )
        rows += [row for row in those if source.folder / row.cells[column] in kept]
    notes = [*source.notes, *left_out.notes(source.folder), f"labels are the names of the folders in {source.name}"]
    return replace(source, columns=[*source.columns, "label"], rows=map(labelled, rows), size=len(rows), notes=notes)


def _arrays(source: Source, inputs: Sequence[str]) -> Source:
    """A source of arrays, which holds inputs by their names; arrays of plain values are its cells."""
    first = next(source.rows)
    lacking = [name for name in inputs if name not in source.columns]
    if len(lacking) == len(inputs):
        raise UserError(f"{source.name} has no array {' or '.join(inputs)}; there are {', '.join(source.columns)}")
    plain = [name for name in source.columns if not np.ndim(first.cells[name])]
    rows = (
        row._replace(
            cells={name: row.cells[name].item() for name in plain},
            values={name: row.cells[name] for name in inputs if name not in lacking},
        )
        for row in chain([first], source.rows)
    )
    return replace(source, columns=plain, rows=rows, has_values=True)


def _open_series(options: Any, known: Formats, form: str, path: str, kind: str | None, label: str | None) -> Source:
    """A file of whole series: of the UCR and UEA archives, or a table, as training reads them."""
    file = Path(path)
    if path != "-" and is_archive(file):
        examples = read_archive_file(file)
        names: Sequence[str] = examples.names or ()
        rows = (
            Row({"series": name, "label": label}, values={"series": series})
            for name, label, series in zip(names, examples.targets, examples.inputs["series"], strict=True)
        )
        notes = [note for note in [note_label_place(file)] if note]
        return Source(path, "series", ["series", "label"], rows, size=len(names), has_values=True, notes=notes)
    source = open_input(path, kind, table_options(options))
    source.has_values = True
    label = label or getattr(options, "label_column", None)
    labels = [name for name in source.columns if name in ((label,) if label else LABEL_NAMES)][:1]
    series_column = getattr(options, "series_column", None)
    if series_column is None:
        others = [name for name in source.columns if name not in (*labels, *row_columns(options))]
        first = list(islice(source.rows, CHUNK))
        formats = _formats(source, first, others, options, known)
        source.rows = _wide(chain(first, source.rows), formats, options)
        return source
    if series_column not in source.columns:
        raise UserError(
            f"{source.name} has no column {series_column}, the series identifier of the training data (data.series_column); there are "
            f"{', '.join(source.columns)}"
        )
    kept = [series_column, *labels]
    time = getattr(options, "time_column", None)
    channels = [name for name in source.columns if name not in (*kept, *row_columns(options))]
    steps = list(source.rows)
    formats = _formats(source, steps, channels, options, known)
    source.rows = _long(steps, formats, kept, time, form, source.name, options)
    source.columns, source.size = kept, None
    return source


def _formats(source: Source, rows: Sequence[Row], columns: Sequence[str], options: Any, known: Formats) -> Formats:
    """The columns that series are read from, those of the training data where these are known, and how numbers are written."""
    cells = {name: [row.cells.get(name) for row in rows] for name in columns}
    numeric = [name for name in columns if _is_mostly_numbers(cells[name])]
    taken, signs = numeric, list[str]()
    if known:
        is_wide = getattr(options, "series_column", None) is None
        there = [name for name in columns if name in known or name in numeric]
        taken = known_columns(known, there, source.name, is_wide, source.notes)
        left = [name for name in numeric if name not in known]
        if left:
            source.notes.append(f"{source.name}: left out what the training data has not: column {few(left)}")
    formats = {}
    for name in taken:
        formats[name] = known.get(name)
        with suppress(UserError):  # of a cell, of which its row tells
            column_numbers = read_numbers(
                f"{source.name} column {name}", cells[name], options, signs, None, known.get(name)
            )
            formats[name] = (column_numbers and column_numbers.format) or known.get(name)
    source.notes += first_of(signs)
    return formats


def _wide(rows: Iterator[Row], formats: Formats, options: Any) -> Iterator[Row]:
    """A row a series, whose steps are some columns."""
    for chunk in chunks(rows):
        for row, values in zip(chunk, _values(chunk, formats, options), strict=True):
            if isinstance(values, str):
                yield row._replace(error=row.error or values)
                continue
            series = without_end(values[:, None])
            yield row._replace(values={"series": series}, error=row.error or ("" if len(series) else "no numbers"))


def _is_mostly_numbers(cells: Sequence[Any]) -> bool:
    filled = [cell for cell in cells if not is_empty(cell)]
    if 2 * sum(map(is_number, filled)) > len(filled):
        return True
    try:
        return read_numbers("", filled, TableOptions(), []) is not None
    except UserError:
        return True


def _long(
    rows: Sequence[Row], formats: Formats, kept: Sequence[str], time: str | None, form: str, name: str, options: Any
) -> Iterator[Row]:
    """A row a step; a step that cannot be read is an error of its series."""
    origins = [f"{name} {row.place}" for row in rows]
    groups = rows_of_series([row.cells.get(kept[0]) for row in rows], origins, kept[0], options.na_values)
    values = _values(rows, formats, options)
    errors = {
        series: _fault(series, [rows[p] for p in places], [values[p] for p in places], kept[1:])
        for series, places in groups.items()
    }
    if not formats:
        errors = dict.fromkeys(groups, f"{name} has no columns of numbers beside {', '.join(kept)}")
    good = [place for series, places in groups.items() if not errors[series] for place in places]
    if time is not None and good:
        cells = pd.Series([row.cells.get(time) for row in rows], index=[row.place for row in rows], name=time)
        times = np.zeros(len(rows))
        times[good] = seconds_of(order_of_times(cells.iloc[good], name, options.time_format, form)[0])
        groups = {series: sorted(places, key=times.__getitem__) for series, places in groups.items()}
        errors = {
            series: errors[series] or repeated_step(series, places, times, cells) for series, places in groups.items()
        }
    for series, places in groups.items():
        first = {column: rows[min(places)].cells.get(column) for column in kept}
        steps = None if errors[series] else {"series": np.stack([values[place] for place in places])}
        yield Row(first, errors[series], values=steps)


def _fault(series: str, rows: Sequence[Row], values: Sequence[np.ndarray | str], labels: Sequence[str]) -> str:
    """What is wrong with the rows of a series; empty where nothing is."""
    faults = [row.error for row in rows if row.error] + [each for each in values if isinstance(each, str)]
    for column in labels:
        several = sorted({str(row.cells.get(column)) for row in rows})
        if len(several) > 1:
            faults.append(f"series {series} has the labels {', '.join(several)}; a series has one")
    return faults[0] if faults else ""


def _values(rows: Sequence[Row], formats: Formats, options: Any) -> list[np.ndarray | str]:
    """The numbers of each row, `(columns,)`, NaN where one is missing; what is wrong where a cell is no number."""
    places = [row.place for row in rows]
    read = [
        _column(name, [row.cells.get(name) for row in rows], places, options, known) for name, known in formats.items()
    ]
    values: list[np.ndarray | str] = []
    for row, cells in zip(rows, zip(*read, strict=True) if read else ((),) * len(rows), strict=True):
        twice = (
            f"there are several {name}: give each a name of its own" for name in formats if f"{name} (2)" in row.cells
        )
        fault = next((cell for cell in cells if isinstance(cell, str)), next(twice, None))
        values.append(np.array(cells, dtype=float) if fault is None else fault)
    return values


def _column(
    name: str, cells: Sequence[Any], places: Sequence[str], options: Any, known: NumberFormat | None
) -> list[float | str]:
    """The cells of a column as numbers, in the signs of the training data; what is wrong with those that are none."""
    with suppress(UserError):
        column_numbers = read_numbers(name, cells, options, [], places, known)
        if column_numbers is not None:
            return column_numbers.values.astype(float).tolist()
    return [_number(name, cell, place, options, known) for cell, place in zip(cells, places, strict=True)]


def _number(name: str, cell: Any, place: str, options: Any, known: NumberFormat | None) -> float | str:
    if is_missing(cell, options.na_values, NUMBER_WORDS):
        return np.nan
    try:
        column_numbers = read_numbers(name, [cell], options, [], [place], known)
    except UserError as error:
        return str(error)
    return f"{name} is {cell!r}, not a number" if column_numbers is None else float(column_numbers.values.iloc[0])
