"""Rotary position embedding in one and two dimensions (Su et al. 2021, arXiv 2104.09864)."""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Rotation(NamedTuple):
    """Cosines and sines of angles, computed once a forward pass and shared by all layers.

    Both are `(length, rope_dim / 2)` or `(batch, length, rope_dim / 2)`.
    """

    cos: Tensor
    sin: Tensor


class RotaryEmbedding(nn.Module):
    """Turns positions into rotations.

    Args:
        dim: Width that is rotated (qk_rope_head_dim of mla, head_dim of the others).
        axes: 1 for sequences, 2 for images: half of the width then turns with the row, half with the column.
        theta: Base of the frequencies.

    Raises:
        ValueError: The width does not split into pairs for each axis.
    """

    inv_freq: Tensor

    def __init__(self, dim: int, axes: int = 1, theta: float = 10000.0) -> None:
        super().__init__()
        if dim % (2 * axes):
            raise ValueError(
                f"{axes}-D rotary positions need a width divisible by {2 * axes}, got {dim}: change attention.qk_rope_head_dim "
                "(mla; half of encoder.dim / encoder.num_heads by default) or encoder.dim"
            )
        self.axes = axes
        width = dim // axes
        exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
        self.register_buffer("inv_freq", theta**-exponents, persistent=False)

    def forward(self, positions: Tensor) -> Rotation:
        """Rotations of positions `(length,)` or `(batch, length)`, which have a last dimension of 2 with two axes."""
        if self.axes == 1:
            positions = positions.unsqueeze(-1)
        angles = (positions.unsqueeze(-1).float() * self.inv_freq).flatten(-2)
        return Rotation(angles.cos(), angles.sin())


def rotate(x: Tensor, rotation: Rotation) -> Tensor:
    """Rotates the last dimension of `(batch, heads, length, rope_dim)`, first half against second half."""
    cos, sin = (part.to(x.dtype) for part in rotation)
    if cos.dim() == 3:
        cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def grid_positions(rows: int, columns: int) -> Tensor:
    """Row and column of each cell of an image, row by row: `(rows * columns, 2)`."""
    return torch.cartesian_prod(torch.arange(rows), torch.arange(columns))
