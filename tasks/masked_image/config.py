"""Options of the task; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import ImageNetworkOptions, ImageOptions, MaskedPatchOptions, OnError, SplitOptions


@dataclass
class MaskedImageConfig(ImageNetworkOptions, MaskedPatchOptions):
    """Hidden squares of images are filled in."""

    reads: ClassVar = ("image_classification",)  # whose data sets are read, without their labels

    _target_: str = "tasks.masked_image.MaskedImage"
    name: str = "masked_image"


@dataclass
class ImageFilesConfig(SplitOptions, ImageOptions):
    """Images of your own without labels: all below a folder.

    Attributes:
        train: Folder of the images.
        val: Folder of the validation images; null cuts them off of train.
        test: Folder of the test images; null cuts them off of train.
        on_error: Handling of images that cannot be read.
    """

    _target_: str = "tasks.masked_image.read_images"
    name: str = "image_files"
    train: str | None = None
    val: str | None = None
    test: str | None = None
    on_error: OnError = OnError.stop
