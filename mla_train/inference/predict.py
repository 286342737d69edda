"""From a file of examples to a file of answers: every row keeps its place and its columns."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from mla_train.data.tables.source import Row, Source
from mla_train.errors import UserError, counted, printable
from mla_train.inference.answers import Answers, answer_columns, flat
from mla_train.inference.columns import Columns, Files, find_columns, located, named, raw_value
from mla_train.inference.files import Writer, chunks, whole
from mla_train.inference.predictor import Predictor


def predict_file(predictor: Predictor, source: Source, output: str, kind: str, answers: Answers, bar: Any) -> str:
    """Predicts the rows of a source and writes them with their answers.

    Args:
        predictor: Trained model.
        source: Rows.
        output: File that is written, or "-".
        kind: Format of it.
        answers: What is written.
        bar: Progress bar of tqdm.

    Returns:
        What became of the rows.

    Raises:
        UserError: A column is missing or would be written over, a row is at fault and errors stop.
    """
    notes: list[str] = []
    if source.format == "jsonl" and kind not in ("jsonl", "json", "txt"):  # later rows may have columns of their own
        held = list(source.rows)
        source.columns = list(dict.fromkeys([*source.columns, *(name for row in held for name in row.cells)]))
        source.rows = iter(held)
    if kind == "parquet" and source.format in ("jsonl", "xlsx"):  # only all rows tell of what kind a column is
        held = list(source.rows)
        source.schema, source.rows = _schema(held, source), iter(held)
    where = {} if source.has_values else find_columns(predictor, source.columns, answers.columns, source.name, notes)
    for note in [*source.notes, *(notes if source.format not in ("txt", "files") else ())]:
        bar.write(printable(note), file=sys.stderr)
    notes_before = len(source.notes)
    own = answer_columns(predictor, answers)
    _refuse_hidden(own, source.columns, source.name)
    separator = (
        "\t" if kind == "tsv" else source.separator if source.format == "csv" and len(source.separator) == 1 else ","
    )
    count, errors, files = 0, [], Files(source)
    columns = [*source.columns, *own]
    if kind == "txt":
        columns = ["score", "prediction"] if answers.scores else ["prediction"]
    with Writer(output, kind, columns, separator, source.schema) as writer:
        for chunk in chunks(source.rows):
            for row in chunk if source.format == "jsonl" else ():
                _refuse_hidden(own, row.cells, f"{source.name} {row.place}")
            rows = list(answered(predictor, chunk, where, files, answers))
            numbered = enumerate(zip(chunk, rows, strict=True), count + 1)
            errors += [located(each, number, row["error"]) for number, (each, row) in numbered if row["error"]]
            if errors and not answers.keep_errors:
                raise UserError(f"{source.name} {errors[0]}")
            writer.write(rows)
            bar.update(len(rows))
            count += len(rows)
    for note in source.notes[notes_before:]:  # of what the rows hold
        bar.write(printable(note), file=sys.stderr)
    summary = counted(count, "row") + (f" to {output}" if output != "-" else "")
    return summary + (f"; {len(errors):,} with an error, the first: {errors[0]}" if errors else "")


def _schema(rows: Sequence[Row], source: Source) -> Any:
    """Type of each column of a source, for parquet.

    Raises:
        UserError: A column holds values of several kinds, such as numbers and texts.
    """
    import pyarrow

    fields = []
    for name in source.columns:
        try:
            fields.append((name, pyarrow.array([whole(row.cells.get(name)) for row in rows]).type))
        except (pyarrow.ArrowException, OverflowError) as error:
            raise UserError(
                f"{source.name}: column {name} holds values of several kinds, or numbers too large, and one of parquet does "
                f"not ({error}): let --output end in .csv or .jsonl"
            ) from error
    return pyarrow.schema(fields)


def _refuse_hidden(own: Sequence[str], columns: Iterable[str], where: str) -> None:
    """Raises a UserError where columns of a source are named as those of answers."""
    hidden = sorted(set(own).intersection(columns))
    if hidden:
        raise UserError(
            f"{where} has a column {', '.join(hidden)} of its own, which the answer would hide: rename it, or leave it out of the file"
        )


def answered(
    predictor: Predictor, chunk: Sequence[Row], where: Columns, files: Files, answers: Answers
) -> Iterator[dict[str, Any]]:
    """Rows with their answers, in order.

    Args:
        predictor: Trained model.
        chunk: Rows.
        where: Column of each input.
        files: Files that cells name.
        answers: What is written.
    """
    examples = [_example(predictor, row, where, files) for row in chunk]
    good = [example for example in examples if not isinstance(example, str)]
    records = predictor.predict_batches(good, answers.batch_size, keep_errors=True)
    for row, example in zip(chunk, examples, strict=True):
        record = next(records) if not isinstance(example, str) else {"error": example}
        yield {**row.cells, **flat(record, answers)}


def _example(predictor: Predictor, row: Row, where: Columns, files: Files) -> Mapping[str, Any] | str:
    """Raw values of a row; what is wrong with it where it cannot be read."""
    if row.error:
        return row.error
    if row.values is not None:
        return row.values
    inputs, na_values = predictor.spec.inputs, getattr(predictor.config.data, "na_values", ())
    try:
        example = {name: raw_value(inputs[name].kind, row, column, files, na_values) for name, column in where.items()}
    except UserError as error:
        return str(error)
    return example if any(value is not None for value in example.values()) else f"no {' or '.join(named(where))}"
