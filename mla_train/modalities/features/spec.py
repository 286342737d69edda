"""What a network must know of feature vectors."""

from dataclasses import dataclass


@dataclass
class FeatureSpec:
    """Statistics of feature vectors.

    Attributes:
        mean: Mean of each feature over the steps of the training split.
        std: Standard deviation of each feature over the steps of the training split; 1 where it never changes.
    """

    mean: list[float]
    std: list[float]
