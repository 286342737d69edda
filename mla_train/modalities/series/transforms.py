"""What is done to series before they are scaled, and back: functions that rise, so that quantiles stay quantiles."""

from typing import Any

import numpy as np
import torch

INVERSES = {"log1p": "expm1", "asinh": "sinh"}


def transformed(values: Any, transform: str) -> Any:
    """Values, an array or a tensor of any shape, after a transform of `config.Transform`."""
    library: Any = torch if isinstance(values, torch.Tensor) else np
    return values if transform == "none" else getattr(library, transform)(values)


def restored(values: Any, transform: str) -> Any:
    """Values, an array or a tensor of any shape, as they were before a transform of `config.Transform`."""
    library: Any = torch if isinstance(values, torch.Tensor) else np
    return values if transform == "none" else getattr(library, INVERSES[transform])(values)
