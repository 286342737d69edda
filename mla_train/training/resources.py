"""Room on the disk and in memory: what a run will need, and what to do where it is not enough."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.training.run_folder import RunFolder

COPIES = 4  # of the weights in a checkpoint: themselves, two moments of the optimizer, and their average
CHECKPOINTS = 5  # last, previous, best, start, and one that is being written
OTHER_BYTES = 50_000_000  # figures, pages, predictions


def require_room(folder: RunFolder, network: nn.Module) -> None:
    """Raises a UserError where the disk has less room than the checkpoints of a new run will take."""
    weights = sum(each.numel() * each.element_size() for each in network.parameters())
    needed, free = CHECKPOINTS * COPIES * weights + OTHER_BYTES, shutil.disk_usage(folder.path).free
    if free < needed:
        raise UserError(
            f"{folder.path} has {free / 1e6:,.0f} MB of free space, and a run of this network writes up to "
            f"{needed / 1e6:,.0f} MB: make room, or name a folder on another disk, run_dir=FOLDER"
        )


@contextmanager
def out_of_memory_reported(batch_size: int, network: nn.Module) -> Iterator[None]:
    """Turns an error of missing memory into a message that names the batch and the options that make batches smaller.

    Args:
        batch_size: Value of `batch_size`.
        network: Network whose batches are watched.
    """
    seen: list[Batch] = []

    def watch(_: nn.Module, arguments: tuple[Batch, ...]) -> None:
        seen[:] = arguments

    hook = network.register_forward_pre_hook(watch)
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        sizes = " of " + " and ".join(f"{name} {_size(each)}" for name, each in seen[0].inputs.items()) if seen else ""
        count = f"{len(seen[0]):,} examples" if seen else "this run"
        raise UserError(
            f"out of memory at a batch of {count}{sizes}. Set a smaller batch_size= (now {batch_size}), keep it with "
            "hardware.accumulate_grad_batches=4, which computes it in parts, or cut inputs: data.max_length=, data.image_size=, "
            "data.look_back="
        ) from error
    finally:
        hook.remove()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory was not enough, on a GPU or a CPU."""
    said = str(error)
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in said
        or "DefaultCPUAllocator" in said
    )


def _size(tensors: object) -> str:
    """Shape of the largest tensor of an input without the batch, such as 3 x 64 x 64."""
    largest = max((each for each in vars(tensors).values() if isinstance(each, torch.Tensor)), key=torch.numel)
    return " x ".join(map(str, largest.shape[1:]))
