"""Measures speed, beside other libraries where they are installed.

    python scripts/benchmark.py train       a block, forward and backward
    python scripts/benchmark.py infer       four blocks without gradients
    python scripts/benchmark.py whole text  a whole training with its data: text, image, forecast, translation
    python scripts/benchmark.py decode      beam search with the latent cache
    python scripts/benchmark.py patterns    attention patterns
    python scripts/benchmark.py batches     batches of similar length
    python scripts/benchmark.py startup     until train.py has answered
    python scripts/benchmark.py grow        time and memory as the length of sequences grows
    python scripts/benchmark.py rows        time and memory as rows are added to the data
    python scripts/benchmark.py gpu         encoders and decoding on a GPU, in bfloat16
    python scripts/benchmark.py page        docs/performance.md from docs/performance.json, and performance_gpu.json where there is one
    python scripts/benchmark.py quick       two minutes of train, beside the numbers of docs/performance.json

Alternatives are timed by turns, so that the load of the machine affects all alike; ratios are medians of paired turns.
"""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mla_train.errors import UserError

STORED = Path(__file__).resolve().parent.parent / "docs" / "performance.json"


def ratios_of(rows: Iterable[object], options: argparse.Namespace) -> None:
    """Prints rows as they are measured, and saves them if that is asked."""
    from benchmarks.ratios import Ratio, save, show

    measured: list[Ratio] = []
    for row in rows:
        assert isinstance(row, Ratio)
        measured.append(row)
        print(f"{row.case}, {row.peer}: {row.ratio:.2f}", file=sys.stderr, flush=True)
        if options.save:
            save([row], options.save)
    show(measured)


def train(options: argparse.Namespace) -> None:
    """A block, forward and backward, beside other libraries."""
    from benchmarks import blocks

    ratios_of(blocks.train(options.rounds, tuple(options.widths), tuple(options.lengths)), options)


def infer(options: argparse.Namespace) -> None:
    """Four blocks without gradients, beside torch's fast path."""
    from benchmarks import blocks

    ratios_of(blocks.infer(options.rounds, tuple(options.widths), tuple(options.lengths)), options)


def whole(options: argparse.Namespace) -> None:
    """A whole training with its data, beside a training of another library."""
    from benchmarks.whole import whole

    ratios_of(whole(options.training, options.rounds, options.seconds, options.overrides), options)


def startup(options: argparse.Namespace) -> None:
    """Seconds until train.py has answered."""
    from benchmarks.startup import show_startup

    show_startup(options.rounds)


def grow(options: argparse.Namespace) -> None:
    """Time and memory as the length of sequences grows."""
    from benchmarks.growth import show_growth

    show_growth(options.lengths)


def rows(options: argparse.Namespace) -> None:
    """Time and memory from a file to prepared data, as rows are added."""
    from benchmarks.data_growth import show_data_growth

    show_data_growth(options.kinds, options.rows)


def decode(options: argparse.Namespace) -> None:
    """Beam search with MLA's latent cache beside multi-head attention of the same size, and without any cache."""
    from benchmarks import decoding

    decoding.decode(options)


def patterns(options: argparse.Namespace) -> None:
    """Forward and backward pass of encoders with attention patterns, relative to global attention."""
    from benchmarks import choices

    choices.patterns(options)


def batches(options: argparse.Namespace) -> None:
    """Training with batches of similar length and with random batches."""
    from benchmarks import choices

    choices.batches(options)


def gpu(options: argparse.Namespace) -> None:
    """Training steps of whole encoders in bfloat16 on a GPU, beside other encoders, and decoding."""
    from benchmarks.gpu import gpu

    ratios_of(gpu(options.rounds), options)


def page(options: argparse.Namespace) -> None:
    """Writes the ratios of docs/performance.json and docs/performance_gpu.json into docs/performance.md."""
    from benchmarks.ratios import write_page

    files = [STORED, STORED.with_name("performance_gpu.json")]
    write_page([file for file in files if file.is_file()], STORED.with_suffix(".md"))


def quick(options: argparse.Namespace) -> None:
    """Two minutes of `train` at width 128, beside the numbers that docs/performance.json holds."""
    from benchmarks import blocks
    from benchmarks.ratios import read, show

    before = {row.key: row for row in read(STORED)} if STORED.is_file() else {}
    rows = list(blocks.train(options.rounds, (128,), (64, 256)))
    show(rows)
    for row in rows:
        if row.key in before:
            print(f"{row.case}, {row.peer}: {row.ratio:.2f}, stored {before[row.key].ratio:.2f}")


def main() -> None:
    """Reads the options and runs a benchmark."""
    formatter = argparse.ArgumentDefaultsHelpFormatter
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--threads", type=int, default=torch.get_num_threads(), help="number of CPU threads")
    common.add_argument("--rounds", type=int, default=3, help="number of timed turns of each alternative")
    saving = argparse.ArgumentParser(add_help=False)
    saving.add_argument(
        "--save", type=Path, metavar="FILE", help="JSON file whose rows are replaced, such as docs/performance.json"
    )
    shapes = argparse.ArgumentParser(add_help=False)
    shapes.add_argument("--widths", type=int, nargs="+", default=[128, 256, 512], help="widths of the block")
    shapes.add_argument("--lengths", type=int, nargs="+", default=[64, 256, 1024], help="tokens of a sequence")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(run: Any, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        part = commands.add_parser(
            run.__name__,
            parents=[common, *parents],
            help=run.__doc__,
            formatter_class=formatter,
        )
        part.set_defaults(run=run)
        return part

    add(train, saving, shapes)
    add(infer, saving, shapes)
    part = add(whole, saving)
    part.add_argument(
        "training", nargs=1, choices=["text", "masked_lm", "image", "forecast", "translation"], help="what is trained"
    )
    part.add_argument("--seconds", type=float, default=15.0, help="length of each training")
    part.add_argument("overrides", nargs="*", help="options of train.py, such as data=sst2 data.root=FOLDER")
    add(startup)
    part = add(grow)
    part.add_argument("--lengths", type=int, nargs="+", default=[256, 1024, 4096, 16384], help="tokens of a sequence")
    part = add(rows)
    part.add_argument("--rows", type=int, nargs="+", default=[10_000, 100_000], help="rows of the tables")
    kinds = ["texts", "pairs", "images", "series", "events"]
    part.add_argument("--kinds", nargs="+", default=kinds, choices=kinds, help="kinds of data")
    add(gpu, saving)
    add(quick)
    add(page)
    part = add(decode)
    part.add_argument("--dim", type=int, default=256, help="width")
    part.add_argument("--depth", type=int, default=4, help="blocks")
    part.add_argument("--heads", type=int, default=8, help="attention heads")
    part.add_argument("--beams", type=int, default=5, help="beams a source")
    part.add_argument("--sources", type=int, default=16, help="sources decoded together")
    part.add_argument("--memory", type=int, default=32, help="tokens of each source")
    part.add_argument("--lengths", type=int, nargs="+", default=[64, 256], help="generated tokens")
    part.add_argument("--uncached-up-to", type=int, default=64, help="longest length also decoded without a cache")
    part = add(patterns)
    part.add_argument("--dim", type=int, default=64, help="width")
    part.add_argument("--depth", type=int, default=2, help="blocks")
    part.add_argument("--heads", type=int, default=4, help="attention heads")
    part.add_argument("--examples", type=int, default=2, help="sequences in a batch")
    part.add_argument("--window", type=int, default=32, help="width of windows: positions to each side")
    part.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048], help="tokens")
    part = add(batches)
    part.add_argument("--steps", type=int, default=40, help="number of steps in a turn")
    part.add_argument("overrides", nargs="*", help="options of train.py")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        options.run(options)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
