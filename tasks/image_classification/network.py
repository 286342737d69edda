"""From pictures to class scores: tokens, the shared encoder, one vector, one matrix."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.nn import (
    AttentionPooling,
    ClassToken,
    ConvTokenizer,
    Encoder,
    MeanPooling,
    PatchEmbedding,
    ReconstructionTarget,
    default_downsample_log2,
    grid_positions,
    image_target,
)
from tasks.image_classification.config import ImageClassificationTaskConfig, Pooling, Positions, Tokenizer
from tasks.image_classification.data import ImageFacts


class ImageClassifier(nn.Module):
    """Pictures in, class scores out.

    Args:
        config: The whole run's.
        facts: Of the pictures.

    Raises:
        ValueError: The pictures are too small for so many halvings.
    """

    positions: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, config: TrainConfig, facts: ImageFacts) -> None:
        super().__init__()
        options = config.task
        assert isinstance(options, ImageClassificationTaskConfig)
        dim, size = config.encoder.dim, (facts.height, facts.width)
        halvings = default_downsample_log2(max(size)) if options.halvings is None else options.halvings
        if halvings < 1 or 2**halvings > min(size):
            raise ValueError(
                f"task.halvings={halvings} does not suit pictures of {size[0]} x {size[1]} pixels; leave it at null"
            )
        self.tokenizer: ConvTokenizer | PatchEmbedding
        if options.tokenizer is Tokenizer.conv:
            self.tokenizer = ConvTokenizer(facts.channels, dim, size, halvings)
        else:
            self.tokenizer = PatchEmbedding(facts.channels, dim, size, 2**halvings)
        rows, columns = self.tokenizer.grid
        rotary = options.positions is Positions.rotary
        self.learned = None if rotary else nn.Parameter(torch.randn(rows * columns, dim) * 0.02)
        self.encoder = Encoder(config.encoder, config.attention, config.regularization, 2 if rotary else 0)
        poolings = {Pooling.mean: MeanPooling(), Pooling.cls: ClassToken(dim), Pooling.attention: AttentionPooling(dim)}
        self.pooling = poolings[options.pooling]
        positions = grid_positions(rows, columns)
        if options.pooling is Pooling.cls:  # the class token stands outside the picture, at its corner
            positions = torch.cat([torch.full((1, 2), -1), positions])
        self.register_buffer("positions", positions, persistent=False)
        self.register_buffer("mean", torch.tensor(facts.mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(facts.std).view(-1, 1, 1))
        self.dropout = nn.Dropout(config.regularization.dropout)
        self.head = nn.Linear(dim, len(facts.classes))
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def scaled(self, images: Tensor) -> Tensor:
        """Pictures 0 to 255 with mean 0 and spread 1."""
        return (images.float() - self.mean) / self.std

    def told(self, images: Tensor) -> ReconstructionTarget:
        """What the encoder reads: the pixels of each cell, none at a class token."""
        found = image_target(self.scaled(images), self.tokenizer.side)
        front = (0, 0, len(self.positions) - found.values.size(1), 0)
        return ReconstructionTarget(F.pad(found.values, front), F.pad(found.known, front))

    def forward(self, images: Tensor) -> Tensor:
        """Class scores.

        Args:
            images: 0 to 255, `(batch, channels, height, width)`.

        Returns:
            `(batch, classes)`.
        """
        x = self.tokenizer(self.scaled(images))
        if self.learned is not None:
            x = x + self.learned
        if isinstance(self.pooling, ClassToken):
            x = self.pooling.prepend(x)
        x = self.encoder(self.dropout(x), self.positions)
        return self.head(self.pooling(x))
