"""Checks data before training: what was read, duplicates, leaks, labels that may be wrong.

    python scripts/check_data.py task=text_classification data=text_files data.train=reviews.csv
    python scripts/check_data.py data=image_folder data.root=images --output checks/images.html --label-errors

Options are those of train.py; nothing is trained. Prints what to look at, and writes data_report.html with examples. Beside it
are, where there are any, duplicates.csv and label_errors.csv, which name the row or file of each example concerned.
"""

import argparse
from pathlib import Path

from mla_train.commands import command_parser
from mla_train.config.overrides import compose_overrides, extend_import_path, quote_signs
from mla_train.errors import printable, require, run_script
from mla_train.program import CONF, imports

LABEL_ERRORS = (
    "look for labels that may be wrong; by default only if that takes less than about a minute "
    "(200,000 examples times classes), with --no-label-errors never"
)


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = command_parser(__doc__)
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of train.py, such as task= and data=")
    parser.add_argument("--output", type=Path, default=Path("data_report.html"), help="file of the report")
    parser.add_argument("--label-errors", action=argparse.BooleanOptionalAction, help=LABEL_ERRORS)
    parser.add_argument("--config-dir", help="folder of a task of your own, as for the training")
    return parser.parse_intermixed_args()


def check(arguments: argparse.Namespace) -> None:
    """Runs the command.

    Raises:
        UserError: Something in the command or the data is not as it must be.
    """
    folder = [] if arguments.config_dir is None else ["--config-dir", arguments.config_dir]
    words = [*folder, *quote_signs(arguments.options)]
    extend_import_path(words)
    config = compose_overrides(CONF, words)
    output: Path = arguments.output
    require(not output.is_dir(), f"--output {output} is a folder: name a file, such as {output / 'data_report.html'}")
    output.parent.mkdir(parents=True, exist_ok=True)  # an error comes before the work
    print("reading the data ...", flush=True)

    with imports():
        from mla_train.checks import LoadedExamples, check_data, problems_of
        from mla_train.checks.label_errors import check_label_errors, takes_long
        from mla_train.report.data_report import write_data_report, write_listings
        from mla_train.task import build_task

    data = build_task(config).load_data()
    kind = data.spec.head.kind
    require(
        kind == "classification" or not arguments.label_errors,
        f"--label-errors looks for wrong classes, and this task predicts something else ({kind}): leave it out",
    )
    counts = ", ".join(f"{data.count(split):,} {split}" for split in ("train", "val", "test"))
    lines = [*data.notes, f"{config.task.name} on {config.data.name}: {counts} examples"]
    print(printable("\n".join(lines)), flush=True)
    checks = check_data(data)
    if kind == "classification" and arguments.label_errors is not False:
        examples = LoadedExamples(data)
        if arguments.label_errors or not takes_long(examples):
            checks.append(check_label_errors(examples))
            if not checks[-1].listing:
                print(printable(checks[-1].note))
        else:
            print("label errors were not looked for, as it takes minutes: --label-errors does")
    problems = problems_of(checks)
    print(printable("\n".join(f"look at: {problem}" for problem in problems)) or "the checks found nothing wrong")
    write_data_report(output, f"Data of {config.task.name} on {config.data.name}", data, checks)
    written, old = write_listings(output.parent, checks)
    for file in (output, *written):
        print(f"written: {file}")
    for file in old:
        print(f"{file} is of an earlier check; now there is nothing to list")


def main() -> None:
    """Checks the data, or says in one line what is wrong."""
    run_script(lambda: check(parse_arguments()))
