"""What a network must know of images."""

from dataclasses import dataclass, field


@dataclass
class ImageSpec:
    """Size and statistics of images.

    Attributes:
        channels: 1 for grey, 3 for colour.
        height: Height in pixels.
        width: Width in pixels.
        mean: Mean of each channel over the training split, 0 to 255.
        std: Standard deviation of each channel over the training split.
    """

    channels: int
    height: int
    width: int
    mean: list[float] = field(default_factory=list)
    std: list[float] = field(default_factory=list)
