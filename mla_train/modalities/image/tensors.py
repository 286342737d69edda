"""Images as a network reads them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class ImageTensors:
    """A batch of images.

    Attributes:
        images: 0 to 255, `(batch, channels, height, width)`: bytes, or floats where images were mixed.
        padding: True where there is no image, `(batch, 1)`.
    """

    images: Tensor
    padding: Tensor
