"""Bag of visual words of an image (Csurka et al. 2004).

Visual words are the centres of clusters of whitened patches (Coates, Lee & Ng 2011), learned by
`mla_train.data.visual_words`. Each patch of an image is softly assigned to its nearest words, and each region of the image
counts the words of its patches. Nothing is learned by gradients: a few hundred images are enough.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ROWS = 2  # regions along the shorter side
CHUNK = 8  # images at a time: assignments of all patches to all words are large, and faster in the CPU's cache
LENGTH = 8.0  # length of an output vector: at 1 some hundred steps of Adam learn too little from it
LEAST = 1e-6  # smallest share of patches: the root of 0 has no gradient


class VisualWords(nn.Module):
    """From images to counts of visual words, standardised over the training images.

    Args:
        channels: Number of channels of the images.
        image_size: Height and width.
        count: Number of visual words.
        side: Side of a patch in pixels.
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
        self.regions = round(ROWS * height / shortest), round(ROWS * width / shortest)
        self.width = count * self.regions[0] * self.regions[1]
        self.register_buffer("weight", torch.zeros(count, channels, side, side))
        self.register_buffer("bias", torch.zeros(count))
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("std", torch.ones(self.width))

    @torch.no_grad()
    def init_from_data(self, weight: Tensor, bias: Tensor, images: Tensor) -> None:
        """Sets the words, and mean and standard deviation of their counts.

        Args:
            weight: Filters of the words, `(count, channels, side, side)`.
            bias: Biases of the words, `(count,)`.
            images: Images of the training split, 0 to 255, `(images, channels, height, width)`.
        """
        self.weight.copy_(weight)
        self.bias.copy_(bias)
        counts = self.counts(images)
        self.mean.copy_(counts.mean(0))
        self.std.copy_(counts.std(0, correction=0).clamp(min=1e-3))

    def assignments(self, images: Tensor) -> Tensor:
        """Soft assignment of each patch to words, `(batch, count, rows, columns)`; sums to one over words."""
        # In full precision: the nearest word is decided by small differences of large numbers.
        with torch.autocast(images.device.type, enabled=False):
            x = images.float().contiguous(memory_format=torch.channels_last)
            nearness = F.conv2d(x, self.weight.float(), self.bias.float(), self.stride)
            return nearness.permute(0, 2, 3, 1).softmax(-1).permute(0, 3, 1, 2)

    def counts(self, images: Tensor) -> Tensor:
        """Square roots of the shares of patches of each word in each region, `(batch, width)`."""
        # An exported graph takes batches of any size at once.
        chunks = [images] if torch.compiler.is_exporting() else images.split(CHUNK)
        shares = [F.adaptive_avg_pool2d(self.assignments(chunk), self.regions).flatten(1) for chunk in chunks]
        return torch.cat(shares).clamp(min=LEAST).sqrt()

    def forward(self, images: Tensor) -> Tensor:
        """Images 0 to 255, `(batch, channels, height, width)`, to `(batch, width)` of a length about `LENGTH`."""
        return LENGTH / self.width**0.5 * (self.counts(images) - self.mean) / self.std
