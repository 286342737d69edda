"""A picture as people see it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mla_train.explain.explanation import (
    CellUnits,
    Explanation,
    image_gradient_input,
    occlude_cells,
    self_attention_view,
)
from mla_train.nn import AttentionPooling, ClassToken
from mla_train.training.task import Raw
from tasks.image_classification.data import ImageBatch

if TYPE_CHECKING:
    from tasks.image_classification.task import ImageClassificationTask


@torch.no_grad()
def view_picture(task: "ImageClassificationTask", raw: Raw) -> Explanation:
    """Cells over cells; cells as units, which the mean colour of training pictures takes the place of.

    Args:
        task: With its network.
        raw: The picture.
    """
    batch, network = task.read([raw]), task.network
    rows, columns = network.tokenizer.grid
    cells = CellUnits(batch.images[0], (rows, columns))
    layers = network.encoder.attention_layers
    of, places = torch.arange(len(cells)), network.positions.float()
    if isinstance(network.pooling, ClassToken):  # it stands in front, outside of the picture
        of, places = torch.cat([torch.tensor([-1]), of]), places.clone()
        places[0] = torch.nan
    view = self_attention_view(
        "patches over the picture", layers, cells, of, positions=places, query_weights=_asked(task, batch)
    )
    mean = torch.tensor(task.facts.mean)

    def occlude(kept: np.ndarray) -> ImageBatch:
        return task.read([{"image": picture} for picture in occlude_cells(cells, kept, mean)])

    def outputs(values: Sequence[Tensor]) -> Tensor:
        return network(values[0])

    score, score_name, prediction = task.explained(batch)
    return Explanation(
        batch, prediction, [view], [cells], occlude, score, score_name, [image_gradient_input(cells)], outputs
    )


def _asked(task: "ImageClassificationTask", batch: ImageBatch) -> Tensor | None:
    """How much the token at each place counts in what is judged, `(tokens,)`."""
    network = task.network
    if isinstance(network.pooling, ClassToken):
        return torch.eye(len(network.positions))[0]
    if not isinstance(network.pooling, AttentionPooling):
        return None
    scores: list[Tensor] = []
    hook = network.pooling.score.register_forward_hook(lambda *found: scores.append(found[2]))
    network(batch.images)
    hook.remove()
    return scores[0][0, :, 0].softmax(-1)
