"""Random variation of training images, by torchvision."""

from typing import Any

import torch
from torch import Tensor
from torchvision.transforms import v2

from mla_train.config import Augmentation


def build_transform(level: Augmentation, size: tuple[int, int], horizontal_flip: bool) -> v2.Transform | None:
    """Variation of single training images.

    Args:
        level: none; light shifts by up to an eighth, and flips; strong adds RandAugment and erasing.
        size: Height and width.
        horizontal_flip: Whether a mirrored image has the same label.
    """
    if level is Augmentation.none:
        return None
    steps: list[Any] = [v2.RandomCrop(size, padding=max(1, min(size) // 8))]
    if horizontal_flip:
        steps.append(v2.RandomHorizontalFlip())
    if level is Augmentation.strong:
        steps += [v2.RandAugment(num_ops=2, magnitude=7), v2.RandomErasing(p=0.25)]
    return v2.Compose(steps) if len(steps) > 1 else steps[0]


def build_mixing(level: Augmentation, classes: int) -> v2.Transform | None:
    """MixUp or CutMix of half of the training batches, under strong augmentation."""
    if level is not Augmentation.strong:
        return None
    mixes = [v2.MixUp(alpha=0.4, num_classes=classes), v2.CutMix(alpha=1.0, num_classes=classes), OneHot(classes)]
    return v2.RandomChoice(mixes, p=[0.25, 0.25, 0.5])


class OneHot(torch.nn.Module):
    """Leaves images alone and writes classes as mixing does."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Class numbers `(batch,)` to shares `(batch, classes)`."""
        return images, torch.nn.functional.one_hot(labels, self.classes).to(images.dtype)
