"""A depthwise convolution over neighbours in front of a block's attention.

Attention has to learn what is near; a convolution does not. Conformer (Gulati et al. 2020, arXiv 2005.08100) has one in each
block for sequences, CoAtNet (Dai et al. 2021, arXiv 2106.04803) and conditional positions (Chu et al. 2021, arXiv
2102.10882) for images.

    x = x + W gelu(depthwise(norm(x)))

Each channel reads `KERNEL[axes]` tokens along each axis; the cost is `dim² + dim * kernel` multiplications a token.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import EncoderConfig, RegularizationConfig
from mla_train.nn.layers import ResidualDropout, build_norm

KERNEL = {1: 5, 2: 3}


class Grid(NamedTuple):
    """Rows of cells that hold the tokens.

    Attributes:
        rows: Number of rows.
        columns: Number of cells in a row.
        cell: Cell of each token, counted row by row, `(length,)` or `(batch, length)`; None if token i is in cell i.
    """

    rows: int
    columns: int
    cell: Tensor | None = None


def build_grid(positions: Tensor | None, length: int, axes: int = 1) -> Grid:
    """The grid of some positions.

    Args:
        positions: Positions of tokens: None for a sequence; `(length,)` or `(batch, length)`, where a position that does
            not follow the one before starts another sequence; `(length, 2)` or `(batch, length, 2)`, row and column.
        length: Number of tokens.
        axes: Number of axes of the positions; 0 follows their shape.
    """
    if positions is None:
        return Grid(1, length)
    if axes == 2 or (axes == 0 and positions.shape[-2:] == (length, 2)):
        row, column = (positions - positions.flatten(0, -2).amin(0)).unbind(-1)
    else:
        starts = F.pad(positions.diff(dim=-1) != 1, (1, 0))
        row = starts.cumsum(-1)
        counted = torch.arange(length, device=positions.device)
        column = counted - (counted * starts).cummax(-1).values
    rows, columns = int(row.max()) + 1, int(column.max()) + 1
    return Grid(rows, columns, row * columns + column)


class LocalConvolution(nn.Module):
    """A residual branch that convolves tokens with their neighbours.

    Args:
        encoder: Width and norm.
        regularization: Dropout rates.
        rotary_axes: 2 for images; otherwise tokens are one or several sequences.
        drop_path: Probability of skipping the branch.
    """

    def __init__(
        self, encoder: EncoderConfig, regularization: RegularizationConfig, rotary_axes: int = 1, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        axes = max(rotary_axes, 1)
        size = KERNEL[axes]
        self.kernel = (size if axes == 2 else 1, size)
        self.norm = build_norm(encoder.norm, encoder.dim)
        self.depthwise = nn.Conv2d(encoder.dim, encoder.dim, self.kernel, groups=encoder.dim)
        self.out = nn.Linear(encoder.dim, encoder.dim, bias=False)
        self.residual = ResidualDropout(regularization.dropout, drop_path)

    def forward(self, x: Tensor, grid: Grid, key_padding_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """`(batch, length, dim)` to the same shape; padding counts as zeros, causal tokens read those to their left.

        Raises:
            ValueError: A convolution over an image cannot be causal.
        """
        rows, columns = self.kernel
        if is_causal and rows > 1:
            raise ValueError("a convolution over an image cannot be causal: use encoder.block=attention")
        tokens = self.norm(x)
        if key_padding_mask is not None:
            tokens = tokens.masked_fill(key_padding_mask.unsqueeze(-1), 0)
        # Causal: the kernel reaches to the left only, and outputs past the last column are cut off.
        reach = rows // 2, columns - 1 if is_causal else columns // 2
        weight, bias = self.depthwise.weight, self.depthwise.bias
        cells = F.conv2d(_to_cells(tokens, grid), weight, bias, padding=reach, groups=len(weight))
        convolved = _from_cells(cells[..., : grid.columns], grid)
        return x + self.residual(self.out(F.gelu(convolved)))


def _to_cells(x: Tensor, grid: Grid) -> Tensor:
    """`(batch, length, dim)` to `(batch, dim, rows, columns)`; cells without a token hold zeros."""
    if grid.cell is not None:
        index = grid.cell.expand(x.shape[:2]).unsqueeze(-1).expand_as(x)
        x = x.new_zeros(len(x), grid.rows * grid.columns, x.size(-1)).scatter(1, index, x)
    return x.transpose(1, 2).unflatten(2, (grid.rows, grid.columns))


def _from_cells(x: Tensor, grid: Grid) -> Tensor:
    """`(batch, dim, rows, columns)` to `(batch, length, dim)`."""
    x = x.flatten(2).transpose(1, 2)
    if grid.cell is None:
        return x
    index = grid.cell.expand(len(x), -1)
    return x.gather(1, index.unsqueeze(-1).expand(-1, -1, x.size(-1)))
