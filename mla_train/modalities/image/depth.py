"""Images of more than 8 bits or of decimal numbers: all of a data set are brought to bytes on one scale."""

from collections.abc import Sequence

import torch
from PIL import ImageFile
from torch import Tensor

from mla_train.errors import UserError, few

WHOLE_MODES = {"I", "I;16", "I;16B", "I;16L", "I;16N"}
WIDE_MODES = {*WHOLE_MODES, "F"}
HALF = 128  # colours of 16 bits that stay below this in their upper 8 bits are likely no usual picture


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


def has_deep_colours(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image has 16 bits for each of its colours, of which Pillow reads the upper 8."""
    if image.mode in WIDE_MODES:
        return False
    for _, _, _, details in image.tile:
        pieces = details if isinstance(details, tuple) else (details,)
        if any(";16" in piece for piece in pieces if isinstance(piece, str)):
            return True
        if image.format == "PPM" and any(piece > 255 for piece in pieces if type(piece) is int):
            return True
    return False


def brightest(image: ImageFile.ImageFile) -> int:
    """The highest value of the colours of an image, transparency aside."""
    bands = zip(image.getbands(), image.split(), strict=True)
    return max(int(band.getextrema()[1]) for name, band in bands if name not in "Aa")  # type: ignore[arg-type]


def check_deep_colours(values: Sequence[int | None], names: Sequence[str], notes: list[str]) -> None:
    """Says of images with 16 bits for each colour that the upper 8 are read.

    Args:
        values: The highest value of the upper 8 bits of each image; None is of an image that has no 16 bits.
        names: Name of each image, for messages.
        notes: Lines for the user.

    Raises:
        UserError: The images differ in the lower bits alone, which would be lost.
    """
    deep = {name: value for name, value in zip(names, values, strict=True) if value is not None}
    if not deep:
        return
    first, highest = next(iter(deep)), max(deep.values())
    if highest < HALF:
        raise UserError(
            f"{first} has 16 bits for each colour, and its values are low: of the upper 8 bits, which are read, no more than "
            f"{highest + 1} of 256 levels are used. Save the images with 8 bits for each colour, brightened to the full range, "
            "or as grey images of 16 bits, which are brought to one scale"
        )
    notes.append(f"{len(deep):,} images have 16 bits for each colour, of which the upper 8 are read: {few(list(deep))}")


def learn_range(images: Tensor) -> list[float]:
    """Lowest and highest value of images, a step apart where all values are equal."""
    low, high = images.min().item(), images.max().item()
    return [low, high if high > low else low + 1]


def to_bytes(images: Tensor, value_range: Sequence[float]) -> Tensor:
    """Wide images on the scale where the range is 0 to 255; values outside are cut."""
    low, high = value_range
    return ((images.float() - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
