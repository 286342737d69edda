"""How fast several ways are, timed by turns in one process: a machine's mood then touches all alike."""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import median

import torch
from tqdm import tqdm

from mla_train.data.batch import Batch
from mla_train.training.task import Task

LEAST = 0.3
"""Seconds of a turn, about."""


def by_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of what each way gives, taken by turns.

    Args:
        ways: Name to a function that returns a speed.
        rounds: Turns that count.
    """
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in tqdm(range(rounds), leave=False, disable=not sys.stderr.isatty()):
        for name, way in ways.items():
            found[name].append(way())
    return {name: median(speeds) for name, speeds in found.items()}


def inference_speeds(models: Mapping[str, tuple[Task, Iterable[Batch]]], rounds: int = 5) -> dict[str, float]:
    """Examples a second, from a batch to its predictions.

    Args:
        models: Name to a model and the batches that it reads; all get as many of them.
        rounds: Turns that count.
    """
    device = "cuda" if torch.cuda.is_available() and _on_gpu(models) else "cpu"
    held = {name: (task.to(device), list(batches)) for name, (task, batches) in models.items()}

    def once(name: str, count: int | None) -> tuple[int, float]:
        """Runs a number of batches, or as many as fill a turn; returns that number and examples a second."""
        task, batches = held[name]
        examples, done, began = 0, 0, time.perf_counter()
        for batch in itertools.cycle(batches):
            moved = batch.to(device)
            task.predict(task(moved), moved)
            examples, done = examples + len(batch), done + 1
            if done == count or (count is None and time.perf_counter() - began > LEAST):
                break
        return done, examples / (time.perf_counter() - began)

    with torch.no_grad():
        for name in held:  # warm up
            once(name, 1)
        count = once(next(iter(held)), None)[0]
        return by_turns({name: partial(lambda name: once(name, count)[1], name) for name in held}, rounds)


def _on_gpu(models: Mapping[str, tuple[Task, Iterable[Batch]]]) -> bool:
    return all(task.config.hardware.accelerator in ("gpu", "cuda", "auto") for task, _ in models.values())
