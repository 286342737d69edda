"""Reading pictures of any size, grey or colour, whole or broken, and varying those that are learnt from."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torchvision.transforms import v2
from tqdm.auto import tqdm

from mla_train.config import Augmentation
from mla_train.errors import UserError

WIDE_MODES = {"I", "I;16", "I;16B", "I;16L", "F"}
GREY_MODES = {"1", "L", "LA", *WIDE_MODES}
LARGEST = 1024
LARGEST_KEPT = 96
USUAL_SIZE = 64

Source = Path | bytes


@dataclass
class Pictures:
    """Pictures that were read.

    Attributes:
        images: Bytes, `(read, channels, height, width)`.
        read: Which sources they come from, `(read,)`.
        broken: Sources that could not be read.
        notes: What was changed about them.
    """

    images: Tensor
    read: np.ndarray
    broken: list[int]
    notes: list[str] = field(default_factory=list)


def read_pictures(sources: Sequence[Source], image_size: int | None = None, channels: int | None = None) -> Pictures:
    """Reads pictures and brings them to one size.

    Args:
        sources: Files, or the bytes of files.
        image_size: Height and width; None keeps a common size (up to 96), else takes 64.
        channels: 1 is grey, 3 is colour; None looks at the pictures.

    Raises:
        UserError: Size or channels cannot be meant, or no picture can be read.
    """
    headers: dict[int, tuple[tuple[int, int], str]] = {}
    broken: set[int] = set()
    for i, source in enumerate(sources):
        try:
            with _open(source) as image:
                headers[i] = (image.size, image.mode)
        except (OSError, ValueError, Image.DecompressionBombError):
            broken.add(i)
    sizes = {size for size, _ in headers.values()}
    if channels not in (None, 1, 3):
        raise UserError(f"data.channels={channels}: 1 is grey, 3 is colour")
    channels = channels or (1 if all(mode in GREY_MODES for _, mode in headers.values()) else 3)
    if image_size is not None and not 4 <= image_size <= LARGEST:
        raise UserError(f"data.image_size={image_size}: from 4 to {LARGEST} pixels")
    if image_size:
        size = (image_size, image_size)
    elif len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_KEPT:
        size = next(iter(sizes))
    else:
        size = (USUAL_SIZE, USUAL_SIZE)
    arrays, read, notes = [], [], []
    others = sizes - {size}
    if others:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(others)[:3]) + (
            ", ..." if len(others) > 3 else ""
        )
        notes.append(
            f"pictures of {shown} are cut to their middle and brought to {size[0]} x {size[1]} (data.image_size)"
        )
    for i in tqdm(headers, desc="reading pictures", unit="picture", disable=len(headers) < 2000, leave=False):
        try:
            with _open(sources[i]) as image:
                arrays.append(_to_array(image, size, channels))
            read.append(i)
        except (OSError, ValueError, SyntaxError):
            broken.add(i)
    if not arrays:
        raise UserError("no picture could be read")
    return Pictures(torch.from_numpy(np.stack(arrays)), np.array(read), sorted(broken), notes)


def read_picture(source: Source, size: tuple[int, int], channels: int) -> Tensor:
    """Reads one picture as a trained model expects it.

    Args:
        source: A file, or its bytes.
        size: Height and width.
        channels: 1 is grey, 3 is colour.

    Returns:
        Bytes, `(channels, height, width)`.

    Raises:
        UserError: It cannot be read.
    """
    name = "the picture" if isinstance(source, bytes) else str(source)
    if isinstance(source, Path) and not source.is_file():
        raise UserError(f"{name}: there is no such file ({source.resolve()})")
    try:
        with _open(source) as image:
            return torch.from_numpy(_to_array(image, size[::-1], channels).copy())
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{name} cannot be read as a picture: {error}") from error


def name_broken(broken: Sequence[int], names: Sequence[str]) -> str:
    """How many of the pictures cannot be read, and the first five by name."""
    shown = ", ".join(names[i] for i in broken[:5]) + (", ..." if len(broken) > 5 else "")
    return f"{len(broken)} of {len(names)} pictures cannot be read: {shown}"


def _open(source: Source) -> Image.Image:
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def _to_array(image: Image.Image, size: tuple[int, int], channels: int) -> np.ndarray:
    """One picture as bytes: turned upright, its middle cut out in the wanted shape, then resized."""
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        image = _to_bytes(image)
    elif image.has_transparency_data:  # what shows through is white, as on paper
        behind = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(behind, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != size:
        image = ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1).copy()


def _to_bytes(image: Image.Image) -> Image.Image:
    """Brings numbers of more than 8 bits to 0..255: 16 bits from their whole range, floats from 0..1 if they lie there."""
    wide: np.ndarray = np.asarray(image, dtype=np.float32)
    if image.mode == "F" and wide.max() <= 1:
        wide = wide * 255
    elif wide.max() > 255:
        wide = wide / 257
    return Image.fromarray(wide.clip(0, 255).astype(np.uint8))


def build_transform(level: Augmentation, size: tuple[int, int], horizontal_flip: bool) -> v2.Transform | None:
    """Variation of single training pictures.

    Args:
        level: none; light is a shift by up to an eighth, and a flip; strong adds RandAugment and erasing.
        size: Height and width.
        horizontal_flip: Whether a mirrored picture shows the same class.
    """
    if level is Augmentation.none:
        return None
    steps: list[Any] = [v2.RandomCrop(size, padding=max(1, min(size) // 8))]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if level is Augmentation.strong:
        steps += [v2.RandAugment(num_ops=2, magnitude=7), v2.RandomErasing(p=0.25)]
    return v2.Compose(steps) if len(steps) > 1 else steps[0]
