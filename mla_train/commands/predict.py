r"""Predicts with a trained model: a file in, the same file with predictions out.

    python scripts/predict.py --run runs/mine --input reviews.csv --output answers.csv
    python scripts/predict.py --run runs/mine --text "What a day"
    python scripts/predict.py --run runs/mine --input images/ --output answers.csv --top 3

The input is csv, tsv, jsonl or parquet, also compressed (.gz, .xz, .bz2); a text file with an example in each line; a folder
of images; or - for the standard input. Rows keep their order and all their columns; a row that cannot be read keeps its
place, with the reason in the column `error`.

    python scripts/predict.py --run runs/language --text "def read(" --max-new-tokens 60 --temperature 0.5 --stop "\n\n"

continues a text, sampled with temperature 0.8 and seed 0 unless the options say otherwise.

    python scripts/predict.py --run runs/load --input load.csv --output forecast.csv

forecasts the steps after the last measured row of a table, with a figure beside the file; rows after it hold the
covariates that are known ahead.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from mla_train.commands import add_run, command_parser, load_run
from mla_train.config import SamplingOptions
from mla_train.config.checks import check_options
from mla_train.data.tables.source import FORMATS, format_of
from mla_train.errors import UserError, printable, require, run_script
from mla_train.inference.answers import Answers, show_one
from mla_train.inference.columns import parse_columns
from mla_train.inference.files import WRITTEN

ONE = ("text", "image", "audio")
"""Options that give an input of one example."""


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    add_run(parser)
    parser.add_argument("--input", help="file, folder of images or recordings, or - for the standard input")
    parser.add_argument("--output", default="-", help="file; - is the standard output (default)")
    parser.add_argument(
        "--text", help="one text, instead of a file; of a recommender, items with a bar between them, or a list as JSON"
    )
    parser.add_argument("--image", help="one image file, instead of a file of examples")
    parser.add_argument("--audio", help="one recording, instead of a file of examples")
    parser.add_argument("--format", choices=FORMATS, help="format of the input, where its name does not tell")
    parser.add_argument(
        "--column", action="append", default=[], metavar="INPUT=COLUMN", help="column of an input, such as text=review"
    )
    parser.add_argument(
        "--top",
        "--n-best",
        type=int,
        default=1,
        help="number of classes, of generated texts or of items, the best first",
    )
    parser.add_argument("--beams", type=int, help="number of beams of generated texts; 1 is greedy and fastest")
    add_sampling(parser)
    parser.add_argument(
        "--scores", action="store_true", help="begin each line of a text file with the score of the text"
    )
    parser.add_argument(
        "--threshold", type=float, help="least probability of a prediction; rows below it get no prediction"
    )
    parser.add_argument("--probabilities", action="store_true", help="write the probability of every class")
    parser.add_argument(
        "--on-error", choices=("keep", "stop"), default="keep", help="keep bad rows with an error (default), or stop"
    )
    parser.add_argument("--from", dest="start", metavar="TIME", help="time of the first step that is forecast")
    parser.add_argument(
        "--backtest", type=int, default=0, metavar="N", help="N forecasts of measured steps, beside what was measured"
    )
    parser.add_argument("--batch-size", type=int, default=64, help="number of examples that are predicted at a time")
    return parser.parse_args()


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Adds the options of texts that are continued; what is not given keeps the default of `SamplingOptions`."""
    usual = SamplingOptions()
    group = parser.add_argument_group("texts that are continued by a language model")
    group.add_argument("--max-new-tokens", type=int, help=f"most tokens that are written ({usual.max_new_tokens})")
    group.add_argument(
        "--temperature", type=float, help=f"below 1 favours probable tokens, 0 takes the best ({usual.temperature})"
    )
    group.add_argument("--top-k", type=int, help="number of the most probable tokens to sample from (all)")
    group.add_argument("--top-p", type=float, help=f"their total probability ({usual.top_p:g})")
    group.add_argument("--min-p", type=float, help=f"least probability as a share of the highest ({usual.min_p:g})")
    group.add_argument(
        "--repetition-penalty",
        type=float,
        help=f"above 1, tokens that occurred are less probable ({usual.repetition_penalty:g})",
    )
    group.add_argument(
        "--stop",
        action="append",
        metavar="TEXT",
        help=r"text at which to end, several times if need be; \n is a line end",
    )
    group.add_argument(
        "--lookup",
        type=int,
        metavar="N",
        help="read N tokens ahead by what the text wrote before: faster where it repeats itself, with one text at a time (0)",
    )
    group.add_argument(
        "--stream", action="store_true", help="with --text, print what is written as it is written, and nothing else"
    )
    group.add_argument("--seed", type=int, help=f"another seed gives other texts ({usual.seed})")


def set_sampling(head: Any, arguments: argparse.Namespace) -> None:
    """Sets how texts are continued.

    Raises:
        UserError: The model continues no texts, or a value cannot be meant.
    """
    given = {each.name: getattr(arguments, each.name) for each in fields(SamplingOptions)}
    given = {name: value for name, value in given.items() if value is not None}
    if not given:
        return
    if head.kind != "next_tokens":
        option = next(iter(given)).replace("_", "-")
        raise UserError(f"--{option} belongs to language models (task=causal_lm); this model continues no texts")
    if "stop" in given:
        given["stop"] = [text.replace("\\n", "\n").replace("\\t", "\t") for text in given["stop"]]
    head.sampling = replace(head.sampling, **given)
    try:
        check_options(head.sampling)
    except UserError as error:
        raise UserError(f"--{str(error).replace('_', '-')}") from error


def answers_of(arguments: argparse.Namespace) -> Answers:
    """The options of answers.

    Raises:
        UserError: A value cannot be meant.
    """
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
        arguments.scores,
        parse_columns(arguments.column),
    )


def example_of(arguments: argparse.Namespace, inputs: Mapping[str, Any]) -> Any:
    """The one example of --text, --image and --audio; the only input of a model may have another name.

    Raises:
        UserError: The model reads something else.
    """
    given = {name: value for name in ONE if (value := getattr(arguments, name)) is not None}
    if given.keys() <= inputs.keys():
        return given
    kinds = [modality.kind for modality in inputs.values()]
    if kinds == list(given):
        return next(iter(given.values()))
    if kinds == ["items"] and list(given) == ["text"]:
        return given["text"] or []  # of a new user
    raise UserError(f"this model reads {', '.join(inputs)}: name a file with --input")


def set_generation(head: Any, beams: int | None, n_best: int) -> None:
    """Sets how texts are generated.

    Raises:
        UserError: The model generates no texts, or there are fewer beams than texts.
    """
    if head.kind != "generation":
        if beams is not None:
            raise UserError("--beams belongs to generated texts; this model gives none")
        return
    head.options.beams = beams or max(head.options.beams, n_best)
    head.n_best = n_best
    if n_best > head.options.beams or head.options.beams < 1:
        raise UserError(f"--n-best {n_best} needs as many beams: --beams {n_best}")


def check_output(file: Path, source: str | None) -> None:
    """Finds before the first prediction that a file of answers cannot be written.

    Raises:
        UserError: It is a folder, there is none for it, or it is what is read.
    """
    require(not file.is_dir(), f"--output {file} is a folder: name a file in it")
    require(file.parent.is_dir(), f"--output {file} cannot be written: there is no folder {file.parent}")
    is_source = source is not None and file.exists() and Path(source).exists() and file.samefile(source)
    require(not is_source, f"--output {file} is the input, which stays as it is: name another file")


def predict(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: Something in the command or the data is not as it must be.
    """
    answers = answers_of(arguments)
    is_one = any(getattr(arguments, name) is not None for name in ONE)
    if is_one == (arguments.input is not None):
        raise UserError(
            "name what is predicted: --input FILE (- for standard input), or one example with --text, --image or --audio"
        )
    asked = format_of(Path(arguments.output)) if arguments.output != "-" else None
    if arguments.output != "-" and asked not in WRITTEN:
        raise UserError(f"--output {arguments.output}: must end in .{', .'.join(WRITTEN)}")
    if arguments.output != "-":
        check_output(Path(arguments.output), arguments.input)
    predictor = load_run(arguments)
    head: Any = predictor.network.head
    set_generation(head, arguments.beams, answers.top)
    set_sampling(head, arguments)
    if head.kind == "ranking" and answers.top > 1:
        head.top = answers.top
    if arguments.stream:
        require(arguments.text is not None, "--stream prints one continued text: name its beginning with --text")
        require(head.kind == "next_tokens", "--stream belongs to language models (task=causal_lm)")
        writer: Any = head
        writer.on_piece = lambda piece: print(printable(piece), end="", flush=True)
        predictor.predict([example_of(arguments, predictor.spec.inputs)])
        print()
        return
    if is_one:
        record = predictor.predict([example_of(arguments, predictor.spec.inputs)])[0]
        print(printable(show_one(record, answers)))
        return
    if head.kind == "forecast":
        from mla_train.inference.forecast import forecast_file

        summary = forecast_file(
            predictor, arguments.input, arguments.output, asked or "csv", arguments.start, arguments.backtest
        )
    elif arguments.start is not None or arguments.backtest:
        raise UserError("--from and --backtest belong to forecasts; this model makes none")
    elif predictor.reads_windows:
        from mla_train.inference.windows import predict_windows

        summary = predict_windows(predictor, arguments.input, arguments.output, asked or "csv")
    else:
        from mla_train.inference.examples import open_examples
        from mla_train.inference.predict import predict_file

        source = open_examples(predictor, arguments.input, arguments.format, columns=answers.columns)
        lines = "txt" if head.kind == "generation" else "jsonl" if head.kind == "next_tokens" else "csv"
        same = source.format if source.format in WRITTEN and source.format != "parquet" else "csv"
        kind = asked or (lines if source.format == "txt" else same)
        if kind == "txt" and head.kind == "next_tokens":
            raise UserError("continued texts have several lines: let --output end in .jsonl, .csv, .tsv or .parquet")
        if kind == "txt" and answers.top > 1:
            raise UserError("--n-best writes columns: let --output end in .csv, .tsv, .jsonl or .parquet")
        with tqdm(total=source.size, unit=" rows", file=sys.stderr, disable=None) as bar:
            summary = predict_file(
                predictor, source, arguments.output, "jsonl" if kind == "json" else kind, answers, bar
            )
    print(printable(str(summary)), file=sys.stderr)


def main() -> None:
    """Predicts, or says in one line what is wrong."""
    run_script(lambda: predict(parse_arguments()))
