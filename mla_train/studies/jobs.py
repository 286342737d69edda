"""Many runs of train.py, each a process of its own, of which some may already be finished or fail."""

import json
import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from tqdm import tqdm

from mla_train.studies.launch import Launcher

PATIENCE = 60
"""Seconds that a run has to stop in when it is asked to."""


@dataclass
class Job:
    """A run of train.py.

    Attributes:
        words: Its command line.
        folder: Its run folder.
    """

    words: Sequence[str]
    folder: Path

    @property
    def results(self) -> dict[str, Any] | None:
        """What results.json holds, None where the run is not finished."""
        file = self.folder / "results.json"
        return json.loads(file.read_text()) if file.is_file() else None


def run_jobs(jobs: Iterable[Job], train: Path, parallel: int = 1, threads: int | None = None) -> dict[Path, str]:
    """Runs what is not finished; a run that was cut off goes on where it stopped.

    Args:
        jobs: Each with a folder of its own; what a run prints stands beside it in FOLDER.log.
        train: The file train.py.
        parallel: Runs at a time.
        threads: CPU threads of each; None shares the machine's out among them.

    Returns:
        Folders of the runs that failed, with the last line that each printed.
    """
    todo = [job for job in jobs if job.results is None]
    launcher = Launcher(train, threads=threads or max(1, (os.cpu_count() or 1) // parallel))
    failed: dict[Path, str] = {}
    stop, finished = Event(), 0

    def run(job: Job) -> None:
        if stop.is_set():
            return
        running = launcher.start([*job.words, f"run_dir={job.folder}", "resume=auto"], Path(f"{job.folder}.log"))
        while running.running():
            time.sleep(0.1)
            if stop.is_set():
                running.stop(PATIENCE)
        if job.results is None:
            failed[job.folder] = running.last_words()

    with ThreadPoolExecutor(parallel) as pool, tqdm(total=len(todo), unit="run", disable=None if todo else True) as bar:
        try:
            for done in as_completed([pool.submit(run, job) for job in todo]):
                done.result()
                bar.update()
                finished += 1
                if bar.disable:  # no terminal
                    print(f"{finished} of {len(todo)} runs done", flush=True)
        except BaseException:
            stop.set()
            raise
    return failed
