"""How often a picture shows what pictures often show: a bag of visual words (Csurka et al. 2004).

Words are the centres of clusters of whitened patches (Coates, Lee & Ng 2011), found by `mla_train.data.visual_words`. Each patch
of a picture says the word it is nearest to, a little also the next ones, and a part of the picture counts what its patches
say. Nothing of it is learnt by gradients: a few hundred pictures are enough.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 2  # parts of the shorter side in which words are counted
CHUNK = 8  # pictures at a time: what all patches say of all words is large, and faster while it fits the cache
LENGTH = 8.0  # of what is told of a picture: at 1 some hundred steps of Adam learn too little from it
LEAST = 1e-6  # a share of patches whose root has a gradient still


class VisualWords(nn.Module):
    """Pictures to counts of words, in units of their spread over the training pictures.

    Args:
        channels: Of the pictures.
        image_size: Height and width.
        count: Number of words.
        side: Of a patch, in pixels.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, channels: int, image_size: tuple[int, int], count: int, side: int) -> None:
        super().__init__()
        self.count, self.side = count, side
        shortest = min(image_size)
        self.stride = max(1, shortest // 32)
        height, width = image_size
        self.parts = round(ROWS * height / shortest), round(ROWS * width / shortest)
        self.width = count * self.parts[0] * self.parts[1]
        self.register_buffer("weight", torch.zeros(count, channels, side, side))
        self.register_buffer("bias", torch.zeros(count))
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))

    @torch.no_grad()
    def begin(self, weight: Tensor, bias: Tensor, images: Tensor) -> None:
        """Takes words, and what pictures usually say.

        Args:
            weight: `(count, channels, side, side)`, as `mla_train.data.visual_words.Words` has it.
            bias: `(count,)`.
            images: Of the training split, 0 to 255 `(pictures, channels, height, width)`.
        """
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        counts = self.counts(images)
        self.mean.copy_(counts.mean(0))
        self.std.copy_(counts.std(0, correction=0).clamp(min=1e-3))

    def said(self, images: Tensor) -> Tensor:
        """How much each patch says each word, `(batch, count, rows, columns)`; sums to one over words."""
        # Exact even in mixed precision: what is nearest is settled by small differences of large numbers.
        with torch.autocast(images.device.type, enabled=False):
            x = images.float().contiguous(memory_format=torch.channels_last)
            nearness = F.conv2d(x, self.weight.float(), self.bias.float(), self.stride)
            return nearness.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2)

    def counts(self, images: Tensor) -> Tensor:
        """Roots of the share of patches that say a word in a part, `(batch, width)`; roots, as rare ones tell more."""
        found = [F.adaptive_avg_pool2d(self.said(some), self.parts).flatten(1) for some in images.split(CHUNK)]
        return torch.cat(found).clamp(min=LEAST).sqrt()

    def forward(self, images: Tensor) -> Tensor:
        """Pictures 0 to 255 `(batch, channels, height, width)` to `(batch, width)`, of a length about `LENGTH`."""
        return LENGTH / self.width**0.5 * (self.counts(images) - self.mean) / self.std
