"""What is done to series before they are scaled, and back: functions that rise, so that quantiles stay quantiles."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor


def transformed(values: Any, transform: str) -> Any:
    """Values, an array or a tensor of any shape, after a transform of `config.Transform`."""
    functions = TENSORS if isinstance(values, Tensor) else ARRAYS
    return values if transform == "none" else functions[transform][0](values)


def restored(values: Any, transform: str) -> Any:
    """Values, an array or a tensor of any shape, as they were before a transform of `config.Transform`."""
    functions = TENSORS if isinstance(values, Tensor) else ARRAYS
    return values if transform == "none" else functions[transform][1](values)


def _asinh(values: Tensor) -> Tensor:
    """The inverse of sinh, which onnxruntime lacks for doubles."""
    size = values.abs()
    return values.sign() * torch.log1p(size + size**2 / (1 + (1 + size**2).sqrt()))


def _sinh(values: Tensor) -> Tensor:
    return (values.exp() - (-values).exp()) / 2


Functions = dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]]
"""A transform and its inverse."""
ARRAYS: Functions = {"log": (np.log, np.exp), "log1p": (np.log1p, np.expm1), "asinh": (np.arcsinh, np.sinh)}
TENSORS: Functions = {"log": (torch.log, torch.exp), "log1p": (torch.log1p, torch.expm1), "asinh": (_asinh, _sinh)}
