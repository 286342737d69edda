"""The units of an image: its cells."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.modalities.explanation import CellUnits, GradientInput, InputExplanation, put_tensor
from mla_train.modalities.image.embed import ImageEmbedding
from mla_train.modalities.image.spec import ImageSpec, ImageTensors


def explain_image(name: str, spec: ImageSpec, embedding: ImageEmbedding, tensors: ImageTensors) -> InputExplanation:
    """Cells as units, occluded by the mean colour; gradients are taken with respect to pixels.

    See `Modality.explain`.
    """
    rows, columns = embedding.tokenizer.grid
    cells = CellUnits(tensors.images[0], (rows, columns))
    value = cells.image.unsqueeze(0).float()
    colour = torch.tensor(spec.mean).view(-1, 1, 1).to(cells.image.dtype)

    def gather(pixels: Tensor) -> Tensor:
        return torch.zeros(len(cells)).index_add(0, cells.cell.flatten(), pixels[0].sum(0).flatten())

    def occlude(kept: np.ndarray) -> list[Any]:
        is_kept = torch.from_numpy(kept.astype(bool))[:, cells.cell].unsqueeze(1)
        return list(torch.where(is_kept, cells.image, colour))

    # At the mean colour all features would be zero, where the norms of the encoder are not continuous: black.
    pixels = GradientInput(value, torch.zeros_like(value), gather, put_tensor(name, "images"))
    return InputExplanation(cells, torch.arange(len(cells)), embedding.positions, occlude, [pixels])
