"""From images to tokens: patches (Dosovitskiy et al. 2020) or convolutions (Hassani et al. 2021, arXiv 2104.05704)."""

from itertools import pairwise
from math import ceil, log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.nn.dropout import Dropout

FIRST_WIDTH = 32  # channels of the first convolution
MOST_CELLS = 8  # a side that a layer reads at once


def default_downsample_log2(size: int) -> int:
    """Number of halvings after which a side of `size` pixels has at most 8 tokens; at least one."""
    return max(1, ceil(log2(size / 8)))


def cells(images: Tensor, side: int) -> Tensor:
    """Cuts images `(batch, channels, height, width)` into squares, row by row, padded below and to the right.

    Returns:
        `(batch, rows * columns, channels * side * side)`.
    """
    height, width = images.shape[-2:]
    return F.unfold(F.pad(images, (0, -width % side, 0, -height % side)), side, stride=side).transpose(1, 2)


class PatchEmbedding(nn.Module):
    """Cuts images into squares and projects each.

    Args:
        channels: Number of channels of the images.
        dim: Width of tokens.
        image_size: Height and width; padded below and to the right where patches do not fit.
        patch_size: Side of a square.
    """

    def __init__(self, channels: int, dim: int, image_size: tuple[int, int], patch_size: int) -> None:
        super().__init__()
        self.side = patch_size
        self.grid = tuple(ceil(side / patch_size) for side in image_size)
        bottom, right = (cells * patch_size - side for cells, side in zip(self.grid, image_size, strict=True))
        self.pad = nn.ZeroPad2d((0, right, 0, bottom))
        self.project = nn.Conv2d(channels, dim, patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """`(batch, channels, height, width)` to `(batch, rows * columns, dim)`, row by row."""
        return self.project(self.pad(images)).flatten(2).transpose(1, 2)


class BatchNorm(nn.BatchNorm2d):
    """Batch normalization (Ioffe and Szegedy 2015, arXiv 1502.03167) whose statistics are frozen with its weights."""

    def forward(self, x: Tensor) -> Tensor:
        """`(batch, channels, height, width)`."""
        if self.weight.requires_grad:
            return super().forward(x)
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class ConvTokenizer(nn.Module):
    """Convolutions that halve the image step by step; their overlap suits small data better than patches.

    The first has 32 channels and each later one twice as many, up to `dim`: most of the time goes into the first.
    Batch normalization learns in fewer steps what images show where there are thousands of different answers; what is read of
    an image then depends on the others of its batch, while training.

    Args:
        channels: Number of channels of the images.
        dim: Width of tokens.
        image_size: Height and width.
        layers: Number of convolutions, each followed by ReLU and a halving.
        norm: Whether the output of each is normalized over the batch.
    """

    def __init__(self, channels: int, dim: int, image_size: tuple[int, int], layers: int, norm: bool = False) -> None:
        super().__init__()
        widths = [channels, *(min(FIRST_WIDTH * 2**i, dim) for i in range(layers))]
        steps: list[nn.Module] = []
        for before, after in pairwise(widths):
            conv = nn.Conv2d(before, after, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(conv.weight)
            norms = [BatchNorm(after)] if norm else []
            steps += [conv, *norms, nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1)]
        if widths[-1] != dim:
            steps.append(nn.Conv2d(widths[-1], dim, 1))
        # Channels last: two to three times as fast on a CPU, and the tokens come out without a copy.
        self.steps = nn.Sequential(*steps).to(memory_format=torch.channels_last)
        self.side = 2**layers
        rows, columns = image_size
        for _ in range(layers):
            rows, columns = ceil(rows / 2), ceil(columns / 2)
        self.grid = (rows, columns)

    def forward(self, images: Tensor) -> Tensor:
        """`(batch, channels, height, width)` to `(batch, rows * columns, dim)`, row by row."""
        return self.steps(images.contiguous(memory_format=torch.channels_last)).flatten(2).transpose(1, 2)


class FlattenedCells(nn.Module):
    """One layer that reads all tokens of an image at their places, as a plain convolutional network does (LeCun et al. 1998).

    Pooling has to learn where something is; this layer knows, and learns it from few images.

    Args:
        dim: Width of tokens.
        grid: Rows and columns of tokens; more than `MOST_CELLS` a side are pooled.
        width: Width of the output.
        dropout: Probability of dropping an input.
    """

    def __init__(self, dim: int, grid: tuple[int, int], width: int, dropout: float) -> None:
        super().__init__()
        self.grid = grid
        kernel = tuple(ceil(side / MOST_CELLS) for side in grid)
        rows, columns = (ceil(side / step) for side, step in zip(grid, kernel, strict=True))
        self.pool = nn.MaxPool2d(kernel, ceil_mode=True)
        self.layer = nn.Linear(dim * rows * columns, width)
        self.dropout = Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """`(batch, rows * columns, dim)` to `(batch, width)`."""
        cells = self.pool(tokens.transpose(1, 2).unflatten(2, self.grid))
        return F.relu(self.layer(self.dropout(cells.flatten(1))))
