"""Reading the user's own pictures: any size, grey or colour, whole or broken."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from tqdm.auto import tqdm

from mla_train.config import OnError
from mla_train.errors import UserError
from tasks.image_classification.config import OwnImagesConfig
from tasks.image_classification.data import ImageData, ImageSplit

WIDE_MODES = {"I", "I;16", "I;16B", "I;16L", "F"}
GREY_MODES = {"1", "L", "LA", *WIDE_MODES}
LARGEST = 1024
LARGEST_KEPT = 96
USUAL_SIZE = 64

Source = Path | bytes


def decode(
    sources: Sequence[Source], names: Sequence[str], options: OwnImagesConfig, notes: list[str]
) -> tuple[torch.Tensor, np.ndarray]:
    """Reads pictures and brings them to one size.

    Args:
        sources: Files, or the bytes of files.
        names: What to call each in messages.
        options: Size, channels, and what to do with broken ones.
        notes: Gets a line where pictures were left out.

    Returns:
        Bytes, `(examples, channels, size, size)` or in the common size of all pictures, and which sources were read.

    Raises:
        UserError: A picture is broken and `data.on_error=stop`.
    """
    headers: dict[int, tuple[tuple[int, int], str]] = {}
    broken: dict[int, Exception] = {}
    for i, source in enumerate(sources):
        try:
            with _open(source) as image:
                headers[i] = (image.size, image.mode)
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            broken[i] = error
    sizes = {size for size, _ in headers.values()}
    if options.channels not in (None, 1, 3):
        raise UserError(f"data.channels={options.channels}: 1 is grey, 3 is colour")
    channels = options.channels or (1 if all(mode in GREY_MODES for _, mode in headers.values()) else 3)
    if options.image_size is not None and not 4 <= options.image_size <= LARGEST:
        raise UserError(f"data.image_size={options.image_size}: from 4 to {LARGEST} pixels")
    if options.image_size:
        size = (options.image_size, options.image_size)
    elif len(sizes) == 1 and max(next(iter(sizes))) <= LARGEST_KEPT:
        size = next(iter(sizes))
    else:
        size = (USUAL_SIZE, USUAL_SIZE)

    others = sizes - {size}
    if others:
        shown = ", ".join(f"{width} x {height}" for width, height in sorted(others)[:3]) + (
            ", ..." if len(others) > 3 else ""
        )
        notes.append(
            f"pictures of {shown} are cut to their middle and brought to {size[0]} x {size[1]} (data.image_size)"
        )

    arrays, read = [], []
    for i in tqdm(headers, desc="reading pictures", unit="picture", disable=len(headers) < 2000, leave=False):
        try:
            with _open(sources[i]) as image:
                arrays.append(_to_array(image, size, channels))
            read.append(i)
        except (OSError, ValueError, SyntaxError) as error:
            broken[i] = error
    if broken:
        shown = ", ".join(names[i] for i in sorted(broken)[:5]) + (", ..." if len(broken) > 5 else "")
        if options.on_error is OnError.stop:
            raise UserError(
                f"{len(broken)} of {len(sources)} pictures cannot be read: {shown}. "
                "Mend or remove them, or leave them out with data.on_error=skip"
            )
        notes.append(f"left out {len(broken)} of {len(sources)} pictures that cannot be read: {shown}")
    if not arrays:
        raise UserError("no picture could be read")
    return torch.from_numpy(np.stack(arrays)), np.array(read)


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


def read_parts(
    data: ImageData,
    sources: Mapping[str, Sequence[Source]],
    names: dict[str, list[str]],
    labels: dict[str, list[int]],
    classes: list[str],
) -> None:
    """Reads the pictures of all parts, in one size, and gives the set its splits; missing ones are cut from train.

    Args:
        data: The set; its `data` options say how pictures are read and how parts are cut.
        sources: Pictures of "train", and of "val" and "test" where they are given.
        names: What to call each picture in messages.
        labels: Class number of each picture.
        classes: Names of the classes.

    Raises:
        UserError: A part holds no picture that can be read, or what `decode` and `ImageData.finish` raise.
    """
    options = data.config.data
    origin = np.array([part for part, found in sources.items() for _ in found])
    all_names = [name for part in sources for name in names[part]]
    all_labels = torch.tensor([label for part in sources for label in labels[part]])
    images, read = decode([s for found in sources.values() for s in found], all_names, options, data.notes)
    parts = {}
    for part in sources:
        index = np.flatnonzero(origin[read] == part)
        if not len(index):
            raise UserError(f"the {part} part holds no picture that can be read")
        kept = read[index]
        parts[part] = ImageSplit(images[index], all_labels[kept], [all_names[i] for i in kept])
    for part, share in (("test", options.test_share), ("val", options.val_share)):
        if part not in parts:
            before = len(parts["train"])
            parts["train"], parts[part] = data.cut(parts["train"], share)
            data.notes.append(
                f"no {part} part is given: cut {len(parts[part]):,} of {before:,} training pictures off for it, "
                f"stratified by class (data.split_seed={options.split_seed})"
            )
    data.finish(parts["train"], parts["val"], parts["test"], classes)
