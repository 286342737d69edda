"""From a data set to the loaders that a trainer reads."""

import os
import signal
from functools import partial
from threading import Timer
from types import FrameType
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from mla_train.config import Sampling, TrainConfig
from mla_train.data.sampling import (
    DataPosition,
    Draw,
    SampleIndex,
    TrainSampler,
    balanced,
    bucketed,
    evaluation_batches,
    reseed,
    shuffled,
)
from mla_train.dataset import Dataset
from mla_train.errors import UserError

PATIENCE = 60
"""Seconds from a SIGTERM until a process that loads data ends by itself; its run ends it before."""


class SeededDataset(TorchDataset):
    """Reads each example with its own seed, so that its augmentation does not depend on the process or the time."""

    def __init__(self, examples: Any) -> None:
        self.examples = examples

    def __getitem__(self, index: SampleIndex) -> Any:
        """One example."""
        reseed(index.seed)
        return self.examples[index.example]


class TrainLoader(DataLoader):
    """A loader from which a run can resume in the middle of an epoch.

    Lightning asks loaders for their state. It is empty: the run itself counts finished batches, since workers read ahead.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the position is in the checkpoint already."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: `DataPosition` is moved instead."""


def train_loader(
    data: Dataset, config: TrainConfig, position: DataPosition, rank: int = 0, world_size: int = 1
) -> TrainLoader:
    """Shuffled micro-batches of one process, from a position in the data on.

    Raises:
        UserError: A batch cannot be divided among processes and accumulation steps.
    """
    head, parts = data.spec.head, world_size * config.hardware.accumulate_grad_batches
    batch_size = min(config.batch_size, len(data.train))
    draw, lengths = _draw(data, config), data.lengths("train")
    if lengths is None:
        schedule = shuffled(len(data.train), batch_size, config.seed, draw)
    else:
        schedule = bucketed(lengths, batch_size, config.seed, head.pool, head.even_tokens, parts, draw)
    sampler = TrainSampler(schedule, config.seed, position, parts, rank, world_size)
    if min(len(batch) for batch in schedule(0)) < parts:
        raise UserError(
            f"a batch of {batch_size} cannot be divided into {parts} parts (processes x hardware.accumulate_grad_batches): "
            "raise batch_size or lower hardware.accumulate_grad_batches"
        )
    collate = partial(data.collate, training=True)
    return TrainLoader(SeededDataset(data.train), batch_sampler=sampler, collate_fn=collate, **_workers(config))


def _draw(data: Dataset, config: TrainConfig) -> Draw | None:
    """How the training examples of an epoch are drawn; None takes each once."""
    if getattr(config.data, "sampling", Sampling.natural) is Sampling.natural:
        return None
    if data.train.sequences is not None:
        raise UserError(
            "data.sampling=balanced draws single examples, and here they form sequences: use task.class_weight=balanced"
        )
    return balanced(data.train.targets)


def evaluation_loader(data: Dataset, config: TrainConfig, split: str, rank: int = 0, world_size: int = 1) -> DataLoader:
    """Batches of one process; over all processes they hold each example of a split once.

    Raises:
        UserError: There are fewer examples than processes.
    """
    examples = getattr(data, split)
    if len(examples) < world_size:
        raise UserError(f"the {split} split has {len(examples)} examples for {world_size} processes: use fewer")
    batch_size = max(1, 2 * config.batch_size // (config.hardware.accumulate_grad_batches * world_size))
    batches = evaluation_batches(len(examples), batch_size, rank, world_size, data.lengths(split))
    collate = partial(data.collate, training=False)
    return DataLoader(examples, batch_sampler=batches, collate_fn=collate, **_workers(config))


def _workers(config: TrainConfig) -> dict[str, Any]:
    on_gpu = config.hardware.accelerator != "cpu" and torch.cuda.is_available()
    count = config.hardware.workers if config.hardware.workers is not None else 4 * on_gpu
    return {
        "num_workers": count, "pin_memory": on_gpu, "persistent_workers": count > 0, "worker_init_fn": _leave_signals,
    }  # fmt: skip


def _leave_signals(worker: int) -> None:
    """Lets a run alone answer what reaches all its processes, as Ctrl-C and the time limit of a cluster: it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def end_later(number: int, frame: FrameType | None) -> None:
        timer = Timer(PATIENCE, os._exit, (128 + number,))
        timer.daemon = True
        timer.start()

    signal.signal(signal.SIGTERM, end_later)
