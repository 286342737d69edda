"""From arrays of numbers to sequences of vectors."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from torch import Tensor

from mla_train.config import TrainConfig
from mla_train.data.batch import pad_stack
from mla_train.errors import UserError
from mla_train.modalities.base import Modality
from mla_train.modalities.explanation import InputExplanation
from mla_train.modalities.features.spec import FeatureSpec
from mla_train.modalities.features.tensors import FeatureTensors

if TYPE_CHECKING:
    from mla_train.modalities.features.embed import FeatureEmbedding


@dataclass
class FeatureColumn:
    """Feature vectors of a split, unscaled.

    Attributes:
        values: `(length, width)` for each example; a single vector has length 1, a missing one 0.
        broken: Places of values that hold no finite numbers.
    """

    values: list[np.ndarray]
    broken: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        """Number of examples."""
        return len(self.values)

    def __getitem__(self, index: int) -> Tensor | None:
        """One example, `(length, width)`; None where it is missing."""
        value = self.values[index]
        return torch.from_numpy(np.asarray(value, dtype=np.float32)) if len(value) else None

    def select(self, index: np.ndarray) -> "FeatureColumn":
        """Some of the examples."""
        return FeatureColumn([self.values[i] for i in index])

    def is_missing(self) -> np.ndarray:
        """True where an example has no features, `(examples,)`."""
        return np.array([not len(value) for value in self.values])

    def lengths(self) -> np.ndarray:
        """Number of steps of each example."""
        return np.array([len(value) for value in self.values])

    def raw(self, index: int) -> np.ndarray:
        """One example, `(length, width)`."""
        return self.values[index]

    def keys(self) -> None:
        """Repeats are not counted."""
        return


class Features(Modality[FeatureSpec]):
    """Vectors, or sequences of vectors, each step a token."""

    kind = "features"
    spec_class = FeatureSpec

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> FeatureColumn:
        """Takes arrays `(width,)` or `(length, width)`; None and empty ones are missing.

        Raises:
            UserError: Arrays differ in width.
        """
        arrays = [None if value is None or not len(value) else np.atleast_2d(np.asarray(value)) for value in values]
        width = next((array.shape[-1] for array in arrays if array is not None), 0)
        for name, array in zip(names, arrays, strict=True):
            if array is not None and array.shape[-1] != width:
                raise UserError(
                    f"{name} has {array.shape[-1]} features, the ones before have {width}; give all the same"
                )
        with np.errstate(over="ignore"):
            columns = [
                np.zeros((0, width), np.float32) if array is None else array.astype(np.float32, copy=False)
                for array in arrays
            ]
        broken = [i for i, column in enumerate(columns) if not np.isfinite(column).all()]
        for i in broken:
            columns[i] = columns[i][:0]
        return FeatureColumn(columns, broken)

    @classmethod
    def fit(cls, train: FeatureColumn, options: Any) -> Self:
        """Mean and standard deviation of each feature over all steps."""
        values = [value for value in train.values if len(value)]
        steps = sum(map(len, values))
        mean = sum(value.sum(0, dtype=np.float64) for value in values) / steps
        std = np.sqrt(sum(((value - mean) ** 2).sum(0) for value in values) / steps)
        return cls(FeatureSpec(np.asarray(mean).tolist(), np.where(std < 1e-9, 1.0, std).tolist()))

    def prepare(self, column: FeatureColumn, notes: list[str]) -> FeatureColumn:
        """Features are scaled inside the network."""
        return column

    def preprocess(self, values: Sequence[Any]) -> FeatureColumn:
        """Takes arrays `(width,)` or `(length, width)`, or lists of numbers; None is missing.

        Raises:
            UserError: A value holds no finite numbers, or has another width than the model reads.
        """
        width = len(self.spec.mean)
        arrays = []
        for value in values:
            try:
                array = np.zeros((0, width)) if value is None else np.atleast_2d(np.asarray(value, dtype=np.float32))
            except (TypeError, ValueError):
                raise UserError(f"numbers are needed, not {value!r:.60}: this model reads {width} a step") from None
            if array.shape[-1] != width:
                raise UserError(f"{array.shape[-1]} features are given: this model reads {width} a step")
            if not np.isfinite(array).all():
                raise UserError(f"features with a value that is no finite number: {value!r:.60}")
            arrays.append(array.astype(np.float32))
        return FeatureColumn(arrays)

    def collate(self, examples: Sequence[Tensor | None]) -> FeatureTensors:
        """Pads sequences to the longest."""
        nothing = torch.zeros(0, len(self.spec.mean))
        return FeatureTensors(*pad_stack([nothing if example is None else example for example in examples]))

    def explain(self, name: str, embedding: Any, tensors: FeatureTensors, raw: Any) -> InputExplanation:
        """Steps as units."""
        from mla_train.modalities.features.explain import explain_features

        return explain_features(name, self.spec.mean, tensors)

    @classmethod
    def example_values(cls, count: int) -> list[np.ndarray]:
        """Random sequences of different length."""
        generator = np.random.default_rng(0)
        return [generator.standard_normal((1 + i % 4, 3)).astype(np.float32) for i in range(count)]

    def embedding(self, config: TrainConfig) -> "FeatureEmbedding":
        """A linear map of scaled features."""
        from mla_train.modalities.features.embed import FeatureEmbedding

        return FeatureEmbedding(self.spec, config.encoder.dim)
