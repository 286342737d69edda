"""From image files, bytes and arrays to bytes of one size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mla_train.config import Augmentation, Fit, ImageOptions
from mla_train.data.cache import cached
from mla_train.errors import UserError, few
from mla_train.modalities.base import Column, Modality
from mla_train.modalities.explanation import InputExplanation
from mla_train.modalities.image.decode import (
    UNREADABLE,
    Header,
    common_shape,
    decode_image,
    decode_images,
    read_header,
    read_headers,
)
from mla_train.modalities.image.depth import HALF, check_deep_colours, check_one_kind, learn_range, to_bytes
from mla_train.modalities.image.embed import ImageEmbedding
from mla_train.modalities.image.explain import explain_image
from mla_train.modalities.image.spec import ImageSpec, ImageTensors
from mla_train.modalities.sources import as_source, stamps_of

STATISTICS_FROM = 10_000  # images at most, to stay small in memory


@dataclass
class ImageColumn(Column):
    """Images of a split.

    Attributes:
        images: Bytes, `(examples, channels, height, width)`, zeros where there is none; floats of wide images until
            `Image.prepare` brings them to bytes.
        missing: True where there is none, `(examples,)`.
        broken: What is wrong with images that cannot be read, by their places.
        sources: Files that the images come from; None where they come from memory.
        headers: Headers of the files, of which None is missing or broken; None where images are arrays.
    """

    images: Tensor
    missing: np.ndarray
    broken: Mapping[int, str] = field(default_factory=dict)
    sources: list[Any] | None = None
    headers: list[Any] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor | None:
        """One image, `(channels, height, width)`; None where there is none."""
        return None if self.missing[index] else self.images[index]

    def select(self, index: np.ndarray) -> "ImageColumn":
        """Some of the images."""
        headers = None if self.headers is None else [self.headers[i] for i in index]
        return ImageColumn(self.images[torch.from_numpy(np.asarray(index))], self.missing[index], headers=headers)

    def is_missing(self) -> np.ndarray:
        """True where there is no image, `(examples,)`."""
        return self.missing

    def raw(self, index: int) -> Tensor:
        """One image as bytes, `(channels, height, width)`."""
        return self.images[index]

    def keys(self) -> list[Any] | None:
        """The files; None where images come from memory."""
        return self.sources

    def contents(self) -> list[bytes | None]:
        """A hash of the pixels as the network reads them, so that copies of other names and formats are equal, too."""
        pixels = (None if gone else image for gone, image in zip(self.missing, self.images.numpy(), strict=True))
        return [None if image is None else blake2b(image.tobytes(), digest_size=16).digest() for image in pixels]


class Image(Modality[ImageSpec]):
    """Images as bytes of one size."""

    kind = "image"
    spec_class = ImageSpec
    embedding_class = ImageEmbedding

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> ImageColumn:
        """Reads images: arrays of one size `(channels, height, width)`, files, or the bytes of files."""
        if isinstance(values, Tensor):
            return ImageColumn(values, np.zeros(len(values), dtype=bool))
        sources = [as_source(value) for value in values]
        in_memory = any(isinstance(source, bytes) for source in sources)
        headers_of, decode = read_headers, decode_images
        if not in_memory:
            headers_of, decode = (cached(each, ignore=["sources"]) for each in (read_headers, decode_images))
        place_of: dict[Any, int] = {}  # an image with several captions is decoded once
        copies = [place_of.setdefault(source, len(place_of)) for source in sources]
        files, fit = list(place_of), getattr(options, "fit", Fit.crop)
        stamps = stamps_of(files)
        known_headers = [header and Header(*header) for header in headers_of(files, stamps)]
        headers = [known_headers[place] for place in copies]
        size, channels = getattr(options, "image_size", None), getattr(options, "channels", None)
        shape = common_shape(headers, size, channels, fit, notes)
        wide = check_one_kind([header and header.mode for header in headers], names, notes)
        check_deep_colours([header and header.brightest for header in headers], names, notes)
        several = [name for name, header in zip(names, headers, strict=True) if header and header.several]
        if several:
            notes.append(
                f"{len(several):,} images have several frames or pages, of which the first is read: {few(several)}"
            )
        images, missing, faults = decode(files, shape, fit, wide, stamps)
        if len(files) < len(sources):
            images, missing = images[copies], missing[copies]
        broken = {place: faults[copy] for place, copy in enumerate(copies) if copy in faults}
        strange = [i for i, (value, source) in enumerate(zip(values, sources, strict=True)) if value and not source]
        broken = dict(sorted((broken | dict.fromkeys(strange, "it is neither a path nor bytes")).items()))
        if missing.all():
            place = next(iter(broken), None)
            shown = (
                "all are empty" if place is None else f"{few([names[i] for i in broken])}; the first: {broken[place]}"
            )
            other = ", or leave images out of data.modalities" if hasattr(options, "modalities") else ""
            raise UserError(f"no image can be read: {shown}. Check the paths{other}")
        known = None if in_memory else sources
        return ImageColumn(torch.from_numpy(images), missing, broken, known, headers)

    @classmethod
    def fit(cls, train: ImageColumn, options: ImageOptions) -> Self:
        """Mean and standard deviation of each channel, and the scale of wide images."""
        images = train.images[torch.from_numpy(~train.missing)]
        _, channels, height, width = images.shape
        fit = getattr(options, "fit", Fit.crop).value
        known, is_wide = train.known, images.is_floating_point()
        if known is not None and known.channels == channels and (known.value_range is not None) == is_wide:
            return cls(replace(known, height=height, width=width, fit=fit))
        value_range = learn_range(images) if is_wide else None
        if value_range is not None:
            images = to_bytes(images, value_range)
        sample = images[:: -(-len(images) // STATISTICS_FROM)].float()
        mean, std = sample.mean((0, 2, 3)), sample.std((0, 2, 3)).clamp(min=1.0)
        return cls(ImageSpec(channels, height, width, mean.tolist(), std.tolist(), value_range, fit))

    def prepare(self, column: ImageColumn, notes: list[str]) -> ImageColumn:
        """Brings wide images to bytes."""
        if self.spec.value_range is None:
            return column
        low, high = self.spec.value_range
        present = torch.from_numpy(~column.missing)
        outside = ((column.images < low) | (column.images > high)).flatten(1).any(1) & present
        if outside.any():
            notes.append(
                f"{int(outside.sum()):,} of {len(column):,} images have values outside of {low:g} to {high:g}, the range of "
                "the training split; they are cut"
            )
        return replace(column, images=to_bytes(column.images, (low, high)) * present.view(-1, 1, 1, 1))

    def preprocess(self, values: Sequence[Any]) -> ImageColumn:
        """Reads files, bytes of files, or arrays `(channels, height, width)` of the right size; None is missing."""
        missing = np.array([value is None or (isinstance(value, str) and not value) for value in values])
        images = torch.zeros(len(values), *self.spec.shape, dtype=torch.uint8)
        for i, value in enumerate(values):
            if not missing[i]:
                images[i] = self._read(value)
        return ImageColumn(images, missing)

    def _read(self, value: Any) -> Tensor:
        shape = self.spec.shape
        if isinstance(value, Tensor | np.ndarray):
            image = torch.as_tensor(value)
            if image.shape != shape:
                raise UserError(f"an image of shape {tuple(image.shape)}: this model reads arrays of shape {shape}")
            if self.spec.value_range is not None and image.dtype != torch.uint8:
                return to_bytes(image, self.spec.value_range)
            as_bytes = image.to(torch.uint8)
            if not torch.equal(as_bytes.to(image.dtype), image):
                raise UserError(f"an image of {image.dtype}: this model reads arrays of whole numbers from 0 to 255")
            return as_bytes
        source = as_source(value)
        name = "the image" if source is None or isinstance(source, bytes) else str(source)
        if isinstance(source, Path) and not source.is_file():
            raise UserError(f"{name}: there is no such file ({source.resolve()})")
        if source is None:
            raise UserError(f"{name} cannot be read as an image")
        header = read_header(source)
        if header is not None and header.brightest is not None and header.brightest < HALF:
            raise UserError(
                f"{name} has 16 bits for each colour, and its values are low: of the upper 8 bits, which are read, no more "
                f"than {header.brightest + 1} of 256 levels are used. Save it with 8 bits, brightened to the full range"
            )
        try:
            image = torch.from_numpy(decode_image(source, shape, Fit(self.spec.fit)))
        except UNREADABLE as error:
            raise UserError(f"{name} cannot be read as an image") from error
        if image.is_floating_point() != (self.spec.value_range is not None):
            kinds = "8 bits", "more than 8 bits or decimal numbers"
            has, reads = kinds if self.spec.value_range is not None else kinds[::-1]
            raise UserError(
                f"{name} has {has}, this model reads images of {reads}: convert it as the training images are"
            )
        return image if self.spec.value_range is None else to_bytes(image, self.spec.value_range)

    def collate(self, examples: Sequence[Tensor | None]) -> ImageTensors:
        """Stacks images; missing ones are black."""
        black = torch.zeros(self.spec.shape, dtype=torch.uint8)
        images = torch.stack([black if example is None else example for example in examples])
        return ImageTensors(images, torch.tensor([[example is None] for example in examples]))

    def augmentation(self, level: Augmentation, options: Any) -> Callable[[Tensor], Tensor] | None:
        """Shifts and flips, and under strong augmentation RandAugment and erasing."""
        if level is Augmentation.none:
            return None
        from mla_train.modalities.image.augment import build_transform  # torchvision takes a second to load

        size = self.spec.height, self.spec.width
        return build_transform(level, size, getattr(options, "horizontal_flip", False))

    def explain(self, name: str, embedding: ImageEmbedding, tensors: ImageTensors, raw: Any) -> InputExplanation:
        """Cells as units."""
        return explain_image(name, self.spec, embedding, tensors)

    @classmethod
    def example_values(cls, count: int) -> Tensor:
        """Random images in colour."""
        return torch.randint(0, 256, (count, 3, 20, 20), dtype=torch.uint8)
