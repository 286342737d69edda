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


def shuffled(size: int, batch_size: int, seed: int) -> BatchSchedule:
    """Plans epochs of shuffled batches of nearly equal size, at most `batch_size`; every example once an epoch."""
    count = -(-size // batch_size)

    def plan(epoch: int) -> list[np.ndarray]:
        order = np.random.default_rng((seed, epoch)).permutation(size)
        return np.array_split(order, count)

    return plan


def bucketed(
    lengths: np.ndarray, batch_size: int, seed: int, pool: int = 50, even_tokens: bool = False, least: int = 1
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
    """
    count = -(-len(lengths) // batch_size)

    def plan(epoch: int) -> list[np.ndarray]:
        generator = np.random.default_rng((seed, epoch))
        order = generator.permutation(len(lengths))
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
        pieces = [piece for batch in self.schedule(epoch) for piece in np.array_split(batch, self.parts)]
        for piece in pieces[self.rank :: self.world_size][start:]:
            yield [SampleIndex(int(index), mix(self.seed, epoch, int(index))) for index in piece]


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
