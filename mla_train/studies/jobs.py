"""Many runs of train.py, each in a process of its own; some may be finished already, some may fail."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from tqdm import tqdm

from mla_train.config import TrainConfig
from mla_train.config.stored import read_json
from mla_train.errors import UserError, printable
from mla_train.locks import is_locked, owner
from mla_train.studies.launch import Launcher, available_threads
from mla_train.training.run_folder import RunFolder, quoted

NEEDED = ("metrics", "monitor", "baselines", "directions", "speed", "model")
"""Contents of results.json that comparisons and sweeps read."""
STOP_TIMEOUT = 60
"""Seconds that a run has to stop after the request."""


@dataclass
class Job:
    """A run of train.py: its command line and its folder."""

    overrides: Sequence[str]
    folder: Path

    @property
    def results(self) -> dict[str, Any] | None:
        """Contents of results.json; None if the run is not finished."""
        run = RunFolder(self.folder)
        if not run.is_finished:
            return None
        try:
            results = read_json(run.results)
            for name in NEEDED:
                results[name]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{run.results} cannot be read: remove {self.folder} to run it again") from error
        return results


def group_overrides(config: TrainConfig, folder: Path, job_type: str) -> list[str]:
    """Overrides that put a run into the W&B group named like the folder of its study; none where W&B is off."""
    options = config.logger.wandb
    if options is None:
        return []
    name = folder.resolve().name.replace("'", "\\'")
    group = [] if options.group else [f"logger.wandb.group='{name}'"]
    return [*group, f"logger.wandb.job_type={job_type}"]


def run_jobs(jobs: Iterable[Job], train: Path, parallel: int = 1, threads: int | None = None) -> dict[Path, str]:
    """Runs what is not finished; an interrupted run is resumed.

    Args:
        jobs: Runs in folders of their own; the output of each goes to FOLDER.log.
        train: The file train.py.
        parallel: Number of runs at a time.
        threads: Number of CPU threads of each run; None divides those of the machine among the runs.

    Returns:
        Folders of the runs that failed, with the last line that each printed.
    """
    pending = [job for job in jobs if job.results is None]
    launcher = Launcher(train, threads=threads or max(1, available_threads() // parallel))
    failed: dict[Path, str] = {}
    stop, finished = Event(), 0

    def run(job: Job) -> None:
        file = RunFolder(job.folder).lock
        if is_locked(file):  # a comparison that was killed has left it: its run goes on
            tqdm.write(printable(f"waiting for {job.folder}, which {owner(file)} trains"))
        while is_locked(file) and not stop.is_set():
            time.sleep(0.5)
        if stop.is_set() or job.results is not None:
            return
        running = launcher.start(
            [*job.overrides, f"run_dir={quoted(job.folder)}", "resume=auto"], Path(f"{job.folder}.log")
        )
        while running.running():
            time.sleep(0.1)
            if stop.is_set():
                running.stop(STOP_TIMEOUT)
        if job.results is None:
            failed[job.folder] = running.last_line()

    with (
        ThreadPoolExecutor(parallel) as pool,
        tqdm(total=len(pending), unit="run", disable=None if pending else True) as bar,
    ):
        try:
            for done in as_completed([pool.submit(run, job) for job in pending]):
                done.result()
                bar.update()
                finished += 1
                if bar.disable:  # no terminal
                    print(f"{finished} of {len(pending)} runs finished", flush=True)
        except BaseException:
            stop.set()
            raise
    return failed
