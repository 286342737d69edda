"""Requests that arrive together are predicted together, by one thread that owns the model."""

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, TypeVar

from mla_train.inference.serve.limits import RequestError

log = logging.getLogger(__name__)

Records = list[dict[str, Any]]
T = TypeVar("T")


def contained(function: Callable[..., T], *arguments: Any) -> T:
    """What a function returns; a panic of a library in Rust, which is no Exception, becomes one."""
    try:
        return function(*arguments)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


class ClientGoneError(Exception):
    """Nobody reads the rest of an answer."""


@dataclass
class Job:
    """The examples of one request, and their records to come.

    Attributes:
        examples: The examples.
        on_piece: Called with pieces of the answer while it is made; None tells nobody. Such a request is answered alone.
        future: The records.
    """

    examples: Sequence[Any]
    on_piece: Callable[[str], None] | None = None
    future: "Future[Records]" = field(default_factory=Future)


class Batcher:
    """A queue in front of a model.

    While a batch is predicted, further requests queue up and are the next batch. Only where the last batch had several
    requests does the thread wait a little for more, so that a single client never waits.

    Args:
        predict: Function from examples to their records; also from them and a callback for pieces of the answer.
        capacity: Number of examples that may wait.
        batch_size: Number of examples from which on a batch takes no more requests.
        delay: Seconds that a batch waits for more requests.
        on_batch: Called with the number of examples of each batch.
    """

    def __init__(
        self,
        predict: Callable[..., Records],
        capacity: int,
        batch_size: int = 64,
        delay: float = 0.005,
        on_batch: Callable[[int], None] = lambda size: None,
    ) -> None:
        self.predict, self.capacity, self.batch_size = predict, capacity, batch_size
        self.delay, self.on_batch = delay, on_batch
        self.waiting = 0
        self._lock = Lock()
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the model answers."""
        return self._thread.is_alive()

    def submit(self, examples: Sequence[Any], on_piece: Callable[[str], None] | None = None) -> "Future[Records]":
        """Queues the examples of a request; see `Job`.

        Raises:
            RequestError: Too many examples are waiting.
        """
        with self._lock:
            if self.waiting and self.waiting + len(examples) > self.capacity:
                raise RequestError(503, f"{self.waiting:,} examples are waiting: try again in a second")
            self.waiting += len(examples)
        job = Job(examples, on_piece)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """Answers what is queued, then ends the thread."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        several, ended = False, False
        while not ended:
            jobs, ended = self._collect(several)
            with self._lock:
                self.waiting -= sum(len(job.examples) for job in jobs)
            several = len(jobs) > 1
            jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]  # without those that gave up
            together = [job for job in jobs if job.on_piece is None]
            for each in ([together] if together else []) + [[job] for job in jobs if job.on_piece is not None]:
                self._answer(each)

    def _collect(self, wait: bool) -> tuple[list[Job], bool]:
        """The next requests, and whether no more will come."""
        first = self._jobs.get()
        if first is None:
            return [], True
        jobs, size = [first], len(first.examples)
        end = time.monotonic() + self.delay * wait
        while size < self.batch_size:
            try:
                job = self._jobs.get(timeout=max(0.0, end - time.monotonic()))
            except Empty:
                break
            if job is None:
                return jobs, True
            jobs.append(job)
            size += len(job.examples)
        return jobs, False

    def _answer(self, jobs: Sequence[Job]) -> None:
        examples = [example for job in jobs for example in job.examples]
        try:
            callbacks = [] if jobs[0].on_piece is None else [jobs[0].on_piece]
            records = iter(contained(self.predict, examples, *callbacks))
        except ClientGoneError as error:
            jobs[0].future.set_exception(error)
            return
        except Exception as error:
            if len(jobs) == 1:
                log.exception("a request failed")
                jobs[0].future.set_exception(error)
            else:  # only the request at fault fails
                for job in jobs:
                    self._answer([job])
            return
        self.on_batch(len(examples))
        for job in jobs:
            job.future.set_result([next(records) for _ in job.examples])
