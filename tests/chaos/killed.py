"""train.py in a process that is killed, or whose disk is full, at a chosen moment.

    python tests/chaos/killed.py count run_dir=run ...     # writes number of steps and seconds to the file `steps`
    python tests/chaos/killed.py write:17 run_dir=run ...  # killed before the 17th step of writing
    python tests/chaos/killed.py full:17 run_dir=run ...   # from the 17th step on there is no space left
    python tests/chaos/killed.py kill:1.5 ...              # killed after 1.5 seconds; likewise term (SIGTERM) and int (Ctrl-C)
    python tests/chaos/killed.py clock:1.5 ...             # the same, while the clock jumps back and forth by years
    python tests/chaos/killed.py stage:mla_train.training.run.evaluate ...  # killed when a function is called

A step of writing is whatever changes the disk: a folder or a file that is made, synced, moved or removed.
"""

import atexit
import builtins
import errno
import importlib
import io
import os
import random
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

SIGNALS = {"kill": signal.SIGKILL, "clock": signal.SIGKILL, "term": signal.SIGTERM, "int": signal.SIGINT}
OF_RUN = Path("run").resolve()


class Steps:
    """Counts steps of writing below a run folder, and acts at one of them."""

    def __init__(self, at, act):
        self.count, self.at, self.act = 0, at, act

    def __call__(self, path):
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}")
        if Path(os.fsdecode(path)).absolute().is_relative_to(OF_RUN):
            self.count += 1
            if self.at and self.count >= self.at:
                self.act()


def watch(steps):
    """Calls `steps` before whatever changes the disk."""
    for name in ("replace", "rename", "fsync", "unlink", "mkdir", "rmdir"):
        patch(os, name, lambda path, *_, **__: steps(path))
    patch(os, "open", lambda path, flags, *_, **__: steps(path) if flags & os.O_CREAT else None)
    for module in (builtins, io):
        patch(module, "open", lambda file, mode="r", *_, **__: steps(file) if set(mode) & set("wax+") else None)


def patch(module, name, before):
    """Calls a function before another."""
    original = getattr(module, name)

    def watched(*arguments, **options):
        before(*arguments, **options)
        return original(*arguments, **options)

    setattr(module, name, watched)


def die(*arguments, **options):
    """Ends this process as the kernel does."""
    os.kill(os.getpid(), signal.SIGKILL)


def no_space():
    """Fails as a full disk does."""
    raise OSError(errno.ENOSPC, "No space left on device")


def jump():
    """Makes the clock of this process jump; what measures time by it goes wrong."""
    chance, true = random.Random(0), time.time
    time.time = lambda: max(0.0, true() + chance.choice([-1, 1]) * chance.uniform(0, 1e8))


def later(seconds, number):
    """Sends a signal after some time."""

    def send():
        time.sleep(seconds)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def main():
    """Runs train.py under a threat."""
    begun = time.monotonic()
    threat, _, value = sys.argv.pop(1).partition(":")
    steps = Steps(int(value) if threat in ("write", "full") else 0, {"full": no_space}.get(threat, die))
    if threat == "clock":
        jump()
    if threat in SIGNALS:
        later(float(value), SIGNALS[threat])
    elif threat == "stage":
        module, _, name = value.rpartition(".")
        patch(importlib.import_module(module), name, die)
    else:
        watch(steps)
    train = Path(__file__).resolve().parent.parent.parent / "train.py"
    sys.argv[0] = str(train)
    sys.path.insert(0, str(train.parent))
    if threat == "count":
        atexit.register(lambda: Path("steps").write_text(f"{steps.count} {time.monotonic() - begun}"))
    runpy.run_path(str(train), run_name="__main__")


if __name__ == "__main__":
    main()
