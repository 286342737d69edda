"""From a data set to the loaders that a trainer reads."""

from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Subset

from mla_train.config import TrainConfig
from mla_train.data.module import DataModule, Examples
from mla_train.data.sampling import Draw, TrainSampler, bucketed, evaluation_batches, reseed, shuffled
from mla_train.errors import UserError


class SeededDataset(Dataset):
    """Reads each example under its own seed, so that its augmentation does not depend on who reads it, or when.

    Args:
        examples: The training split.
    """

    def __init__(self, examples: Examples) -> None:
        self.examples = examples

    def __getitem__(self, draw: Draw) -> Any:
        """One example."""
        reseed(draw.seed)
        return self.examples[draw.example]


class TrainLoader(DataLoader):
    """A loader that a run can enter in the middle of an epoch.

    Lightning asks loaders for their state. The batches that were trained on are counted by the run (workers read
    ahead of it), so the state says only that this loader can be entered anywhere.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the position is in the checkpoint already."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing: `TrainSampler.set_position` is called instead."""


def train_loader(data: DataModule, config: TrainConfig, rank: int, world_size: int) -> TrainLoader:
    """Shuffled micro-batches of one process.

    Args:
        data: After `setup`.
        config: The whole run's.
        rank: This process.
        world_size: Number of processes.

    Raises:
        UserError: A batch cannot be divided among processes and accumulation steps.
    """
    examples = overfitted(data, config)["train"]
    parts = world_size * config.hardware.accumulate_grad_batches
    batch_size = min(config.batch_size, len(examples))
    lengths = _lengths(data, config, "train")
    if lengths is None:
        plan = shuffled(len(examples), batch_size, config.seed)
    else:
        plan = bucketed(lengths, batch_size, config.seed, data.pool, data.even_tokens, parts)
    sampler = TrainSampler(plan, config.seed, parts, rank, world_size)
    if min(len(batch) for batch in sampler.plan(0)) < parts:
        raise UserError(
            f"a batch of {batch_size} cannot be cut into {parts} parts (processes x hardware.accumulate_grad_batches): "
            "raise batch_size or lower hardware.accumulate_grad_batches"
        )
    collate = partial(data.collate, training=True)
    return TrainLoader(SeededDataset(examples), batch_sampler=sampler, collate_fn=collate, **_workers(config))


def evaluation_loader(data: DataModule, config: TrainConfig, split: str, rank: int, world_size: int) -> DataLoader:
    """Batches of one process in which, over all processes, each example of a split stands once.

    Args:
        data: After `setup`.
        config: The whole run's.
        split: "val" or "test".
        rank: This process.
        world_size: Number of processes.
    """
    examples = overfitted(data, config)[split]
    if len(examples) < world_size:
        raise UserError(f"the {split} split has {len(examples)} examples for {world_size} processes; use fewer")
    batches = evaluation_batches(
        len(examples),
        max(1, 2 * config.batch_size // (config.hardware.accumulate_grad_batches * world_size)),
        rank,
        world_size,
        _lengths(data, config, split),
    )
    collate = partial(data.collate, training=False)
    return DataLoader(examples, batch_sampler=batches, collate_fn=collate, **_workers(config))


def _lengths(data: DataModule, config: TrainConfig, split: str) -> np.ndarray | None:
    if config.debug.overfit:
        lengths = data.lengths("train")
        return None if lengths is None else lengths[: config.debug.overfit]
    return data.lengths(split)


def overfitted(data: DataModule, config: TrainConfig) -> dict[str, Any]:
    """The splits; under debug.overfit all are the first training examples."""
    if config.debug.overfit:
        few: Any = Subset(data.train, range(min(config.debug.overfit, len(data.train))))  # type: ignore[arg-type]
        return {"train": few, "val": few, "test": few}
    return {"train": data.train, "val": data.val, "test": data.test}


def _workers(config: TrainConfig) -> dict[str, Any]:
    on_gpu = config.hardware.accelerator != "cpu" and torch.cuda.is_available()
    count = config.hardware.workers if config.hardware.workers is not None else 4 * on_gpu
    return {"num_workers": count, "pin_memory": on_gpu, "persistent_workers": count > 0}
