"""Where this program lies, a checkout or an installed package, how the user started it, and how it begins and ends quickly."""

import atexit
import gc
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
COMMANDS = PACKAGE / "commands"
IS_CHECKOUT = (PACKAGE.parent / "conf" / "train.yaml").is_file()
CONF = PACKAGE.parent / "conf" if IS_CHECKOUT else PACKAGE / "conf"
"""The folder of choices."""
TRAIN = PACKAGE.parent / "train.py" if IS_CHECKOUT else COMMANDS / "train.py"
"""The file that trains one run."""


def program(name: str | None = None) -> list[str]:
    """First words of a command: `python scripts/predict.py`, or `mla-train predict` where it was started like that.

    Args:
        name: Name of the command; None means the running one.
    """
    if Path(sys.argv[0]).resolve().parent == COMMANDS:
        return ["mla-train", name or Path(sys.argv[0]).stem]
    if name is None:
        return ["python", sys.argv[0]]
    return ["python", "train.py" if name == "train" else f"scripts/{name}.py"]


@contextmanager
def imports() -> Iterator[None]:
    """Imports in less time: of the half million objects that are made none is garbage, so it is not collected, now or later."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        atexit.register(gc.unfreeze)  # else Triton tells what it leaks


def run_program(main: Callable[[], object]) -> None:
    """Runs a command and ends the process at once, as mypy does: freeing half a million objects one by one takes seconds.

    What is registered for the end of the process is called. With an error, or a thread that still runs, it ends as always.
    """
    code: object = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    threads = [each for each in threading.enumerate() if not each.daemon and each is not threading.main_thread()]
    if not isinstance(code, int) or threads:
        sys.exit(code)  # type: ignore[arg-type]
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)
    atexit._run_exitfuncs()
    os._exit(code & 0xFF)


def as_started(text: str) -> str:
    """A help text that says `mla-train NAME` instead of `python scripts/NAME.py` where that is how it was started."""
    for name in sorted(file.stem for file in COMMANDS.glob("[!_]*.py")):
        file = "train.py" if name == "train" else f"scripts/{name}.py"
        text = text.replace(f"python {file}", " ".join(program(name)))
    return text
