"""Speeds of several things, timed by turns in one process, so that a change in the load of the machine affects all alike."""

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import median

import torch
from tqdm import tqdm

from mla_train.data.batch import Batch
from mla_train.inference.artifact import Artifact

TURN_SECONDS = 0.3
"""Approximate length of a turn."""


def by_turns(measurements: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Median of each of some functions that measure once, called by turns."""
    values: dict[str, list[float]] = {name: [] for name in measurements}
    for _ in tqdm(range(rounds), leave=False, disable=not sys.stderr.isatty()):
        for name, measure in measurements.items():
            values[name].append(measure())
    return {name: median(measured) for name, measured in values.items()}


def inference_speeds(models: Mapping[str, tuple[Artifact, Iterable[Batch]]], rounds: int = 5) -> dict[str, float]:
    """Examples a second, from a batch to its predictions.

    Args:
        models: Name to a model and the batches that it reads; all get the same number of them.
        rounds: Number of turns.
    """
    device = "cuda" if torch.cuda.is_available() and _on_gpu(models) else "cpu"
    loaded = {name: (artifact.model.to(device), list(batches)) for name, (artifact, batches) in models.items()}

    def measure(name: str, count: int | None) -> tuple[int, float]:
        """Runs a number of batches, or as many as fill a turn; returns that number and examples a second."""
        model, batches = loaded[name]
        examples, done, start = 0, 0, time.perf_counter()
        for batch in itertools.cycle(batches):
            model.predict(batch.to(device))
            examples, done = examples + len(batch), done + 1
            if done == count or (count is None and time.perf_counter() - start > TURN_SECONDS):
                break
        return done, examples / (time.perf_counter() - start)

    for name in loaded:  # warm up
        measure(name, 1)
    count, _ = measure(next(iter(loaded)), None)
    return by_turns({name: partial(lambda name: measure(name, count)[1], name) for name in loaded}, rounds)


def _on_gpu(models: Mapping[str, tuple[Artifact, Iterable[Batch]]]) -> bool:
    return all(artifact.config.hardware.accelerator in ("gpu", "cuda", "auto") for artifact, _ in models.values())
