"""From feature vectors to tokens."""

import torch
from torch import Tensor, nn

from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.modalities.features.spec import FeatureSpec
from mla_train.modalities.features.tensors import FeatureTensors
from mla_train.nn import ReconstructionInput, ReconstructionTarget


class FeatureEmbedding(Embedding):
    """Scaled features, projected.

    Args:
        spec: Statistics of the features.
        dim: Width of tokens.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, spec: FeatureSpec, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(spec.mean))
        self.register_buffer("std", torch.tensor(spec.std))
        self.project = nn.Linear(len(spec.mean), dim)
        self.side_paths = nn.ModuleDict()

    def scaled(self, values: Tensor) -> Tensor:
        """Features with mean 0 and standard deviation 1."""
        return (values - self.mean) / self.std

    def forward(self, tensors: FeatureTensors) -> ModalityFeatures:
        """Tokens `(batch, length, dim)`."""
        return ModalityFeatures(self.project(self.scaled(tensors.values)), tensors.padding)

    def reconstruction_input(self) -> ReconstructionInput:
        """The scaled features."""
        return ReconstructionInput(len(self.mean), self.reconstruction_target)

    def reconstruction_target(self, tensors: FeatureTensors) -> ReconstructionTarget:
        """Scaled features of steps that are no padding."""
        values = self.scaled(tensors.values)
        return ReconstructionTarget(values, (~tensors.padding).unsqueeze(-1).expand_as(values))
