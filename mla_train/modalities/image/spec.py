"""What a network must know of images, and what it reads of them."""

from dataclasses import dataclass, field
from typing import ClassVar

from torch import Tensor


@dataclass
class ImageSpec:
    """Size and statistics of images.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Height in pixels.
        width: Width in pixels.
        mean: Mean of each channel over the training split, 0 to 255.
        std: Standard deviation of each channel over the training split.
        value_range: Values of files that become 0 and 255, where images have more than 8 bits or decimal numbers; None
            where they are bytes.
        fit: How images of another shape are brought to this one, a value of `Fit`.
    """

    carried: ClassVar = ("mean", "std", "value_range")
    one_of: ClassVar = {"fit": ("crop", "pad", "stretch")}

    channels: int
    height: int
    width: int
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
    value_range: list[float] | None = None
    fit: str = "crop"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        return self.channels, self.height, self.width


@dataclass
class ImageTensors:
    """A batch of images.

    Attributes:
        images: 0 to 255, `(batch, channels, height, width)`: bytes, or floats where images were mixed.
        padding: True where there is no image, `(batch, 1)`.
    """

    images: Tensor
    padding: Tensor
