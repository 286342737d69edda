"""Runs of train.py as processes: forks of a process that has loaded torch already, or new ones.

Loading torch takes longer than a short run. A server process does it once; each run is then a fork of it with its own
memory and signals. A run of several processes starts the others with its own command line, which a fork does not have: a run
that chooses its hardware is a new process.
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
from multiprocessing.forkserver import ensure_running
from pathlib import Path
from typing import Any

from mla_train.locks import open_own
from mla_train.masking import mask


def available_threads() -> int:
    """CPU threads that this process may use: those of OMP_NUM_THREADS, or the processors that it may run on."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return (
        int(asked)
        if asked.isdigit() and int(asked)
        else len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1
    )


PRELOADED = ["mla_train.studies.preloaded"]


@dataclass
class Running:
    """A run's process, of multiprocessing or of subprocess, and the file with its output."""

    process: Any
    log: Path

    def running(self) -> bool:
        """Whether it is still running."""
        return self._code() is None

    def _code(self) -> int | None:
        if isinstance(self.process, subprocess.Popen):
            return self.process.poll()
        return self.process.exitcode

    def stop(self, timeout: float) -> None:
        """Asks it to stop, and kills it if it has not done so after some seconds."""
        self.process.terminate()
        deadline = time.monotonic() + timeout
        while self.running() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.running():
            self.process.kill()
            while self.running():
                time.sleep(0.05)

    def last_line(self) -> str:
        """The last line of its output, or the signal that ended it."""
        code = self._code()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"ended by {name}" + (", possibly out of memory" if name == "SIGKILL" else "")
        lines = self.log.read_text(errors="replace").strip().splitlines() if self.log.is_file() else []
        return mask(lines[-1]) if lines else f"ended with exit code {code}"


class Launcher:
    """Starts runs.

    Args:
        train: The file train.py.
        warm: Whether runs are forks of a process that has torch loaded.
        preload: Further modules to load, such as the task's.
        threads: Number of CPU threads of a run; None leaves it to the run.
        overrides: Overrides of all runs, after their own.
    """

    def __init__(
        self,
        train: Path,
        warm: bool = True,
        preload: tuple[str, ...] = (),
        threads: int | None = None,
        overrides: Sequence[str] = (),
    ) -> None:
        self.train = train
        self.overrides = [*overrides, *([] if threads is None else [f"hardware.threads={threads}"])]
        self.server: Any = None
        if warm:
            self.server = multiprocessing.get_context("forkserver")
            self.server.set_forkserver_preload([*PRELOADED, *preload])
            ensure_running()  # loads in the background

    def start(self, overrides: list[str], log: Path) -> Running:
        """Starts a run, whose output goes to a file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        overrides = [*overrides, *self.overrides]
        chooses_hardware = any(key in each for each in overrides for key in ("devices=", "hardware=", "strategy="))
        if self.server is None or chooses_hardware:
            with os.fdopen(open_own(log, os.O_WRONLY | os.O_TRUNC), "w") as stream:
                command = [sys.executable, str(self.train), *overrides]
                return Running(
                    subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True), log
                )
        process = self.server.Process(target=run_train, args=(overrides, str(self.train), str(log)))
        process.start()
        return Running(process, log)


def run_train(overrides: list[str], train: str, log: str) -> None:
    """Runs train.py in this process, which is a fork, with its output in a file."""
    os.setsid()  # Ctrl-C goes to the process that started this one
    with os.fdopen(open_own(Path(log), os.O_WRONLY | os.O_TRUNC), "w") as stream:
        os.dup2(stream.fileno(), 1)
        os.dup2(stream.fileno(), 2)
    threading.Thread(target=_stop_with_parent, args=(os.getppid(),), daemon=True).start()
    sys.argv = [train, *overrides]
    sys.path.insert(0, str(Path(train).parent))
    runpy.run_path(train, run_name="__main__")


def _stop_with_parent(parent: int) -> None:
    """Stops this process when its parent has ended, as nothing would read its results."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
