"""What all picture sets share: facts, batches, variation of training pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import v2

from mla_train.config import Augmentation
from mla_train.data.batch import Batch
from mla_train.data.module import DataModule
from mla_train.data.pictures import build_transform
from mla_train.data.splits import stratified_cut
from mla_train.errors import UserError


@dataclass
class ImageFacts:
    """What the network must know of the pictures.

    Attributes:
        channels: 1 or 3.
        height: In pixels.
        width: In pixels.
        classes: Their names.
        mean: Of each channel over the training split, 0 to 255.
        std: Likewise.
    """

    channels: int
    height: int
    width: int
    classes: list[str]
    mean: list[float]
    std: list[float]


@dataclass
class ImageBatch(Batch):
    """Pictures and their classes.

    Attributes:
        images: 0 to 255, `(batch, channels, height, width)`; bytes, or floats where pictures were mixed.
        labels: Class numbers `(batch,)`, or shares of classes `(batch, classes)` where pictures were mixed.
    """

    images: Tensor
    labels: Tensor


class ImageSplit:
    """Pictures in memory.

    Args:
        images: Bytes, `(examples, channels, height, width)`.
        labels: Class numbers, `(examples,)`.
        sources: Where each picture comes from, for people; file names, say.
        transform: Variation of a picture.
    """

    def __init__(
        self, images: Tensor, labels: Tensor, sources: Sequence[str] | None = None, transform: Any = None
    ) -> None:
        self.images = images
        self.labels = labels
        self.sources = sources
        self.transform = transform

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[int, Tensor, Tensor]:
        """Place, picture and class number."""
        image = self.images[index]
        return index, image if self.transform is None else self.transform(image), self.labels[index]

    def part(self, index: np.ndarray) -> "ImageSplit":
        """Some of the pictures."""
        sources = None if self.sources is None else [self.sources[i] for i in index]
        return ImageSplit(self.images[index], self.labels[index], sources, self.transform)


class ImageData(DataModule):
    """Base of picture sets: a subclass reads pictures, this one does the rest."""

    train: ImageSplit
    val: ImageSplit
    test: ImageSplit

    def finish(self, train: ImageSplit, val: ImageSplit, test: ImageSplit, classes: list[str]) -> None:
        """Takes the splits, derives the facts and sets the variation of training pictures.

        Raises:
            UserError: There is a single class, or the training split lacks one.
        """
        if len(classes) < 2:
            raise UserError(f"there is a single class ({', '.join(classes)}); a classifier needs at least two")
        counts = torch.bincount(train.labels, minlength=len(classes))
        lacking = [name for name, count in zip(classes, counts.tolist(), strict=True) if not count]
        if lacking:
            raise UserError(f"the training split has no picture of class {', '.join(lacking)}, which val or test has")
        _, channels, height, width = train.images.shape
        sample = train.images[:: -(-len(train) // 10_000)].float()  # at most 10,000, to stay small in memory
        mean, std = sample.mean(dim=(0, 2, 3)), sample.std(dim=(0, 2, 3)).clamp(min=1.0)
        self.facts = ImageFacts(channels, height, width, classes, mean.tolist(), std.tolist())
        self.train, self.val, self.test = train, val, test
        level = self.config.regularization.augmentation
        self.train.transform = build_transform(level, (height, width), self.config.data.horizontal_flip)
        self.mixing = build_mixing(level, len(classes))

    def cut(self, whole: ImageSplit, share: float) -> tuple[ImageSplit, ImageSplit]:
        """Cuts a stratified part off."""
        stay, off = stratified_cut(whole.labels.numpy(), share, self.config.data.split_seed)
        return whole.part(stay), whole.part(off)

    def collate(self, examples: list[tuple[int, Tensor, Tensor]], training: bool) -> ImageBatch:
        """Stacks pictures; in training under strong augmentation mixes them."""
        index, images, labels = zip(*examples, strict=True)
        batch = ImageBatch(torch.tensor(index), torch.stack(images), torch.stack(labels))
        if training and self.mixing is not None and len(batch) > 1:
            batch.images, batch.labels = self.mixing(batch.images.float(), batch.labels)
        return batch


def build_mixing(level: Augmentation, classes: int) -> v2.Transform | None:
    """Mixture of training pictures with each other, half of the time: MixUp or CutMix under strong augmentation.

    Args:
        level: Only strong mixes.
        classes: Number of classes.
    """
    if level is not Augmentation.strong:
        return None
    keep = OneHot(classes)
    mixes = [v2.MixUp(alpha=0.4, num_classes=classes), v2.CutMix(alpha=1.0, num_classes=classes), keep]
    return v2.RandomChoice(mixes, p=[0.25, 0.25, 0.5])


class OneHot(torch.nn.Module):
    """Leaves pictures alone and writes classes as mixing does.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Class numbers `(batch,)` to shares `(batch, classes)`."""
        return images, torch.nn.functional.one_hot(labels, self.classes).to(images.dtype)
