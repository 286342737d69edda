"""Images of more than 8 bits or of decimal numbers: all of a data set are brought to bytes on one scale."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mla_train.errors import UserError

WHOLE_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
WIDE_MODES = {*WHOLE_MODES, "F"}


def number_kind(mode: str) -> str:
    """Kind of the numbers of a image, from its mode in Pillow."""
    if mode in WIDE_MODES:
        return "whole numbers of more than 8 bits" if mode in WHOLE_MODES else "decimal numbers"
    return "8 bits"


def check_one_kind(modes: Sequence[str | None], names: Sequence[str], notes: list[str]) -> bool:
    """Whether images are wide: of more than 8 bits, or of decimal numbers.

    Args:
        modes: Mode of each image; None is missing.
        names: Name of each image, for messages.
        notes: Lines for the user.

    Raises:
        UserError: Images are of several kinds, which have no common scale.
    """
    first = {number_kind(mode): name for mode, name in reversed(list(zip(modes, names, strict=True))) if mode}
    if len(first) > 1:
        (kind, name), (other_kind, other) = sorted(first.items())[:2]
        raise UserError(
            f"{name} has {kind}, {other} {other_kind}: they have no common scale; bring all images to one kind of numbers"
        )
    wide = bool(first) and "8 bits" not in first
    if wide:
        notes.append(
            f"images have {next(iter(first))}: one scale for all, from the lowest to the highest value of the training split"
        )
    return wide


def learn_range(images: Tensor) -> list[float]:
    """Lowest and highest value of images, a step apart where all values are equal."""
    low, high = images.min().item(), images.max().item()
    return [low, high if high > low else low + 1]


def to_bytes(images: Tensor, value_range: Sequence[float]) -> Tensor:
    """Wide images on the scale where the range is 0 to 255; values outside are cut."""
    low, high = value_range
    return ((images.float() - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
