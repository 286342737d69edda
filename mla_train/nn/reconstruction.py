"""The encoder tells its own input: a denoising autoencoder beside the task (Vincent et al. 2008).

In training some of the encoder's input is hidden, as in BERT (Devlin et al. 2018) and masked autoencoders (He et al.
2021, arXiv 2111.06377): a residual stream that carries each token through unchanged could else be read off and would learn nothing.
A matrix for each kind of input then reads it from what the encoder says:

    tokens     cross-entropy over the vocabulary
    numbers    squared error (pixels of a cell, steps of a patch, features), in units of the data's spread

It costs `dim * size` multiplications a token, where `size` is the vocabulary or the count of numbers.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.nn.pictures import cells

HIDDEN = 0.15


@dataclass
class Target:
    """What a call of the encoder is to tell.

    Attributes:
        values: Token numbers `(batch, length)`, or numbers of spread 1 `(batch, length, size)`.
        known: True where there is something to tell, of the same shape.
    """

    values: Tensor
    known: Tensor


@dataclass
class Input:
    """What a call of the encoder reads, as the task has it before it is embedded.

    Attributes:
        size: Size of the vocabulary, or how many numbers a token stands for.
        read: Finds it in a batch.
    """

    size: int
    read: Callable[[Any], Target]


def picture_target(images: Tensor, side: int) -> Target:
    """The pixels of each cell.

    Args:
        images: Of spread 1, `(batch, channels, height, width)`.
        side: Of a cell.
    """
    return Target(cells(images, side), cells(torch.ones_like(images), side) > 0)


class Hiding(nn.Module):
    """Puts a learned vector in the place of a share of tokens, in training.

    Args:
        dim: Width of tokens.
        share: Of tokens that are hidden.
    """

    def __init__(self, dim: int, share: float = HIDDEN) -> None:
        super().__init__()
        self.share = share
        self.token = nn.Parameter(torch.randn(dim) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, length, dim)` to the same shape."""
        if not self.training:
            return x
        hidden = torch.rand(*x.shape[:2], 1, device=x.device) < self.share
        return torch.where(hidden, self.token.to(x.dtype), x)


class Reconstruction(nn.Module):
    """Reads the input of each call of the encoder from its output.

    Args:
        dim: Width of the encoder.
        inputs: Of each call, in order.
    """

    def __init__(self, dim: int, inputs: Sequence[Input]) -> None:
        super().__init__()
        self.decoders = nn.ModuleList(nn.Linear(dim, entry.size) for entry in inputs)

    def forward(self, encoded: Sequence[Tensor], targets: Sequence[Target]) -> Tensor:
        """The error a known number or token, averaged over calls: a scalar.

        Args:
            encoded: What each call of the encoder gave, `(batch, length, dim)`; forward hooks on the task's `Encoder` find it.
            targets: What each was to tell.
        """
        errors = []
        for decoder, x, target in zip(self.decoders, encoded, targets, strict=True):
            if target.values.is_floating_point():
                error = F.mse_loss(decoder(x).float(), target.values.float(), reduction="none")
                error = error.masked_fill(~target.known, 0)
            else:  # the vocabulary is large: only known tokens are looked up
                error = F.cross_entropy(decoder(x[target.known]).float(), target.values[target.known], reduction="none")
            errors.append(error.sum() / target.known.sum().clamp(min=1))
        return torch.stack(errors).mean()
