"""Which examples are in which batch, on which process, in which order: pure functions of (seed, epoch)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Sampler


class SampleIndex(NamedTuple):
    """Place of an example that is read for training, and the seed of its augmentation."""

    example: int
    seed: int


@dataclass
class DataPosition:
    """Epoch, and micro-batch of a process in it, at which the next iteration over the training data begins."""

    epoch: int = 0
    start: int = 0

    def set(self, epoch: int, start: int = 0) -> None:
        """Moves to a micro-batch of an epoch."""
        self.epoch, self.start = epoch, start


def mix(*numbers: int) -> int:
    """One well-mixed 32-bit seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def reseed(seed: int) -> None:
    """Seeds torch's generators. `torch.manual_seed` would also note a traceback for a GPU that is not there: 0.2 ms."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


BatchSchedule = Callable[[int], list[np.ndarray]]
"""From an epoch to its global batches of indices; all epochs have as many."""


Draw = Callable[[np.random.Generator], np.ndarray]
"""From a generator to the examples of an epoch in random order; always as many."""


def balanced(classes: np.ndarray) -> Draw:
    """Draws each class alike, as many examples in all as there are: some of large classes, those of small ones repeatedly.

    Examples of one class are drawn equally often, give or take one.

    Args:
        classes: Class of each example, `(examples,)`.
    """
    members = [np.flatnonzero(classes == each) for each in np.unique(classes)]

    def draw(generator: np.random.Generator) -> np.ndarray:
        ends = np.arange(1, len(members) + 1) * len(classes) // len(members)
        counts = generator.permutation(np.diff(ends, prepend=0))
        chosen = [np.resize(generator.permutation(m), count) for m, count in zip(members, counts, strict=True)]
        return generator.permutation(np.concatenate(chosen))

    return draw


def shuffled(size: int, batch_size: int, seed: int, draw: Draw | None = None) -> BatchSchedule:
    """Plans epochs of shuffled batches of nearly equal size, at most `batch_size`; every example once without a draw."""
    count = -(-size // batch_size)

    def plan(epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng((seed, epoch))
        order = generator.permutation(size) if draw is None else draw(generator)
        return np.array_split(order, count)

    return plan


def bucketed(
    lengths: np.ndarray,
    batch_size: int,
    seed: int,
    pool: int = 50,
    even_tokens: bool = False,
    least: int = 1,
    draw: Draw | None = None,
) -> BatchSchedule:
    """Plans epochs of batches whose examples are of similar length, so that little is padded.

    Examples are shuffled, sorted by length within pools of some batches, cut into batches, and these shuffled again.

    Args:
        lengths: Number of tokens of each example.
        batch_size: Largest number of examples in a batch; the mean number with even_tokens.
        seed: Seed of the run.
        pool: Number of batches whose examples are sorted together: more leaves less padding and less chance.
        even_tokens: Whether batches hold as many tokens each instead of as many examples.
        least: Smallest number of examples in a batch with even_tokens, so that it can be cut into micro-batches.
        draw: Examples of an epoch; None takes each once.
    """
    count = -(-len(lengths) // batch_size)

    def plan(epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng((seed, epoch))
        order = generator.permutation(len(lengths)) if draw is None else draw(generator)
        pools = np.array_split(order, -(-count // pool))
        order = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in pools])
        if even_tokens:
            ends = np.cumsum(lengths[order])
            cuts = np.searchsorted(ends, ends[-1] * np.arange(1, count) / count)
            # All epochs have as many batches, and none is smaller than it may be, however long single examples are.
            room = least * np.arange(1, count)
            cuts = np.maximum.accumulate(np.maximum(cuts - room, 0)) + room
            batches = np.split(order, np.minimum(cuts, len(order) - room[::-1]))
        else:
            batches = np.array_split(order, count)
        return [batches[i] for i in generator.permutation(len(batches))]

    return plan


class TrainSampler(Sampler[list[SampleIndex]]):
    """Micro-batches of one process, from any point of any epoch on.

    Args:
        schedule: Global batches of an epoch.
        seed: Seed of the run.
        position: Where the next iteration begins.
        parts: Number of micro-batches in a global batch: processes times accumulation steps.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self,
        schedule: BatchSchedule,
        seed: int,
        position: DataPosition | None = None,
        parts: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.schedule, self.seed, self.position = schedule, seed, position or DataPosition()
        self.parts, self.rank, self.world_size = parts, rank, world_size
        self._length = len(schedule(0)) * parts // world_size

    def __len__(self) -> int:
        """Micro-batches of this process in a whole epoch."""
        return self._length

    def __iter__(self) -> Iterator[list[SampleIndex]]:
        """Micro-batches from the position to the end of its epoch."""
        epoch, start = self.position.epoch, self.position.start
        batches = self.schedule(epoch)
        last = max(int(batch.max(initial=0)) for batch in batches)
        drawn = np.zeros(last + 1, np.int32)  # how often each example was, so far
        for number, places in enumerate(piece for batch in batches for piece in np.array_split(batch, self.parts)):
            if number % self.world_size == self.rank and number // self.world_size >= start:
                before, piece = drawn[places].tolist(), places.tolist()
                yield [self._sample(epoch, index, before[i] + piece[:i].count(index)) for i, index in enumerate(piece)]
            np.add.at(drawn, places, 1)

    def _sample(self, epoch: int, index: int, repeat: int) -> SampleIndex:
        """An example with its seed, which differs where an epoch repeats it."""
        return SampleIndex(index, mix(self.seed, epoch, index, *([repeat] if repeat else [])))


def evaluation_batches(
    size: int, batch_size: int, rank: int = 0, world_size: int = 1, lengths: np.ndarray | None = None
) -> list[list[int]]:
    """Batches of one process that, over all processes, hold each example exactly once.

    All processes get as many batches, so that none waits for another; batches differ in size by one at most.

    Args:
        size: Number of examples.
        batch_size: Largest number of examples in a batch.
        rank: Number of this process.
        world_size: Number of processes.
        lengths: Number of tokens of each example, which puts examples of similar length together; None keeps the order.
    """
    count = -(-size // (batch_size * world_size)) * world_size
    order = np.arange(size) if lengths is None else np.argsort(-lengths, kind="stable")
    return [piece.tolist() for piece in np.array_split(order, count)[rank::world_size]]
