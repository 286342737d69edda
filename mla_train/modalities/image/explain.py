"""The units of an image: its cells."""

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mla_train.data.batch import Batch
from mla_train.modalities.explanation import CellUnits, GradientInput, InputExplanation, occlude_cells

if TYPE_CHECKING:
    from mla_train.modalities.image.embed import ImageEmbedding
    from mla_train.modalities.image.tensors import ImageTensors


def explain_image(
    name: str, mean: list[float], embedding: "ImageEmbedding", tensors: "ImageTensors"
) -> InputExplanation:
    """Cells as units, occluded by the mean colour; gradients are taken with respect to pixels.

    Args:
        name: Name of the input.
        mean: Mean colour of the training images.
        embedding: Embedding of the image.
        tensors: Batch of the image alone.
    """
    rows, columns = embedding.tokenizer.grid
    cells = CellUnits(tensors.images[0], (rows, columns))
    value = cells.image.unsqueeze(0).float()

    def gather(pixels: Tensor) -> Tensor:
        return torch.zeros(len(cells)).index_add(0, cells.cell.flatten(), pixels[0].sum(0).flatten())

    def put(_: ExitStack, batch: Batch, values: Tensor) -> None:
        batch.inputs[name].images = values

    def occlude(kept: np.ndarray) -> list[Any]:
        return list(occlude_cells(cells, kept, torch.tensor(mean)))

    # At the mean colour all features would be zero, where the norms of the encoder are not continuous: black.
    pixels = GradientInput(value, torch.zeros_like(value), gather, put)
    return InputExplanation(cells, torch.arange(len(cells)), embedding.positions, occlude, [pixels])
