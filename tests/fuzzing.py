"""What fuzz tests share: chance that repeats, mutated bytes, and bounds on time, memory and errors.

`make fuzz` tries two thousand inputs for each reader; FUZZ=N tries N.
"""

import os
import random
import resource
import signal
import warnings
from contextlib import contextmanager

from mla_train.errors import UserError

FUZZ = int(os.environ.get("FUZZ", "40"))
SECONDS, MEBIBYTES = 30, 1500
PIECES = (
    b'"', b'""', b"'", b"\0", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\r", b"\n\n", b"\n   \n", b",,,,", b";", b"\t",
    b"1e999", b"-inf", b"nan", b"0000-00-00", b"9999-99-99", b"0001-01-01", b"1,001", b'{"a":', b"[" * 3000, b"}", b"\\u0000", b'"\\ud800"',
    b"x" * 200_000, b"sep=;\n", b"=cmd()", b"\x1b[31m", b"$_{", b"[/b]", "٣".encode(), "\u2028".encode(),
)  # fmt: skip


def mutated(content, chance):
    """Bytes of a file, changed in a few places."""
    content = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(content))
        end = min(len(content), start + chance.choice([0, 1, 2, 8, 100, 10**6]))
        change = chance.choice(["cut", "insert", "repeat", "noise"])
        if change == "cut":
            content[start:end] = b""
        elif change == "insert":
            content[start:end] = chance.choice(PIECES)
        elif change == "repeat":
            content[start:start] = content[start:end]
        else:
            content[start:end] = chance.randbytes(chance.randint(1, 8))
    return bytes(content)


def chances(name, count):
    """A source of chance for each trial, the same in each run."""
    for trial in range(max(1, count)):
        yield trial, random.Random(f"{name} {trial}")


@contextmanager
def bounded():
    """Lets a UserError pass, whose message is printable, and nothing else that takes longer or more memory than it may."""

    def too_long(*_):
        raise TimeoutError(f"{SECONDS} s were not enough")

    message = "none"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError as error:
        message = str(error)
    finally:
        signal.alarm(0)
    assert message
    assert "\x1b" not in message
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEBIBYTES * 1024
