"""Runs whose processes `torchrun` has started, on one machine or several: they agree on the folder that the first one chooses."""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mla_train.config import HardwareConfig


@dataclass(frozen=True)
class Launch:
    """What torchrun has started.

    Attributes:
        rank: Number of this process among all.
        processes: Number of processes on all machines.
        per_machine: Number of processes on this machine.
        name: Name of this start; a restart after a failure has another.
    """

    rank: int
    processes: int
    per_machine: int
    name: str

    @property
    def machines(self) -> int:
        """Number of machines."""
        return self.processes // self.per_machine

    def apply(self, hardware: HardwareConfig) -> None:
        """Sets the number of devices, and how processes share the work, as torchrun was told."""
        hardware.devices = self.per_machine
        if self.processes > 1 and hardware.strategy == "auto":
            hardware.strategy = "ddp"

    def announce(self, folder: Path | None) -> None:
        """Tells the other processes which folder was chosen; None where there is nothing to do."""
        _store().set(self.name, "" if folder is None else str(folder.resolve()))

    def chosen(self) -> Path | None:
        """Waits for what the first process announces."""
        folder = _store().get(self.name).decode()
        return Path(folder) if folder else None


def launched() -> Launch | None:
    """How torchrun has started this process; None where it has not."""
    run = os.environ.get("TORCHELASTIC_RUN_ID")
    if run is None:
        return None
    rank, processes, here = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return Launch(rank, processes, here, f"mla_train/{run}/{os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}")


@cache
def _store() -> Any:
    """The store of torchrun; kept, as the first process may serve it."""
    from torch.distributed import rendezvous

    store, _, _ = next(rendezvous("env://"))
    return store
