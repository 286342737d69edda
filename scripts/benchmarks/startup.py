"""How long commands take until they answer."""

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.whole import ROOT, environment

STEP = ["debug=fast", "baselines=none", "test=false", "logger.every=1"]
COMMANDS = {
    "--help": (["--help"], 0.7),
    "a misspelled option": (["epoch=3"], 0.7),
    "a missing file": (["task=text_classification", "data=text_files", "data.train=missing.csv"], 2.0),
    "two steps of training and a validation, digits": (STEP, 7.0),
    "the same, texts of 20 languages": (["task=text_classification", *STEP], 7.0),
}
"""Options of train.py, and the seconds of processor time that they are meant to take."""


def startup(rounds: int) -> Iterator[tuple[str, float, float, float]]:
    """Each command with its median seconds, on the clock and of processor time, and the goal."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (words, goal) in COMMANDS.items():
            wall, used = zip(*(timed(words, folder) for _ in range(rounds + 1)), strict=True)
            yield name, median(wall[1:]), median(used[1:]), goal  # the first fills the caches


def timed(words: list[str], folder: str) -> tuple[float, float]:
    """Seconds of train.py on the clock, and of processor time."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, str(ROOT / "train.py"), *words], cwd=folder, env=environment(1), capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.perf_counter() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def show_startup(rounds: int) -> None:
    """Prints a table."""
    table = Table(title="seconds until train.py has answered, one thread")
    for column in ("", "on the clock", "of the processor", "goal"):
        table.add_column(column, justify="right" if column else "left")
    for name, wall, used, goal in startup(rounds):
        table.add_row(name, f"{wall:.2f}", f"{used:.2f}", f"{goal:.1f} {'met' if used <= goal else 'missed'}")
    Console().print(table)
