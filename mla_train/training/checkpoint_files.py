"""Files of checkpoints: written completely or not at all, and used only when they are whole."""

import os
import pickletools
import re
import struct
import zipfile
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from torch import Tensor, nn

from mla_train.errors import UserError, few
from mla_train.safe_files import CHECKSUMS, atomic_path, is_whole
from mla_train.training.loggers import read_curve
from mla_train.training.run_folder import RunFolder

CALLED = re.compile(
    r"collections OrderedDict|torch._utils _rebuild_(tensor_v2|parameter)|torch [A-Z][a-z0-9A-Z]*Storage"
)
"""What the pickle of a checkpoint may call: what torch writes for tensors and their names."""
NO_ARGUMENTS = ["EMPTY_TUPLE", "REDUCE"]
"""How a pickle makes something of nothing, such as the empty hooks that end what a tensor is made of."""

REFUSED = {"STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EMPTY_SET", "FROZENSET"}
"""What else makes something, or hundreds of bytes of one."""
WIDE = 0xFFFFFFFF
"""What stands for a number in a table of contents that is too large for it."""

MOST_TIMES = 3
"""Times the bytes of a checkpoint that its tensors may have, of which some share their numbers."""


class CheckpointFiles(TorchCheckpointIO):
    """Writes checkpoints beside their place, not by way of the temporary folder; the last.ckpt before becomes previous.ckpt."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Writes a checkpoint and its checksum."""
        file = Path(path)
        previous = file.with_name("previous.ckpt") if file.name == "last.ckpt" else None
        with atomic_path(file, checked=True, previous=previous) as part:
            try:
                torch.save(checkpoint, part)
            except RuntimeError as error:
                if "inline_container" not in str(error):  # torch's writer of files, which hides the system's error
                    raise
                raise OSError("not all of it was written, the disk may be full") from error
            try:
                _check_content(part)
            except ValueError as error:
                raise UserError(
                    f"a callback of trainer.callbacks keeps a value in the checkpoint that could not be read again ({error}): keep "
                    "numbers, texts, lists, dicts and tensors"
                ) from error

    def load_checkpoint(self, path: str | Path, *arguments: Any, **options: Any) -> dict[str, Any]:
        """Reads a checkpoint that is whole and holds only data."""
        return read_checkpoint(Path(path))


def recover(folder: RunFolder) -> None:
    """Checks the checkpoints of a run that is resumed; previous.ckpt takes the place of a damaged or missing last.ckpt.

    Raises:
        UserError: A checkpoint is damaged, and there is no other in its place; or none is left to resume from.
    """
    last, previous = folder.last, folder.checkpoints / "previous.ckpt"
    if not is_whole(last) and is_whole(previous):
        state = "damaged" if last.exists() else "missing"
        print(f"{last} is {state}: resuming from the checkpoint before it, {previous.name}", flush=True)
        os.replace(previous, last)
    for name in ("last.ckpt", "best.ckpt", "start.ckpt"):
        require_whole(folder.checkpoints / name)
    others = [file.name for file in sorted(folder.checkpoints.glob("*.ckpt"))]
    # Written at the end of each epoch: a run that was killed in its first one need not have it.
    if others and not last.exists() and any(read_curve(folder.path / "metrics.csv", "epoch").values()):
        raise UserError(
            f"{last} is missing, and {few(others)} would be written over. Restore it, or remove {folder.checkpoints} to start this "
            "run again from its first step"
        )


def require_kept(last: Mapping[str, Any], folder: RunFolder) -> None:
    """Raises a UserError where a checkpoint that was there when last.ckpt was written is missing.

    Without best.ckpt a worse epoch would become the model, or none; without start.ckpt nothing would be compared to training.
    """
    state = own_state(last)
    kept = {"best.ckpt": state.get("best_score") is not None, "start.ckpt": bool(state.get("start"))}
    for name in (name for name, wanted in kept.items() if wanted and not (folder.checkpoints / name).exists()):
        raise UserError(
            f"{folder.checkpoints / name} is missing. Restore it, or remove {folder.checkpoints} to start this run again "
            "from its first step"
        )


def own_state(checkpoint: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `Checkpoints` has kept in a checkpoint, beside which other callbacks keep what they like."""
    states: Mapping[str, Mapping[str, Any]] = checkpoint.get("callbacks", {})
    return states.get("Checkpoints", {})


def require_whole(checkpoint: Path) -> None:
    """Raises a UserError where a checkpoint is damaged; a missing one is not."""
    if checkpoint.exists() and not is_whole(checkpoint):
        raise UserError(
            f"{checkpoint} is damaged, or {CHECKSUMS} beside it is. Remove {checkpoint.parent} to start this run again from its "
            f"first step; if only {CHECKSUMS} is damaged, remove that file instead"
        )


def read_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Contents of a checkpoint; a UserError where it is damaged or holds more than data."""
    require_whole(checkpoint)
    try:
        pickled = _check_content(checkpoint)
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        _check_sizes(content, pickled, MOST_TIMES * checkpoint.stat().st_size)
        return content
    except Exception as error:  # a broken file raises errors of many kinds
        raise UserError(
            f"{checkpoint} cannot be read: it is broken or holds more than data. Remove {checkpoint.parent} to start this run "
            "again from its first step"
        ) from error


def _check_content(checkpoint: Path) -> int:
    """Bytes of the pickle of a checkpoint; a ValueError where it could take more memory than it has bytes.

    Its parts may be neither packed nor read twice, there may be one pickle, whichever reader looks for it, and that calls nothing but
    what makes tensors: a few bytes of another could become gigabytes.
    """
    _check_directory(checkpoint)
    with zipfile.ZipFile(checkpoint) as archive:
        parts = archive.infolist()
        if (
            any(part.compress_type for part in parts)
            or sum(part.file_size for part in parts) > checkpoint.stat().st_size
        ):
            raise ValueError("it is packed")
        (pickled,) = (part for part in parts if part.filename.lower().endswith("data.pkl"))
        before = deque([""] * 3, maxlen=3)
        for operation, argument, _ in pickletools.genops(archive.read(pickled)):
            name = operation.name
            if (name == "GLOBAL" and not CALLED.fullmatch(str(argument))) or name in REFUSED:
                raise ValueError(f"its pickle calls {argument}")
            if name == "REDUCE" and before[2] != "EMPTY_TUPLE" and [*before] != [*NO_ARGUMENTS, "TUPLE"]:
                raise ValueError("its pickle calls something with values")
            if "PUT" not in name:
                before.append(name)
    return pickled.file_size


def _check_directory(checkpoint: Path) -> None:
    """Raises a ValueError where another reader than zipfile could find another table of contents, at another place of the file."""
    size = checkpoint.stat().st_size
    with checkpoint.open("rb") as stream:
        begin = stream.read(4)
        stream.seek(max(0, size - 98))
        end = stream.read()
    if begin != b"PK\3\4" or len(end) < 98 or end[-22:-18] != b"PK\5\6":
        raise ValueError("it is no checkpoint")
    length, start = struct.unpack("<2L", end[-10:-2])
    behind = size - 22
    if end[-42:-38] == b"PK\6\7":
        (wide_end,) = struct.unpack("<Q", end[-34:-26])
        wide_length, wide_start = struct.unpack("<2Q", end[40:56])
        behind = size - 98
        if (
            wide_end != behind
            or not {length, wide_length} <= {wide_length, WIDE}
            or not {start, wide_start} <= {wide_start, WIDE}
        ):
            raise ValueError("it has two tables of contents")
        length, start = wide_length, wide_start
    if start + length != behind:
        raise ValueError("its table of contents is not at its end")


def _check_sizes(content: Any, most_values: int, most_bytes: int) -> None:
    """Raises a ValueError where values of a checkpoint stand in it again and again: what copies them would have no end."""
    values, size, left = 0, 0, [content]
    while left:
        value = left.pop()
        values += 1
        if isinstance(value, Mapping):
            left += [*value, *value.values()]
        elif isinstance(value, list | tuple | set | frozenset):
            left += value
        elif isinstance(value, Tensor):
            size += value.numel() * value.element_size()
        if values + len(left) > most_values or size > most_bytes:
            raise ValueError("its values are more than it has bytes")


def check_fits(checkpoint: Mapping[str, Any], module: nn.Module) -> None:
    """Raises a UserError where the weights of a checkpoint are not those of a network of this size."""
    shapes = (
        {name: value.shape for name, value in state.items()}
        for state in (checkpoint["state_dict"], module.state_dict())
    )
    stored, own = shapes
    differing = [name for name in dict.fromkeys([*stored, *own]) if stored.get(name) != own.get(name)]
    if differing:
        raise UserError(
            f"the checkpoint does not fit the network that this data needs: {few(differing, 3)} differ in size. Restore the "
            "data, or begin anew with another run_dir="
        )


def model_weights(checkpoint: Path) -> dict[str, Tensor]:
    """Weights of the network alone in a checkpoint."""
    state = read_checkpoint(checkpoint)["state_dict"]
    return {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
