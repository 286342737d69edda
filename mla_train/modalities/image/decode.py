"""Reading images of any size, grey or colour, whole or broken."""

import io
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageFile, ImageOps
from tqdm.auto import tqdm

from mla_train.config import Fit
from mla_train.data.image_files import FORMATS
from mla_train.data.packed import check_unpacked
from mla_train.errors import UserError
from mla_train.modalities.image.depth import WIDE_MODES, brightest, has_deep_colours
from mla_train.modalities.sources import Source

GREY_MODES = {"1", "L", "LA", *WIDE_MODES}
LARGEST_KEPT = 96
USUAL_SIZE = 64
# Exceptions of Pillow for files that are no image, damaged or very large.
UNREADABLE = (OSError, ValueError, SyntaxError, NotImplementedError, Image.DecompressionBombError)
Image.MAX_IMAGE_PIXELS = 100_000_000  # twice as many are refused
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

WITH_FRAMES = {"GIF", "TIFF", "PNG", "WEBP", "AVIF"}
"""Formats whose further frames are images in their own right, no small copies or layers of the first."""

PIXEL = 4
"""Bytes of a pixel while an image is read, whatever its mode: it is converted."""

Shape = tuple[int, int, int]
"""Channels, height and width."""


class Header(NamedTuple):
    """What a file says of its image.

    Attributes:
        size: Width and height as it is looked at.
        mode: Its mode in Pillow.
        bytes: Length of the file.
        several: Whether it has several frames or pages.
        brightest: Highest value of the upper 8 of 16 bits for each colour; None where colours have no 16 bits.
    """

    size: tuple[int, int]
    mode: str
    bytes: int = 0
    several: bool = False
    brightest: int | None = None


class TooLargeError(ValueError):
    """An image unpacks to more bytes than it may."""


class NoFiniteNumberError(ValueError):
    """A pixel is NaN or infinite."""


def common_shape(
    headers: Sequence[Header | None], image_size: int | None, channels: int | None, fit: Fit, notes: list[str]
) -> Shape:
    """Channels, height and width that images are brought to.

    Args:
        headers: Headers of the images; None is missing or broken.
        image_size: Height and width; None keeps a common size (up to 96), else takes 64.
        channels: Number of channels; None takes it from the images.
        fit: How images of another shape are brought to it.
        notes: Lines for the user.
    """
    present = [header for header in headers if header is not None]
    sizes = {header.size for header in present}
    channels = channels or (1 if all(header.mode in GREY_MODES for header in present) else 3)
    if image_size:
        size = (image_size, image_size)
    elif len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_KEPT:
        size = next(iter(sizes))
    else:
        size = (USUAL_SIZE, USUAL_SIZE)
    others = sorted(sizes - {size})
    if others:
        shown = ", ".join(f"{width} x {height}" for width, height in others[:3]) + (", ..." if len(others) > 3 else "")
        how = {Fit.crop: "cropped to their middle and resized", Fit.pad: "resized and padded", Fit.stretch: "stretched"}
        notes.append(f"images of {shown} are {how[fit]} to {size[0]} x {size[1]} (data.image_size, data.fit)")
    return channels, size[1], size[0]


def read_header(source: Source | None) -> Header | None:
    """The header of an image; None where it is missing or cannot be read."""
    if source is None:
        return None
    try:
        with open_image(source) as image:
            # Other headers are not asked: for a png Pillow would decode all of it.
            turn = image.getexif().get(ExifTags.Base.Orientation, 1) if "exif" in image.info else 1
            length = len(source) if isinstance(source, bytes) else source.stat().st_size
            size = image.size[::-1] if 5 <= turn <= 8 else image.size
            several = image.format in WITH_FRAMES and getattr(image, "is_animated", False)
            return Header(size, image.mode, length, several, brightest(image) if has_deep_colours(image) else None)
    except UNREADABLE:
        return None


def read_headers(sources: Sequence[Source | None], stamps: str = "") -> list[Header | None]:
    """The header of each image; a cache knows files by their stamps."""
    return [read_header(source) for source in sources]


def decode_images(
    sources: Sequence[Source | None], shape: Shape, fit: Fit = Fit.crop, wide: bool = False, stamps: str = ""
) -> tuple[np.ndarray, np.ndarray, dict[int, str]]:
    """Reads images, of which None is missing, and brings them to one shape; a cache knows files by their stamps.

    Returns:
        Bytes, or floats of wide images, `(images, channels, height, width)`, zeros where there is none; True where there
        is none `(images,)`; what is wrong with those that cannot be read, by their places.
    """
    images = np.zeros((len(sources), *shape), dtype=np.float32 if wide else np.uint8)
    missing, broken = np.zeros(len(sources), dtype=bool), {}
    for i in tqdm(range(len(sources)), desc="reading images", unit="image", disable=len(sources) < 2000, leave=False):
        source = sources[i]
        if source is None:
            missing[i] = True
            continue
        try:
            images[i] = decode_image(source, shape, fit)
        except UNREADABLE as error:
            missing[i] = True
            broken[i] = _fault(error)
    return images, missing, broken


def _fault(error: Exception) -> str:
    """What is wrong with an image that cannot be read."""
    if isinstance(error, NoFiniteNumberError | TooLargeError | FileNotFoundError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError):
        return f"it has over {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels: make it smaller"
    return "it is damaged, or no image"


def decode_image(source: Source, shape: Shape, fit: Fit) -> np.ndarray:
    """Reads an image, see `to_array`; raises one of `UNREADABLE` where it cannot be read."""
    with open_image(source) as image:
        return to_array(image, shape, fit)


def to_array(image: Image.Image, shape: Shape, fit: Fit) -> np.ndarray:
    """An image of any mode, turned upright and brought to a shape: bytes, or floats as they are where it is wide."""
    channels, height, width = shape
    image = ImageOps.exif_transpose(image)
    if image.mode in WIDE_MODES:
        values: np.ndarray = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            raise NoFiniteNumberError("a pixel is no finite number (NaN or infinite)")
        image = Image.fromarray(values)
    elif image.has_transparency_data:  # what shows through is white, as on paper
        background = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(background, image.convert("RGBA"))
    if image.mode != "F":
        image = image.convert("L" if channels == 1 else "RGB")
    if image.size != (width, height):
        image = RESIZE[fit](image, (width, height))
    array = np.array(image)
    return np.repeat(array[None], channels, axis=0) if array.ndim == 2 else array.transpose(2, 0, 1)


def _crop(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return ImageOps.fit(image, size, Image.Resampling.BILINEAR)


def _pad(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Black margins; in a wide image they have its lowest value."""
    lowest: Any = image.getextrema()[0] if image.mode == "F" else None
    return ImageOps.pad(image, size, Image.Resampling.BILINEAR, color=lowest)


def _stretch(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, Image.Resampling.BILINEAR)


RESIZE: dict[Fit, Callable[[Image.Image, tuple[int, int]], Image.Image]] = {
    Fit.crop: _crop, Fit.pad: _pad, Fit.stretch: _stretch,
}  # fmt: skip


@cache
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow reads, in its order."""
    Image.init()
    return tuple(name for name in Image.ID if name in FORMATS)


def open_image(source: Source) -> ImageFile.ImageFile:
    """Opens an image of an allowed format, which is not yet decoded; raises one of `UNREADABLE` where it cannot be."""
    if isinstance(source, Path) and not source.is_file():  # a pipe would be waited for without end
        raise FileNotFoundError(f"there is no such file ({source})")
    image = Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=_formats())
    count = image.width * image.height * PIXEL
    length = len(source) if isinstance(source, bytes) else source.stat().st_size
    try:
        check_unpacked(count, length, f"an image of {image.width:,} x {image.height:,} pixels")
    except UserError as error:
        image.close()
        raise TooLargeError(str(error)) from error
    return image
