"""Evaluates a trained model on its test split or on labelled data: the metrics of training with 95 % intervals.

    python scripts/evaluate.py --run runs/mine
    python scripts/evaluate.py --run runs/mine --input labelled.csv --by country --output evaluation

The input is a table as scripts/predict.py reads it, with a column of labels; of a model that reads windows, such as a
forecaster, a table of measured series, of which every window is evaluated. --output names a folder for evaluation.json,
figures and the worst mistakes.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mla_train.commands import add_run, command_parser, load_run
from mla_train.errors import printable, run_script
from mla_train.inference.columns import parse_columns
from mla_train.report.tables import Cell, Table, as_rich, terminal
from mla_train.safe_files import write_atomically


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    add_run(parser)
    parser.add_argument("--input", help="labelled table; without it the run's test split is evaluated")
    parser.add_argument("--label", help="column of the labels, where its name is not a usual one")
    parser.add_argument("--column", action="append", default=[], metavar="INPUT=COLUMN", help="column of an input")
    parser.add_argument("--by", help="column whose values are evaluated one by one")
    parser.add_argument("--output", help="folder for evaluation.json, figures and the worst mistakes")
    parser.add_argument("--draws", type=int, default=1000, help="number of bootstrap draws of the intervals")
    return parser.parse_args()


def evaluate(arguments: argparse.Namespace) -> dict[str, Any]:
    """Runs the command; what evaluation.json holds.

    Raises:
        UserError: Something in the command or the data is not as it must be.
    """
    columns = parse_columns(arguments.column)
    if arguments.output is not None:
        Path(arguments.output).mkdir(parents=True, exist_ok=True)  # an error comes before the work
    predictor = load_run(arguments)

    import numpy as np

    from mla_train.heads.base import rows_of
    from mla_train.inference.evaluate import (
        Labelled,
        intervals,
        predict_split,
        read_labelled,
        read_measured,
        slices,
        worst,
    )
    from mla_train.inference.own_test import read_own

    head = predictor.network.head
    if arguments.input is None:
        data, notes = read_own(predictor, arguments.run)
        labelled = Labelled(data.test, notes=notes)
    elif predictor.reads_windows:
        labelled = read_measured(predictor, arguments.input)
    else:
        labelled = read_labelled(predictor, arguments.input, columns, arguments.label)
    for note in labelled.notes:
        print(printable(note), file=sys.stderr)
    count = len(labelled.split.targets)
    with tqdm(total=len(labelled.split), unit=" examples", file=sys.stderr, disable=None) as bar:
        predictions = predict_split(predictor, labelled.split, bar=bar)
    parts: dict[str, Any] = {"all": np.arange(count)}
    if arguments.by is not None:
        parts |= slices(labelled.rows, arguments.by)
    metrics_by_slice, rows = {}, []
    for name, places in tqdm(
        parts.items(), desc="intervals", file=sys.stderr, disable=None if len(parts) > 1 else True
    ):
        metrics = intervals(head, rows_of(predictions, places), arguments.draws)
        metrics_by_slice[name] = {"examples": len(places), "metrics": metrics}
        cells = [Cell(f"{each['value']:.4f} [{each['low']:.4f}, {each['high']:.4f}]") for each in metrics.values()]
        rows.append([Cell(name), Cell(f"{len(places):,}", len(places)), *cells])
    terminal().print(as_rich(Table([arguments.by or "examples", "number", *metrics], rows)))
    result = {"run": str(arguments.run), "input": arguments.input, "notes": labelled.notes, "slices": metrics_by_slice}
    if arguments.output is not None:
        folder = Path(arguments.output)
        head.figures(predictions, folder)
        if head.kind != "forecast":
            result["worst"] = worst(head, predictions, labelled.rows, labelled.split.names)
        text = json.dumps(result, indent=2, ensure_ascii=False, default=str)
        write_atomically(folder / "evaluation.json", text + "\n")
        print(f"written to {folder}", file=sys.stderr)
    return result


def main() -> None:
    """Evaluates, or says in one line what is wrong."""
    run_script(lambda: evaluate(parse_arguments()))
