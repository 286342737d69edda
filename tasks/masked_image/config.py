"""Options of the task; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import ImageNetworkOptions, MaskedPatchOptions


@dataclass
class MaskedImageConfig(ImageNetworkOptions, MaskedPatchOptions):
    """Hidden squares of images are filled in."""

    reads: ClassVar = ("image_classification",)  # whose data sets are read, without their labels

    _target_: str = "tasks.masked_image.MaskedImage"
    name: str = "masked_image"
