"""What heads share that learn without labels: there is nothing to read, to compare new examples with, or to explain."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.errors import UserError
from mla_train.heads.base import Explained, Head, RawTargets


class Unlabelled(Head):
    """A head whose targets are made of the inputs."""

    draws_sums = True

    @classmethod
    def load_targets(cls, targets: RawTargets, options: Any, notes: list[str]) -> tuple[Any, dict[str, np.ndarray]]:
        """Labels, if there are any, are not read."""
        return cls.spec_class(), {split: np.zeros(len(values), np.int64) for split, values in targets.items()}

    @classmethod
    def read_targets(cls, spec: Any, targets: Sequence[Any], options: Any, notes: list[str]) -> tuple[Any, np.ndarray]:
        """There are none in new examples."""
        raise UserError("new examples have no labels to compare with: results.json has the scores of the test split")

    def answer_to_explain(self, features: Any, raw: Mapping[str, Any]) -> Any:
        """There is no one answer."""
        raise UserError(
            f"answers of kind {self.kind} are not explained: explain a model that is trained from this one (init.from=)"
        )

    def explain(self, outputs: Any, batch: Batch) -> Explained:
        """See `answer_to_explain`."""
        return self.answer_to_explain(None, {})


def sums_by_example(values: Tensor, places: Tensor) -> np.ndarray:
    """Sum over the places of each example, `(batch,)`.

    Args:
        values: Value at each place, `(places,)`.
        places: True at these places, `(batch, length)`.
    """
    counts = places.sum(1)
    rows = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    zeros = torch.zeros(len(counts), dtype=torch.double, device=counts.device)
    return zeros.index_add(0, rows, values.double()).cpu().numpy()
