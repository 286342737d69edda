"""Hidden patches of windows of a table of series, whose past is scaled by what is visible of it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.heads.base import Predictions
from mla_train.heads.masked_patches import Hidden, MaskedPatches, MaskedPatchSpec


@dataclass
class MaskedWindowSpec(MaskedPatchSpec):
    """How much of a window is hidden.

    Attributes:
        look_back: Number of steps of a window, of which some are hidden.
    """

    look_back: int = 0


class MaskedWindows(MaskedPatches):
    """Numbers of hidden patches of windows, in units of the standard deviation of the training rows; squared error.

    The decoder knows calendar and series of a hidden patch; what it writes is scaled by what is visible of the window.
    """

    spec_class = MaskedWindowSpec
    units_note = "variance: share of the variance of the training rows"

    @classmethod
    def prepare_targets(
        cls, spec: Any, targets: Any, split: str, inputs: Any, columns: Any, notes: list[str]
    ) -> np.ndarray:
        """The row behind each window, which says what val and test hide of it."""
        (column,) = columns.values()
        return column.now

    def labels(self, batch: Batch) -> Predictions:
        """The row behind each window, by which intervals draw those together that overlap."""
        return {"now": batch.targets.cpu().numpy()}

    def places(self, hidden: Hidden) -> Tensor:
        """What is known of the steps of a hidden patch, `(rows, patches, dim)`."""
        tokens = hidden.embedded.tokens
        assert tokens is not None
        return tokens + self.hidden
