"""Draws attention maps and attributions of a trained model for one example.

    python scripts/attention.py --run runs/mine --input "Wo steht das?"
    python scripts/attention.py --run runs/mine --input digit.png --method attention occlusion shap

An example has one or several inputs, depending on the task of the model:

    text_classification    a text
    image_classification   an image file
    speech_classification  a recording
    image_captioning       an image file; target=TEXT replaces the model's own caption
    translation            the source; target=TEXT replaces the model's own translation
    forecasting            a CSV file, of which the last rows are read; column=NAME selects the series to draw (default: the
                           first)
    series_classification  use --index
    multimodal_sentiment   its modalities: text=TEXT image=FILE

NAME=VALUE gives one input, each in its own --input; one JSON object with all inputs works too.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mla_train.commands import add_run, command_parser, load_run
from mla_train.errors import UserError, did_you_mean, printable, run_script
from mla_train.explain import METHODS
from mla_train.explain.raw_example import parse_raw

if TYPE_CHECKING:  # options are checked before torch is loaded
    from mla_train.inference.predictor import Predictor

ATTENTION = "attention"


def example(predictor: "Predictor", run: Path, index: int | None, inputs: list[str]) -> dict[str, Any]:
    """The example that the options name: from --input, from the test split, or from the test split with inputs replaced."""
    if index is None and not inputs:
        raise UserError("name an example: --input, or --index for an example of the test split")
    given = parse_raw(inputs, predictor.task.raw_inputs(predictor.network.spec)) if inputs else {}
    if index is None:
        return given
    from mla_train.inference.own_test import read_own

    data, notes = read_own(predictor, run)
    for note in notes:
        print(printable(note), file=sys.stderr)
    count = data.count("test")
    if not 0 <= index < count:
        raise UserError(f"--index {index}: the test split has examples 0 to {count - 1:,}")
    return {**data.test.raw(index), **given}


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    add_run(parser)
    parser.add_argument("--input", action="append", default=[], help="an input of the example; may be repeated")
    parser.add_argument("--index", type=int, help="example of the test split, counted from 0")
    parser.add_argument("--out", type=Path, help="folder for figures and numbers (default: RUN/attention)")
    parser.add_argument(
        "--method", nargs="+", default=[ATTENTION], help=f"{ATTENTION} (default), {', '.join(METHODS)}; several allowed"
    )
    parser.add_argument("--layer", type=int, help="layer whose maps are drawn, counted from 1 (default: the last)")
    return parser.parse_args()


def draw(options: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: Something in the command is not as it must be.
    """
    for method in options.method:
        if method not in (ATTENTION, *METHODS):
            raise UserError(f"--method {method}: unknown method. {did_you_mean(method, (ATTENTION, *METHODS))}")
    predictor = load_run(options)

    from mla_train.explain.attribution_figures import write_attributions
    from mla_train.explain.draw_attention import draw_attention
    from mla_train.training.scores import attention_of_kept_start, read_kept_start

    model = predictor.network
    explanation = predictor.task.explain(model, example(predictor, options.run, options.index, options.input))
    folder = options.out or options.run / "attention"
    if options.out is None and folder.is_symlink():
        raise UserError(f"{folder} is a link, which may lead anywhere: remove it, or name a folder with --out")
    folder.mkdir(parents=True, exist_ok=True)
    print(printable(str(explanation.prediction)))
    start = read_kept_start(options.run)
    if start and ATTENTION in options.method:
        print(printable(attention_of_kept_start(start)), file=sys.stderr)  # files alone follow the prediction
    files = draw_attention(model, explanation, options.layer, folder) if ATTENTION in options.method else []
    methods = [method for method in dict.fromkeys(options.method) if method != ATTENTION]
    files += write_attributions(model, explanation, methods, folder) if methods else []
    for file in files:
        print(file)


def main() -> None:
    """Draws, or says in one line what is wrong."""
    run_script(lambda: draw(parse_arguments()))
