"""Features that were computed elsewhere: one vector for each example, or a sequence of vectors, each step a token."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.data.batch import pad_stack
from mla_train.errors import UserError
from mla_train.modalities.arrays import load_arrays, preprocess_arrays
from mla_train.modalities.base import Embedding, ListColumn, Modality, ModalityFeatures
from mla_train.modalities.explanation import GradientInput, InputExplanation, WordUnits, put_tensor
from mla_train.nn import ReconstructionTarget


@dataclass
class FeatureSpec:
    """Statistics of feature vectors.

    Attributes:
        mean: Mean of each feature over the steps of the training split.
        std: Standard deviation of each feature over the steps of the training split; 1 where it never changes.
    """

    carried: ClassVar = ("mean", "std")

    mean: list[float]
    std: list[float]


@dataclass
class FeatureTensors:
    """A batch of feature vectors.

    Attributes:
        values: Unscaled, `(batch, length, width)`.
        padding: True at padding, `(batch, length)`.
    """

    values: Tensor
    padding: Tensor


class FeatureEmbedding(Embedding):
    """Scaled features, projected."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: TrainConfig, spec: FeatureSpec) -> None:
        super().__init__()
        self.reconstruction_size = len(spec.mean)
        self.register_buffer("mean", torch.tensor(spec.mean))
        self.register_buffer("std", torch.tensor(spec.std))
        self.project = nn.Linear(len(spec.mean), config.encoder.dim)
        self.side_paths = nn.ModuleDict()

    def scaled(self, values: Tensor) -> Tensor:
        """Features with mean 0 and standard deviation 1."""
        return (values - self.mean) / self.std

    def forward(self, tensors: FeatureTensors) -> ModalityFeatures:
        """Tokens `(batch, length, dim)`."""
        return ModalityFeatures(self.project(self.scaled(tensors.values)), tensors.padding)

    def reconstruction_target(self, tensors: FeatureTensors) -> ReconstructionTarget:
        """Scaled features of steps that are no padding."""
        values = self.scaled(tensors.values)
        return ReconstructionTarget(values, (~tensors.padding).unsqueeze(-1).expand_as(values))


@dataclass
class FeatureColumn(ListColumn):
    """Vectors, or sequences of vectors, of a split."""

    def raw(self, index: int) -> np.ndarray:
        """A vector `(width,)`, or several `(length, width)`; a vector of zeros is no padding."""
        value = self.values[index]
        return value[0] if len(value) == 1 else value


class Features(Modality[FeatureSpec]):
    """Vectors, or sequences of vectors; columns hold arrays `(length, width)`, unscaled, a vector with length 1."""

    kind = "features"
    spec_class = FeatureSpec
    embedding_class = FeatureEmbedding

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> ListColumn:
        """Takes arrays `(width,)` or `(length, width)` of one width; None, empty ones, and several steps of zeros are missing."""
        arrays = load_arrays(values, names, _vectors, "features")
        padded = sum(
            np.ndim(value) == 2 and len(value) > len(array) for value, array in zip(values, arrays, strict=True)
        )
        if padded:
            notes.append(
                f"{padded:,} sequences of features have steps of zeros at their ends, which are taken for padding and not read"
            )
        broken = [i for i, array in enumerate(arrays) if not np.isfinite(array).all()]
        for i in broken:
            arrays[i] = arrays[i][:0]
        return FeatureColumn(arrays, broken)

    @classmethod
    def fit(cls, train: ListColumn, options: Any) -> Self:
        """Mean and standard deviation of each feature over all steps."""
        values = [value for value in train.values if len(value)]
        if train.known is not None and len(train.known.mean) == values[0].shape[1]:
            return cls(train.known)
        steps = sum(map(len, values))
        mean = sum(value.sum(0, dtype=np.float64) for value in values) / steps
        std = np.sqrt(sum(((value - mean) ** 2).sum(0) for value in values) / steps)
        return cls(FeatureSpec(np.asarray(mean).tolist(), np.where(std < 1e-9, 1.0, std).tolist()))

    def preprocess(self, values: Sequence[Any]) -> ListColumn:
        """Takes what `load` takes, or lists of numbers, of the width that the model reads."""
        arrays = preprocess_arrays(values, _vectors, len(self.spec.mean), "features")
        for value, array in zip(values, arrays, strict=True):
            if not np.isfinite(array).all():
                raise UserError(f"features with a value that is no finite number: {value!r:.60}")
        return FeatureColumn(arrays)

    def collate(self, examples: Sequence[np.ndarray | None]) -> FeatureTensors:
        """Pads sequences to the longest."""
        nothing = np.zeros((0, len(self.spec.mean)), np.float32)
        arrays = [nothing if example is None else example for example in examples]
        return FeatureTensors(*pad_stack([torch.from_numpy(array) for array in arrays]))

    def explain(self, name: str, embedding: Any, tensors: FeatureTensors, raw: Any) -> InputExplanation:
        """Steps as units, which are left out; gradients are taken with respect to features."""
        values = tensors.values
        units = WordUnits([f"{name} {step + 1}" for step in range(values.size(1))])

        def occlude(kept: np.ndarray) -> list[Any]:
            steps = values[0].numpy()
            return [steps[row.astype(bool)] for row in kept]

        baseline = torch.tensor(self.spec.mean).expand_as(values)  # the mean carries no information
        numbers = GradientInput(values, baseline, lambda values: values[0].sum(-1), put_tensor(name, "values"))
        places = torch.arange(len(units))
        return InputExplanation(units, places, places.unsqueeze(1), occlude, [numbers])

    @classmethod
    def example_values(cls, count: int) -> list[np.ndarray]:
        """Random sequences of different length."""
        generator = np.random.default_rng(0)
        return [generator.standard_normal((1 + i % 4, 3)).astype(np.float32) for i in range(count)]


def _vectors(value: Any) -> np.ndarray:
    """`(length, width)`, of several steps without those of zeros at both ends: MMSA pads CMU-MOSI so, missing examples throughout."""
    with np.errstate(over="ignore"):  # too large numbers become infinite, and are refused as such
        steps = np.asarray(value, dtype=np.float32)
    if steps.ndim == 1:
        return steps[None]
    present = np.flatnonzero(steps.any(1))
    return steps[present[0] : present[-1] + 1] if len(present) else steps[:0]
