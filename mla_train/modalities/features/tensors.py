"""Feature vectors as a network reads them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class FeatureTensors:
    """A batch of feature vectors.

    Attributes:
        values: Unscaled, `(batch, length, width)`.
        padding: True at padding, `(batch, length)`.
    """

    values: Tensor
    padding: Tensor
