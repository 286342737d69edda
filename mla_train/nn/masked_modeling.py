"""Masked modeling: the encoder predicts its own input, a denoising autoencoder beside the task (Vincent et al. 2008).

In training some tokens are masked, as in BERT (Devlin et al. 2018) and masked autoencoders (He et al.
2021, arXiv 2111.06377): otherwise the residual stream could carry each token through unchanged and learn nothing. One
linear layer for each input predicts it from the encoder's output:

    tokens     cross-entropy over the vocabulary
    numbers    squared error (pixels of a cell, steps of a patch, features), in units of the data's standard deviation

It costs `dim * size` multiplications a token, where `size` is the size of the vocabulary or the number of values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.nn.image_tokenizers import cells

MASK_SHARE = 0.15


@dataclass
class ReconstructionTarget:
    """What one call of the encoder has to predict.

    Attributes:
        values: Token ids, `(batch, length)`, or numbers of standard deviation 1, `(batch, length, size)`.
        known: True where there is something to predict, of the same shape.
    """

    values: Tensor
    known: Tensor


@dataclass
class ReconstructionInput:
    """The input of one call of the encoder, before it is embedded.

    Attributes:
        size: Size of the vocabulary, or number of values of a token.
        target: From a batch to the target of the call.
    """

    size: int
    target: Callable[[Any], ReconstructionTarget]


def image_target(images: Tensor, side: int) -> ReconstructionTarget:
    """The pixels of each cell of images `(batch, channels, height, width)` of standard deviation 1."""
    return ReconstructionTarget(cells(images, side), cells(torch.ones_like(images), side) > 0)


class TokenMasking(nn.Module):
    """Replaces a share of tokens by a learned vector, in training."""

    def __init__(self, dim: int, share: float = MASK_SHARE) -> None:
        super().__init__()
        self.share = share
        self.token = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, dim)` to the same shape."""
        if not self.training:
            return x
        masked = torch.rand(*x.shape[:2], 1, device=x.device) < self.share
        return torch.where(masked, self.token.to(x.dtype), x)


class Reconstruction(nn.Module):
    """Predicts the input of each call of the encoder from its output."""

    def __init__(self, dim: int, inputs: Sequence[ReconstructionInput]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(nn.Linear(dim, entry.size) for entry in inputs)

    def forward(self, encoded: Sequence[Tensor], targets: Sequence[ReconstructionTarget]) -> Tensor:
        """Mean error of known numbers or tokens over calls of the encoder, whose outputs are `(batch, length, dim)`."""
        errors = []
        for decoder, x, target in zip(self.decoders, encoded, targets, strict=True):
            if target.values.is_floating_point():
                error = F.mse_loss(decoder(x).float(), target.values.float(), reduction="none")
                error = error.masked_fill(~target.known, 0)
            else:  # the vocabulary is large: logits of known tokens only
                error = F.cross_entropy(decoder(x[target.known]).float(), target.values[target.known], reduction="none")
            errors.append(error.sum() / target.known.sum().clamp(min=1))
        return torch.stack(errors).mean()
