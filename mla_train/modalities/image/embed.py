"""From images to tokens, and counts of visual words beside the encoder."""

from dataclasses import replace
from math import sqrt
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import ImageNetworkOptions, ImageTokenizer, Positions, TrainConfig
from mla_train.data.cache import cached
from mla_train.data.visual_words import learn_words
from mla_train.modalities.base import Embedding, ModalityFeatures, hold_linear
from mla_train.modalities.image.spec import ImageSpec, ImageTensors
from mla_train.nn import (
    ConvTokenizer,
    Dropout,
    FlattenedCells,
    PatchEmbedding,
    ReconstructionTarget,
    VisualWords,
    cells,
    default_downsample_log2,
    grid_positions,
    image_target,
)

PATCH = 6  # side of a visual word in pixels
FLATTEN_DROPOUT = 0.5  # of the flattened tokens, where anything is dropped
WORDS_FROM = 2000  # images from which visual words are learned, at most


class VisualWordsEmbedding(nn.Module):
    """Counts of visual words, mapped to a vector; counts are dropped in training."""

    def __init__(self, spec: ImageSpec, count: int, dim: int, dropout: float) -> None:
        super().__init__()
        size = spec.height, spec.width
        self.words = VisualWords(spec.channels, size, count, min(PATCH, *size))
        self.project = nn.Linear(self.words.width, dim, bias=False)
        nn.init.normal_(self.project.weight, std=0.1)
        self.dropout = Dropout(dropout)

    def init_from_data(self, images: Tensor) -> None:
        """Learns the words of training images, `(images, channels, height, width)`."""
        images = images[:: -(-len(images) // WORDS_FROM)]
        weight, bias = cached(learn_words)(images.numpy(), self.words.count, self.words.side)
        self.words.init_from_data(weight, bias, images)

    def forward(self, images: Tensor) -> Tensor:
        """`(batch, channels, height, width)` to `(batch, dim)`."""
        return self.project(self.dropout(self.words(images)))


class ImageEmbedding(Embedding):
    """Tokens of images: see `Embedding`.

    Raises:
        ValueError: The images are too small for so many halvings.
    """

    axes = 2
    positions: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: TrainConfig, spec: ImageSpec) -> None:
        super().__init__()
        options, dim, dropout = config.task, config.encoder.dim, config.regularization.dropout
        network = options if isinstance(options, ImageNetworkOptions) else ImageNetworkOptions()
        size = self.height, self.width = spec.height, spec.width
        log2 = network.downsample_log2
        log2 = default_downsample_log2(int(sqrt(spec.height * spec.width))) if log2 is None else log2
        if log2 < 1 or 2**log2 > min(size):
            raise ValueError(
                f"task.downsample_log2={log2} does not suit images of {size[0]} x {size[1]} pixels; leave it at null"
            )
        self.tokenizer: ConvTokenizer | PatchEmbedding
        if network.tokenizer is ImageTokenizer.patch:
            self.tokenizer = PatchEmbedding(spec.channels, dim, size, 2**log2)
        else:
            norm = network.tokenizer is ImageTokenizer.conv_norm
            self.tokenizer = ConvTokenizer(spec.channels, dim, size, log2, norm)
        self.patch = self.tokenizer.side
        self.reconstruction_size = spec.channels * self.patch**2
        rows, columns = self.tokenizer.grid
        rotary = network.positions is Positions.rotary
        self.rotary_axes = 2 if rotary else 0
        self.learned = None if rotary else nn.Parameter(torch.randn(rows * columns, dim) * 0.02)
        self.side_paths = nn.ModuleDict()
        has_side_paths = getattr(options, "side_paths", True)
        if network.visual_words and has_side_paths:
            width = network.visual_words_dim
            self.side_paths["visual_words"] = VisualWordsEmbedding(spec, network.visual_words, width, dropout)
            self.side_dim = self.linear_width = width
        if network.flatten_dim and has_side_paths:
            rate = FLATTEN_DROPOUT * bool(dropout)
            self.side_paths["flattened"] = FlattenedCells(dim, (rows, columns), network.flatten_dim, rate)
            self.side_dim += network.flatten_dim
        self.register_buffer("positions", grid_positions(rows, columns), persistent=False)
        self.register_buffer("mean", torch.tensor(spec.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(spec.std).view(-1, 1, 1))

    def init_from_data(self, train: Any) -> None:
        """Learns the visual words."""
        if "visual_words" in self.side_paths:
            visual_words: Any = self.side_paths["visual_words"]
            visual_words.init_from_data(train.images[torch.from_numpy(~train.missing)])

    @torch.no_grad()
    def side_table(self, column: Any) -> np.ndarray:
        """Counts of visual words; zeros for missing images."""
        words: Any = self.side_paths["visual_words"].words
        counts = torch.cat([words(images) for images in column.images.split(1000)])
        return counts.masked_fill(torch.from_numpy(column.is_missing()).unsqueeze(1), 0).numpy()

    def set_linear(self, weight: Tensor) -> Tensor:
        """Sets the projection of the counts."""
        path: Any = self.side_paths["visual_words"]
        return hold_linear(path.project.weight.T, weight)

    def scaled(self, images: Tensor) -> Tensor:
        """Images with mean 0 and standard deviation 1."""
        return (images.float() - self.mean) / self.std

    def forward(self, tensors: ImageTensors) -> ModalityFeatures:
        """Tokens `(batch, rows * columns, dim)`, row by row."""
        x = self.tokenizer(self.scaled(tensors.images))
        if self.learned is not None:
            x = x + self.learned
        side = []
        if "visual_words" in self.side_paths:
            side.append(self.side_paths["visual_words"](tensors.images))
        if "flattened" in self.side_paths:
            side.append(self.side_paths["flattened"](x))
        features = torch.cat(side, 1).masked_fill(tensors.padding, 0) if side else None
        return ModalityFeatures(x, tensors.padding.expand(-1, x.size(1)), self.positions, features)

    def reconstruction_target(self, tensors: ImageTensors) -> ReconstructionTarget:
        """Scaled pixels of the cells of images that are present."""
        target = image_target(self.scaled(tensors.images), self.tokenizer.side)
        return ReconstructionTarget(target.values, target.known & ~tensors.padding.unsqueeze(-1))

    def hide(self, tensors: ImageTensors, hidden: Tensor) -> ImageTensors:
        """Images whose hidden cells have the mean colour of the training images."""
        size = self.reconstruction_size
        covered = self.join(hidden.unsqueeze(-1).expand(-1, -1, size).float()) > 0
        return replace(tensors, images=torch.where(covered, self.mean, tensors.images.float()))

    def cut(self, values: Tensor) -> Tensor:
        """Images as cells, row by row."""
        return cells(values, self.tokenizer.side)

    def join(self, values: Tensor) -> Tensor:
        """Cells as images."""
        side, (rows, columns) = self.tokenizer.side, self.tokenizer.grid
        whole = F.fold(values.transpose(1, 2), (rows * side, columns * side), side, stride=side)
        return whole[..., : self.height, : self.width]

    def count_tokens(self, tensors: ImageTensors) -> int:
        """Cells of the images that are present."""
        return int((~tensors.padding).sum()) * len(self.positions)
