"""Predicts with a trained model: a file in, the same file with predictions out.

    python scripts/predict.py --run runs/mine --input reviews.csv --output answers.csv
    python scripts/predict.py --run runs/mine --text "What a day"
    python scripts/predict.py --run runs/mine --input pictures/ --output answers.csv --top 3

The input is csv, tsv, jsonl or parquet, also compressed (.gz, .xz, .bz2); a text file with an example in each line; a folder
of images; or - for the standard input. Rows keep their order and all their columns; a row that cannot be read keeps its
place, with the reason in the column `error`.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

import mla_train
from mla_train.errors import UserError
from mla_train.inference.files import FORMATS, format_of, open_source
from mla_train.inference.predict import Answers, predict_file, show_one


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", required=True, help="run folder, or the folder `model` in it")
    parser.add_argument("--input", help="file, folder of images, or - for the standard input")
    parser.add_argument("--output", default="-", help="file; - is the standard output (default)")
    parser.add_argument("--text", help="one text, instead of a file")
    parser.add_argument("--image", help="one image file, instead of a file of examples")
    parser.add_argument("--format", choices=FORMATS, help="format of the input, where its name does not tell")
    parser.add_argument(
        "--column", action="append", default=[], metavar="INPUT=COLUMN", help="column of an input, such as text=review"
    )
    parser.add_argument("--top", type=int, default=1, help="number of classes, the most probable first")
    parser.add_argument(
        "--threshold", type=float, help="least probability of a prediction; rows below it get no prediction"
    )
    parser.add_argument("--probabilities", action="store_true", help="write the probability of every class")
    parser.add_argument(
        "--on-error", choices=("keep", "stop"), default="keep", help="keep bad rows with an error (default), or stop"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="number of examples that are predicted at a time")
    return parser.parse_args()


def answers_of(arguments: argparse.Namespace) -> Answers:
    """The options of answers.

    Raises:
        UserError: A value cannot be meant.
    """
    columns = {}
    for word in arguments.column:
        name, sign, column = word.partition("=")
        if not sign or not column:
            raise UserError(f"--column {word}: write INPUT=COLUMN, such as text=review")
        columns[name] = column
    if arguments.top < 1 or arguments.batch_size < 1:
        raise UserError("--top and --batch-size must be 1 or more")
    if arguments.threshold is not None and not 0 <= arguments.threshold <= 1:
        raise UserError(f"--threshold {arguments.threshold}: must lie between 0 and 1")
    return Answers(
        arguments.top,
        arguments.threshold,
        arguments.probabilities,
        arguments.on_error == "keep",
        arguments.batch_size,
        columns,
    )


def predict(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: Something in the command or the data is not as it must be.
    """
    answers = answers_of(arguments)
    one = {name: value for name, value in (("text", arguments.text), ("image", arguments.image)) if value is not None}
    if bool(one) == (arguments.input is not None):
        raise UserError("name what is predicted: --input FILE, or one example with --text and --image")
    source = None if one else open_source(arguments.input, arguments.format)
    predictor = mla_train.load(arguments.run)
    if source is None:
        example: Any = one if len(predictor.spec.inputs) > 1 or one.keys() <= predictor.spec.inputs.keys() else None
        if example is None and len(one) == 1:
            (kind,) = {"text", "image"} & one.keys()
            (modality,) = predictor.spec.inputs.values()
            if modality.kind == kind:
                example = one[kind]
        if example is None:
            raise UserError(f"this model reads {', '.join(predictor.spec.inputs)}: name a file with --input")
        print(show_one(predictor.predict([example])[0], answers))
        return
    lines = "txt" if predictor.network.head.kind == "generation" else "csv"
    kind = {"images": "csv", "parquet": "csv", "txt": lines}.get(source.format, source.format)
    if arguments.output != "-":
        asked = format_of(Path(arguments.output))
        if asked is None:
            raise UserError(f"--output {arguments.output}: must end in .{', .'.join(FORMATS)}")
        kind = asked
    with tqdm(total=source.size, unit=" rows", file=sys.stderr, disable=None) as bar:
        count = predict_file(predictor, source, arguments.output, "jsonl" if kind == "json" else kind, answers, bar)
    said = f"{count.rows:,} rows" + (f" to {arguments.output}" if arguments.output != "-" else "")
    if count.errors:
        said += f"; {count.errors:,} with an error, the first: {count.first_error}"
    print(said, file=sys.stderr)


def main() -> None:
    """Predicts, or says in one line what is wrong."""
    try:
        predict(parse_arguments())
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
