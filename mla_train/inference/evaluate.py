"""A trained model on labelled data: the metrics of training with their intervals, by slices, and the worst mistakes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mla_train.data.batch import Batch
from mla_train.data.examples import LABEL
from mla_train.data.file_kinds import FILE_KINDS
from mla_train.data.readers import LABEL_NAMES, TARGET_NAMES, refuse_written_list
from mla_train.data.sampling import evaluation_batches
from mla_train.data.tables.cells import LABEL_WORDS, TEXT_WORDS, as_text, is_empty, is_missing
from mla_train.data.tables.source import Source
from mla_train.dataset import Dataset, Split
from mla_train.errors import UserError
from mla_train.heads.base import Head, Predictions, merge
from mla_train.heads.bootstrap import DRAWS, bounds_of, drawn_metrics
from mla_train.heads.unlabelled import Unlabelled
from mla_train.inference.columns import Files, find_columns, located, named, raw_value
from mla_train.inference.examples import open_examples
from mla_train.inference.files import table_options
from mla_train.inference.histories import NEXT
from mla_train.inference.predictor import Predictor
from mla_train.modalities.series.future import read_windows
from mla_train.modalities.series.windows import WindowColumn

SLICES = 20  # most values of a column that are slices by themselves


@dataclass
class Labelled:
    """Examples with what is known of them.

    Attributes:
        split: Examples and targets.
        rows: Cells of the row of each example.
        notes: Lines for the user: what was left out.
    """

    split: Split
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_labelled(predictor: Predictor, path: str, columns: dict[str, str], label: str | None = None) -> Labelled:
    """Reads labelled rows as the model reads examples; those that cannot be used are left out, counted and named.

    Args:
        predictor: Trained model.
        path: Table.
        columns: Input name to column, where the usual names do not fit.
        label: Column of the labels; None takes that of the training data or one of a usual name.

    Raises:
        UserError: A column is missing, or no row can be used.
    """
    spec, options = predictor.spec, predictor.config.data
    if issubclass(spec.head, Unlabelled):
        spec.head.read_targets(spec.target, (), options, [])  # which says why there is nothing to read
    source = open_examples(predictor, path, label=label, columns=columns, is_labelled=True)
    notes: list[str] = []
    where = {} if source.has_values else find_columns(predictor, source.columns, columns, source.name, notes)
    kept = TARGET_NAMES if spec.head.kind == "generation" else LABEL_NAMES
    label = _label_column(predictor, source, label, kept, notes)
    meanings = {str(number): name for number, name in enumerate(source.class_names.get(label, ()))}
    pairs = zip(getattr(spec.target, "written", ()), getattr(spec.target, "names", ()), strict=False)
    odd = next(((number, name) for number, name in pairs if meanings.get(number, name) != name), None)
    if odd is not None:
        raise UserError(
            f"{source.name}: {label} {odd[0]} is {meanings[odd[0]]}, and {odd[1]} in the training data: write the names in place of the "
            "numbers"
        )
    rows, names, values, labels, faults = [], [], [], [], []
    na_values, files = getattr(options, "na_values", ()), Files(source)
    for number, row in enumerate(source.rows, 1):
        fault = row.error
        example: dict[str, Any] = {}
        if not fault and f"{label} (2)" in row.cells:
            fault = f"there are several {label}: give each a name of its own"
        found: list[Any] = []
        try:
            found = _targets(row.cells.get(label), label, spec.head.kind, options)
            fault = fault or ("" if found else f"no {label}")
            example = dict(row.values or {})
            example |= {n: raw_value(spec.inputs[n].kind, row, c, files, na_values) for n, c in where.items()}
            if not fault and all(value is None for value in example.values()):
                fault = f"no {' or '.join(named(where))}"
            for name, value in example.items() if not fault else ():
                if value is not None and spec.inputs[name].kind in FILE_KINDS:
                    example[name] = spec.inputs[name].preprocess([value]).raw(0)  # decoded once
        except UserError as error:
            fault = fault or str(error)
        if fault:
            faults.append(located(row, number, fault))
            continue
        for target in found:
            rows.append(dict(row.cells))
            names.append(f"{source.name} {row.place}".strip())
            values.append(example)
            labels.append(target)
    notes = [*source.notes, *notes]
    if faults:
        notes.append(f"left out {len(faults):,} rows that cannot be read, the first: {faults[0]}")
    targets, known = spec.head.read_targets(spec.target, labels, options, notes)
    if not known.all():
        strange = sorted({str(each) for each, is_known in zip(labels, known, strict=True) if not is_known})
        shown = ", ".join(strange[:5]) + (", ..." if len(strange) > 5 else "")
        notes.append(f"left out {int((~known).sum()):,} rows with labels that the model does not know: {shown}")
    places = np.flatnonzero(known)
    if not len(places):
        raise UserError(f"{source.name} has no row that can be evaluated: {'; '.join(notes)}")
    taken = [values[place] for place in places]
    inputs = {name: each.preprocess([value.get(name) for value in taken]) for name, each in spec.inputs.items()}
    chosen = targets[places] if isinstance(targets, np.ndarray) else [targets[place] for place in places]
    prepared = spec.head.prepare_targets(spec.target, chosen, "evaluation", spec.inputs, inputs, notes)
    split = Split(inputs, prepared, [names[place] for place in places])
    return Labelled(split, [rows[place] for place in places], notes)


def _label_column(
    predictor: Predictor, source: Source, asked: str | None, kept: Sequence[str], notes: list[str]
) -> str:
    """Column of the labels: the one that is asked for, else that of the training data, else one of a usual name, as notes say."""
    options = predictor.config.data
    trained = getattr(options, "label_column", None) or getattr(options, "target_column", None)
    trained = trained or predictor.spec.columns.get(LABEL)
    usual = [asked] if asked else [*([trained] if trained else []), *kept, NEXT]
    plain = {name.strip().lower(): name for name in source.columns}
    there = (name for name in usual if name in source.columns)
    label = next(there, None) or next((plain[name.lower()] for name in usual if name.lower() in plain), None)
    if label is None:
        raise UserError(
            f"{source.name} has no column {usual[0]} of labels; there are {', '.join(source.columns)}. Name it with --label COLUMN"
        )
    if not asked and trained and label != trained:
        notes.append(f"{source.name} has no column {trained}, the labels of the training data: column {label} is read")
    return label


def _targets(cell: Any, label: str, kind: str, options: Any) -> list[Any]:
    """What a cell says of its example, as training reads it: of written texts each of a list; nothing where it is missing.

    Args:
        cell: Cell of the labels.
        label: Name of their column.
        kind: Kind of the head.
        options: `data` options of the run.

    Raises:
        UserError: The cell is no text, where one is needed, or is a list that is written as one.
    """
    if kind == "multilabel" and getattr(options, "label_separator", None) is not None:
        return [cell]  # an empty one is an example without any label
    is_text = kind == "generation"
    if is_text:
        refuse_written_list(cell, label)
    cells = list(cell) if is_text and isinstance(cell, list | tuple | np.ndarray) else [cell]
    words, na_values = TEXT_WORDS if is_text else LABEL_WORDS, getattr(options, "na_values", ())
    found = [each for each in cells if not is_missing(each, na_values, words)]
    try:
        return [as_text(each, getattr(options, "encoding", None)) for each in found] if is_text else found
    except TypeError as error:
        raise UserError(f"{label}: {error}") from error


def read_measured(predictor: Predictor, path: str) -> Labelled:
    """Every window of a table of series that lies in its measured rows, with the steps behind it that are forecast.

    Args:
        predictor: Trained model that reads windows.
        path: Table.

    Raises:
        UserError: The table does not fit the model.
    """
    ((name, modality),) = predictor.spec.inputs.items()
    written = table_options(predictor.config.data)
    (last,) = read_windows(Path(path), modality.spec, backtest=1, all_measured=False, written=written)
    look_back, horizon = modality.spec.look_back, modality.spec.horizon
    column = WindowColumn(last.series, look_back, last.now - look_back + 1, look_back, horizon)
    notes, inputs, spec = last.series.table.notes, predictor.spec.inputs, predictor.spec
    targets = spec.head.prepare_targets(spec.target, column, "evaluation", inputs, {name: column}, notes)
    return Labelled(Split({name: column}, targets), notes=notes)


@torch.inference_mode()
def predict_split(predictor: Predictor, split: Split, batch_size: int = 128, bar: Any = None) -> Predictions:
    """Predictions of a whole split beside its labels, in order.

    Args:
        predictor: Trained model.
        split: Examples with targets.
        batch_size: Number of items in a batch.
        bar: Progress bar, if any.
    """
    head, parts = predictor.network.head, []
    data = Dataset(predictor.spec, split, split, split)
    device = next(predictor.network.parameters()).device
    for places in evaluation_batches(len(split), batch_size, lengths=data.lengths("test")):
        batch: Batch = data.collate([split[place] for place in places], training=False).to(device)
        features, outputs = predictor.network.evaluate(batch)
        columns = {"index": batch.index.cpu().numpy()} | head.labels(batch)
        parts.append(columns | head.predict(outputs, features, batch))
        if bar is not None:
            bar.update(len(places))
    merged = merge(parts)
    if split.groups is not None:
        merged["group"] = split.groups[merged["index"]]
    return merged


def intervals(head: Head, predictions: Predictions, draws: int = DRAWS) -> dict[str, dict[str, float]]:
    """Each metric with the ends of its 95 % interval, which is its value alone without draws; see `drawn_metrics`."""
    bounds = bounds_of(drawn_metrics(head, predictions, draws))
    metrics = {}
    for name, value in head.metrics(predictions).items():
        low, high = bounds.get(name, (value, value))
        metrics[name] = {"value": value, "low": low, "high": high}
    return metrics


def slices(rows: Sequence[dict[str, Any]], column: str) -> dict[str, np.ndarray]:
    """Rows by the value of a column; numbers of many values in four ranges of equal size.

    Args:
        rows: Cells of each example.
        column: Name of the column.

    Raises:
        UserError: There is no such column, or it has too many values.
    """
    if not rows or column not in rows[0]:
        names = ", ".join(rows[0]) if rows else "none: slices need --input"
        raise UserError(f"--by {column}: there is no such column; there are {names}")
    cells = ["" if is_empty(row.get(column)) else str(row[column]) for row in rows]
    values = sorted(set(cells))
    if len(values) > SLICES:
        try:
            numbers = np.array([float(cell or "nan") for cell in cells])
        except ValueError:
            numbers = np.array([np.nan])
        if not np.isfinite(numbers).any():
            raise UserError(f"--by {column}: it has {len(values):,} values; slices need {SLICES} at most, or numbers")
        cells, values = _ranges(numbers)
    array = np.array(cells)
    return {value or "(empty)": np.flatnonzero(array == value) for value in values}


def _ranges(numbers: np.ndarray) -> tuple[list[str], list[str]]:
    """The range of each number, of four of equal size, and those that occur in their order; that of NaN is empty."""
    edges = np.quantile(numbers[np.isfinite(numbers)], [0, 0.25, 0.5, 0.75, 1])
    edges[[0, -1]] = np.nanmin(numbers), np.nanmax(numbers)  # which may be infinite
    edges = np.unique(edges)
    written = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(6, 18))
    ends = next(each for each in written if len(set(each)) == len(edges))
    names = [f"{low} to {high}" for low, high in zip(ends, ends[1:] or ends, strict=False)]
    bins = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, len(names) - 1)
    cells = ["" if np.isnan(number) else names[place] for number, place in zip(numbers, bins, strict=True)]
    return cells, [name for name in ("", *names) if name in set(cells)]


def worst(
    head: Head,
    predictions: Predictions,
    rows: Sequence[dict[str, Any]],
    names: Sequence[str] = (),
    count: int = 20,
) -> list[dict[str, Any]]:
    """The examples that the model got most wrong, the worst first.

    Args:
        head: Head that made the predictions.
        predictions: Columns of `predict_split`.
        rows: Cells of each example.
        names: Name of each example, such as its file and line.
        count: Number of examples.
    """
    records = []
    for place, (label, record) in enumerate(
        zip(head.decode_labels(predictions), head.decode(predictions), strict=True)
    ):
        shown = {name: value for name, value in record.items() if name != "probabilities"}
        name: Any = names[place] if len(names) else ""
        known = {"id": getattr(name, "id", ""), "row": str(name)}
        known = {key: value for key, value in known.items() if value}
        records.append(known | (rows[place] if rows else {"index": place}) | {"label": label, **shown})
    errors = [head.example_error(record) for record in records]
    order = sorted(range(len(records)), key=lambda place: -errors[place])
    return [records[place] for place in order[:count] if errors[place] > 0]
