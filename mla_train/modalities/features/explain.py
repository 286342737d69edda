"""The units of a sequence of features: its steps."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.modalities.explanation import GradientInput, InputExplanation, WordUnits

if TYPE_CHECKING:
    from mla_train.modalities.features.tensors import FeatureTensors


def explain_features(name: str, mean: list[float], tensors: "FeatureTensors") -> InputExplanation:
    """Steps as units, which are left out; gradients are taken with respect to features.

    Args:
        name: Name of the input.
        mean: Mean of each feature, which carries no information.
        tensors: Batch of the example alone.
    """
    values = tensors.values
    units = WordUnits([f"{name} {step + 1}" for step in range(values.size(1))])

    def put(_: ExitStack, batch: Batch, given: Tensor) -> None:
        batch.inputs[name].values = given

    def occlude(kept: np.ndarray) -> list[Any]:
        steps = values[0].numpy()
        return [steps[row.astype(bool)] for row in kept]

    numbers = GradientInput(values, torch.tensor(mean).expand_as(values), lambda values: values[0].sum(-1), put)
    places = torch.arange(len(units))
    return InputExplanation(units, places, places.unsqueeze(1), occlude, [numbers])
