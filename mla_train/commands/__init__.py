"""The commands: each module is one, with a `main` that reads the command line. Here is what they share."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from mla_train.masking import mask_options
from mla_train.program import as_started, imports, program

if TYPE_CHECKING:
    from mla_train.inference.predictor import Predictor


if "OMP_WAIT_POLICY" not in os.environ:
    # Threads of torch that wait for each other (GNU OpenMP) sleep early: faster on processors that other work uses too, and not slower
    # on free ones (docs/performance.md). It is read when torch is loaded.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(mask_options(message))  # it repeats words of the command


def command_parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the docstring of the command's module."""
    return _Parser(
        prog=" ".join(program()),
        description=as_started(doc or ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Adds --run, and --config-dir for tasks outside the project."""
    parser.add_argument("--run", type=Path, required=True, help="run folder, or the folder `model` in it")
    parser.add_argument("--config-dir", type=Path, help="folder of a task of your own, as it was given to the training")


def load_run(arguments: argparse.Namespace) -> "Predictor":
    """The trained model that --run names. Commands import what needs torch after their options were checked.

    Raises:
        UserError: It cannot be loaded.
    """
    if sys.stderr.isatty():
        print("loading the model ...", file=sys.stderr)
    with imports():
        from mla_train.inference.predictor import load

    return load(str(arguments.run), trust=arguments.config_dir)  # a repository of the Hub is no path
