"""Texts as a network reads them."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class TextTensors:
    """A batch of texts.

    Attributes:
        tokens: Token numbers, padded with 0, `(batch, length)`.
        padding: True at padding, `(batch, length)`.
        features: Numbers of the TF-IDF features of all texts in a row, `(features,)`; None where there are none.
        weights: Their weights, `(features,)`.
        offsets: Places at which the features of each text begin, `(batch,)`.
    """

    tokens: Tensor
    padding: Tensor
    features: Tensor | None = None
    weights: Tensor | None = None
    offsets: Tensor | None = None
