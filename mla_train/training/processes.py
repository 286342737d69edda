"""Processes of one run end together: when one is dead, the others do not wait for it."""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from subprocess import Popen

import lightning as L
from torch.distributed import DistError

from mla_train.training.launched import launched

FIRST = "MLA_TRAIN_FIRST_PROCESS"
"""Tells processes of a run the number of the one that has started them, which may have died since."""
GRACE = 30.0
"""Seconds that a process whose exchange with another has failed waits for what is known of that one."""


@contextmanager
def end_together(trainer: L.Trainer, resume_command: str) -> Iterator[None]:
    """Ends all processes of a run where one of them has died, with one message.

    Args:
        trainer: Trainer that starts the processes, or belongs to one of them.
        resume_command: Command that resumes the run.
    """
    if trainer.world_size > 1 and trainer.is_global_zero:
        os.environ[FIRST] = str(os.getpid())
        threading.Thread(target=_watch_children, args=(trainer, resume_command), daemon=True).start()
    try:
        yield
    except Exception as error:
        if trainer.world_size > 1 and _is_of_exchange(error):
            if launched() is not None:  # torchrun watches its processes, and knows nothing more
                _end("another process of this run has ended", resume_command)
            time.sleep(GRACE)  # the threads above know why, and end this process
        raise


def _is_of_exchange(error: Exception) -> bool:
    return isinstance(error, DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error))


def _watch_children(trainer: L.Trainer, resume_command: str) -> None:
    launcher = trainer.strategy.launcher
    while not (children := getattr(launcher, "procs", [None])):  # not started yet; other launchers watch by themselves
        time.sleep(0.05)
    for rank, child in enumerate(children, 1):
        if child is not None:
            threading.Thread(target=_wait, args=(rank, child, children, resume_command), daemon=True).start()


def _wait(rank: int, child: Popen[bytes], children: list[Popen[bytes]], resume_command: str) -> None:
    code = child.wait()
    if code == 1 or code < 0:  # other codes: it was asked to stop, or has said what is wrong
        for other in children:
            if other is not child:
                other.kill()
        how = "with an error" if code > 0 else f"by {signal.Signals(-code).name}"
        memory = ", possibly out of memory" if -code == signal.SIGKILL else ""
        _end(f"process {rank} of this run was ended {how}{memory}", resume_command)


def watch_first(resume_command: str) -> None:
    """Lets this process end with the one that has started it: from now on, while it reads the data too."""
    threading.Thread(target=_watch_first, args=(resume_command,), daemon=True).start()


def _watch_first(resume_command: str) -> None:
    first = int(os.environ.get(FIRST, os.getppid()))
    while os.getppid() == first:
        time.sleep(0.5)
    if int(os.environ.get("LOCAL_RANK", "0")) > 1:  # one message is enough
        os._exit(1)
    _end("the first process of this run has ended", resume_command)


def _end(reason: str, resume_command: str) -> None:
    message = f"{reason}; checkpoints saved before are unaffected. Continue with: {resume_command}"
    logging.getLogger("mla_train").error(message)
    print(f"error: {message}", file=sys.stderr, flush=True)
    os._exit(1)
