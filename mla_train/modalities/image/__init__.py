"""Images: files, bytes or arrays, brought to one size; tokens of overlapping cells or of patches."""

from mla_train.modalities.image.preprocess import Image, ImageColumn
from mla_train.modalities.image.spec import ImageSpec, ImageTensors

__all__ = ["Image", "ImageColumn", "ImageSpec", "ImageTensors"]
