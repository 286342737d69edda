"""Errors that a user can correct: one clear sentence that names the remedy, shown without a traceback."""

import errno
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any

from mla_train.masking import mask
from mla_train.safe_files import finished_name

FILE_ERRORS = {
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENOENT, errno.EEXIST,
    errno.EISDIR, errno.ENOTDIR, errno.ENOTEMPTY, errno.ELOOP, errno.ENAMETOOLONG, errno.EBUSY, errno.ETXTBSY, errno.ESTALE,
}  # fmt: skip
"""Numbers of errors of a disk, and of what lies where a file or a folder should be; none of the code."""

LONGEST_MESSAGE = 10_000  # characters


def printable(text: str) -> str:
    """A text of somebody's data for the terminal: control characters, which could steer it, are written out.

    So are those that end a line or turn the order of letters, and halves of characters, which cannot be encoded.
    """
    return re.sub(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", lambda sign: repr(sign[0])[1:-1], text
    )


def _shortened(message: str) -> str:
    """A message without its middle, where somebody's data is a name of a million letters."""
    half = LONGEST_MESSAGE // 2
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:half]} ... {message[-half:]}"


class UserError(Exception):
    """Something in the command, the config or the data is not as it must be."""

    def __str__(self) -> str:
        return printable(_shortened(mask(super().__str__())))


class Interrupted(UserError):  # noqa: N818 - it is a request, not a fault
    """The run was asked to stop and can be resumed.

    Args:
        message: How to resume it.
        exit_code: 128 plus the number of the signal.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@contextmanager
def reported(what: str) -> Iterator[None]:
    """Turns an error of a step that a run can do without into one line; its traceback is logged.

    Args:
        what: What the step makes, such as `report.html`.
    """
    try:
        yield
    except Exception as error:
        logging.getLogger(__name__).warning("not complete: %s", what, exc_info=True)
        message = f"not complete: {what} ({type(error).__name__}: {error}); the run itself is complete, see log.txt"
        print(printable(message), flush=True)


def require(good: bool, message: str) -> None:
    """Raises UserError with a message unless a condition holds."""
    if not good:
        raise UserError(message)


def did_you_mean(word: str, choices: Iterable[str], prefix: str = "") -> str:
    """Names the close ones among choices, else all of them (if they are few): the tail of an error message.

    Args:
        word: What was written.
        choices: What there is.
        prefix: What is written in front of each choice.
    """
    choices = sorted(choices)
    close = get_close_matches(word, choices, n=3, cutoff=0.85) or get_close_matches(word, choices, n=3, cutoff=0.6)
    if close:
        return f"Did you mean {' or '.join(f'{prefix}{name}' for name in close)}?"
    return f"Choose from {', '.join(choices)}." if len(choices) <= 40 else ""


def few(names: Sequence[str], count: int = 5) -> str:
    """The first of some names, for messages."""
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")


def counted(count: int, thing: str) -> str:
    """How many there are of something, such as "1 row" or "1,200 rows"."""
    return f"{count:,} {thing}{'s' * (count != 1)}"


@contextmanager
def file_errors() -> Iterator[None]:
    """Turns an error of a disk, or of what lies where a file should be, into a UserError that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno not in FILE_ERRORS:
            raise
        name = error.filename2 or error.filename
        # Only what is written to, such as the standard output, has no name.
        what = os.fsdecode(name) if isinstance(name, str | bytes) else "not all could be written"
        raise UserError(f"{finished_name(what)}: {error.strerror}") from error


def close_output() -> None:
    """Sends what is left for the standard output nowhere: its reader has gone, or its disk is full."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def terminated_as_exit() -> Iterator[None]:
    """Ends this process on SIGTERM with an exception, so that what it has started, or half written, ends with it."""

    def end(number: int, frame: Any) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run_script(command: Callable[[], object]) -> None:
    """Runs a script: a UserError, and an error of a file, is one line and ends with 1, Ctrl-C ends with 130, SIGTERM with 143.

    Whichever ends it, files that are half written are removed. A reader of the standard output that has seen enough, such as
    `| head`, is no error to speak of.
    """
    try:
        with file_errors(), terminated_as_exit():
            command()
            sys.stdout.flush()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        if isinstance(error.__cause__, OSError):
            close_output()
        sys.exit(1)
    except BrokenPipeError:
        close_output()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
