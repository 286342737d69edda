"""Runs of train.py as processes: copies of one that has torch loaded already, or from the beginning.

Loading takes longer than a short run trains. A server process does it once; each run is then a fork of it, a process of
its own with its own memory, signals and end. Runs of several processes start themselves again by their command, which a
fork has not: whoever chooses its hardware begins cold.
"""

import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

PRELOADED = ["mla_train.training.run", "mla_train.cli", "matplotlib.pyplot"]


@dataclass
class Running:
    """A run's process.

    Attributes:
        process: Of multiprocessing or of subprocess.
        log: What it prints.
    """

    process: Any
    log: Path

    def running(self) -> bool:
        """Whether it has not ended."""
        return self._code() is None

    def _code(self) -> int | None:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode

    def stop(self, patience: float) -> None:
        """Asks it to stop, and ends it if it does not.

        Args:
            patience: Seconds that it has for that.
        """
        self.process.terminate()
        deadline = time.monotonic() + patience
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.running():
            self.process.kill()
            while self.running():
                time.sleep(0.05)

    def last_words(self) -> str:
        """The last line that it printed, or the signal that ended it."""
        code = self._code()
        if code is not None and code < 0:
            killed = signal.Signals(-code).name
            return f"ended by {killed}" + (", as where memory is used up" if killed == "SIGKILL" else "")
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.is_file() else []
        return lines[-1] if lines else f"ended with {code}"


class Launcher:
    """Starts runs.

    Args:
        train: The file train.py.
        warm: Fork them from a process that has torch loaded.
        preload: Modules to load beside, such as the task's.
        threads: CPU threads of a run; None leaves them to it.
        words: That each run has behind its own.
    """

    def __init__(
        self,
        train: Path,
        warm: bool = True,
        preload: tuple[str, ...] = (),
        threads: int | None = None,
        words: Sequence[str] = (),
    ) -> None:
        self.train = train
        self.more = [*words, *([] if threads is None else [f"hardware.threads={threads}"])]
        self.server: Any = None
        if warm:
            self.server = multiprocessing.get_context("forkserver")
            self.server.set_forkserver_preload([*PRELOADED, *preload])
            ensure_running()  # it loads while the caller goes on

    def start(self, words: list[str], log: Path) -> Running:
        """Starts a run.

        Args:
            words: Its command line.
            log: Where what it prints goes.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        words = [*words, *self.more]
        alone = not any("devices=" in each or "hardware=" in each or "strategy=" in each for each in words)
        if self.server is None or not alone:
            with log.open("w") as stream:
                command = [sys.executable, str(self.train), *words]
                return Running(
                    subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True), log
                )
        process = self.server.Process(target=train_here, args=(words, str(self.train), str(log)))
        process.start()
        return Running(process, log)


def homes(*targets: str) -> tuple[str, ...]:
    """The modules in which classes stand that a config names, to be loaded beforehand.

    Args:
        targets: Such as `tasks.translation.TranslationTask`; a package that loads its classes late says in `HOMES` where
            they are.
    """
    found = []
    for target in targets:
        package, _, name = target.rpartition(".")
        home = getattr(import_module(package), "HOMES", {}).get(name)
        found.append(f"{package}.{home}" if home else package)
    return tuple(found)


def train_here(words: list[str], train: str, log: str) -> None:
    """train.py in this process, which is a fork.

    Args:
        words: Its command line.
        train: The file train.py.
        log: Where what it prints goes.
    """
    os.setsid()  # Ctrl-C is for who started this
    with open(log, "w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    sys.argv = [train, *words]
    sys.path.insert(0, str(Path(train).parent))
    runpy.run_path(train, run_name="__main__")


def _follow(parent: int) -> None:
    """Stops this process when the one it was forked from is gone: nobody would take its results."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
