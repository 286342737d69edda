"""Many runs of train.py, each a process of its own, of which some may already be finished or fail."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm


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
    threads = threads or max(1, (os.cpu_count() or 1) // parallel)
    failed: dict[Path, str] = {}

    def run(job: Job) -> None:
        job.folder.parent.mkdir(parents=True, exist_ok=True)
        words = [*job.words, f"run_dir={job.folder}", "resume=auto", f"hardware.threads={threads}"]
        with Path(f"{job.folder}.log").open("w+") as log:
            done = subprocess.run(
                [sys.executable, str(train), *words], stdout=log, stderr=subprocess.STDOUT, check=False
            )
            if done.returncode:
                log.seek(0)
                failed[job.folder] = (log.read().strip().splitlines() or ["no word"])[-1]

    with ThreadPoolExecutor(parallel) as pool, tqdm(total=len(todo), unit="run", disable=not todo) as bar:
        for _ in pool.map(run, todo):
            bar.update()
    return failed
