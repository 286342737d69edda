"""Images: files, bytes or arrays, brought to one size; tokens of overlapping cells or of patches."""

from typing import TYPE_CHECKING

from mla_train.lazy import lazy_names

if TYPE_CHECKING:
    from mla_train.modalities.image.preprocess import Image, ImageColumn
    from mla_train.modalities.image.spec import ImageSpec, ImageTensors

__all__ = ["Image", "ImageColumn", "ImageSpec", "ImageTensors"]

__getattr__ = lazy_names(
    __name__, {"Image": "preprocess", "ImageColumn": "preprocess", "ImageSpec": "spec", "ImageTensors": "spec"}
)
