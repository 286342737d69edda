"""Reading images of any size, grey or colour, whole or broken."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from tqdm.auto import tqdm

WIDE_MODES = {"I", "I;16", "I;16B", "I;16L", "F"}
GREY_MODES = {"1", "L", "LA", *WIDE_MODES}
LARGEST_KEPT = 96
USUAL_SIZE = 64
# Exceptions of Pillow for files that are no image, damaged or very large.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)

Source = Path | bytes
"""A file, or the bytes of one."""
Shape = tuple[int, int, int]
"""Channels, height and width."""


def common_shape(
    sources: Sequence[Source | None], image_size: int | None, channels: int | None, notes: list[str]
) -> Shape:
    """Channels, height and width that images are brought to.

    Args:
        sources: Images; None is missing.
        image_size: Height and width; None keeps a common size (up to 96), else takes 64.
        channels: Number of channels; None takes it from the images.
        notes: Lines for the user.
    """
    headers = [header for source in sources if source is not None and (header := _header(source)) is not None]
    sizes = {size for size, _ in headers}
    channels = channels or (1 if all(mode in GREY_MODES for _, mode in headers) else 3)
    if image_size:
        size = (image_size, image_size)
    elif len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_KEPT:
        size = next(iter(sizes))
    else:
        size = (USUAL_SIZE, USUAL_SIZE)
    others = sorted(sizes - {size})
    if others:
        shown = ", ".join(f"{width} x {height}" for width, height in others[:3]) + (", ..." if len(others) > 3 else "")
        notes.append(
            f"images of {shown} are cropped to their middle and resized to {size[0]} x {size[1]} (data.image_size)"
        )
    return channels, size[1], size[0]


def _header(source: Source) -> tuple[tuple[int, int], str] | None:
    try:
        with _open(source) as image:
            return image.size, image.mode
    except UNREADABLE:
        return None


def stamp(source: Source | None) -> tuple[int, int] | None:
    """Size and time of change of a file; None where there is none."""
    if not isinstance(source, Path):
        return None
    try:
        status = source.stat()
    except (OSError, ValueError):
        return None
    return status.st_size, status.st_mtime_ns


def decode_images(
    sources: Sequence[Source | None], shape: Shape, stamps: Sequence[Any] = ()
) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """Reads images, of which None is missing, and brings them to one shape; a cache knows files by their stamps.

    Returns:
        Bytes `(images, channels, height, width)`, black where there is none; True where there is none `(images,)`;
        places of images that cannot be read.
    """
    images = np.zeros((len(sources), *shape), dtype=np.uint8)
    missing, broken = np.zeros(len(sources), dtype=bool), []
    for i in tqdm(range(len(sources)), desc="reading images", unit="image", disable=len(sources) < 2000, leave=False):
        source = sources[i]
        if source is None:
            missing[i] = True
            continue
        try:
            with _open(source) as image:
                images[i] = to_array(image, shape)
        except UNREADABLE:
            missing[i] = True
            broken.append(i)
    return images, missing, broken


def to_array(image: Image.Image, shape: Shape) -> np.ndarray:
    """An image of any mode as bytes: turned upright, its middle cropped in the wanted shape, then resized."""
    channels, height, width = shape
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        image = _to_8_bits(image)
    elif image.has_transparency_data:  # what shows through is white, as on paper
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image.convert("RGBA"))
    image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Brings wider numbers to 0..255: 16 bits from their whole range, floats from 0..1 if they lie there."""
    wide: np.ndarray = np.asarray(image, dtype=np.float32)
    if image.mode == "F" and wide.max() <= 1:
        wide = wide * 255
    elif wide.max() > 255:
        wide = wide / 257
    return Image.fromarray(wide.clip(0, 255).astype(np.uint8))


def _open(source: Source) -> Image.Image:
    if isinstance(source, Path) and not source.is_file():  # a pipe would be waited for without end
        raise FileNotFoundError(source)
    return Image.open(io.BytesIO(source) if isinstance(source, bytes) else source)


def as_source(value: Any) -> Source | None:
    """A raw value (a path, bytes, or `{"bytes", "path"}` of the hub) as a source; None where it is neither."""
    if isinstance(value, dict):
        value = value.get("bytes") or value.get("path")
    if isinstance(value, str):
        return Path(value) if value else None
    return value if isinstance(value, Path | bytes) and value else None
