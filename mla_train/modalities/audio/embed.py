"""From log-mel spectrograms to tokens: convolutions that halve time and frequency, then all bands of a stretch of time."""

from dataclasses import replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mla_train.config import TrainConfig
from mla_train.modalities.audio.spec import AudioSpec, AudioTensors
from mla_train.modalities.base import Embedding, ModalityFeatures
from mla_train.nn import ReconstructionTarget

WIDTHS = 32, 64, 128  # channels of the convolutions
STRIDES = (2, 2), (2, 2), (1, 2)
"""By how much each reduces time and frequency."""
PATCH = 4
"""Frames in a token."""


class SpectrogramTokenizer(nn.Module):
    """Convolutions over time and frequency, each followed by ReLU; padding stays zero throughout.

    Args:
        bands: Number of bands.
        dim: Width of tokens.
    """

    def __init__(self, bands: int, dim: int) -> None:
        super().__init__()
        convolutions = [
            nn.Conv2d(before, after, 3, stride, padding=1)
            for (before, after), stride in zip(pairwise((1, *WIDTHS)), STRIDES, strict=True)
        ]
        for convolution in convolutions:
            nn.init.kaiming_normal_(convolution.weight)
        # Channels last: two to three times as fast on a CPU.
        self.convolutions = nn.ModuleList(convolutions).to(memory_format=torch.channels_last)
        for _, across in STRIDES:
            bands = -(-bands // across)
        self.project = nn.Linear(WIDTHS[-1] * bands, dim)

    def forward(self, values: Tensor, padding: Tensor) -> Tensor:
        """Scaled spectrograms `(batch, frames, bands)`, True at padding `(batch, frames)`, to `(batch, tokens, dim)`."""
        x = values.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for convolution, stride in zip(self.convolutions, STRIDES, strict=True):
            x = x.masked_fill(padding[:, None, :, None], 0)  # as beyond the edges, however long others in the batch are
            x = F.relu(convolution(x))
            padding = padding[:, :: stride[0]]
        return self.project(x.transpose(1, 2).flatten(2))


class AudioEmbedding(Embedding):
    """Tokens of recordings, one for every four frames: see `Embedding`."""

    patch = PATCH
    mean: Tensor
    std: Tensor

    def __init__(self, config: TrainConfig, spec: AudioSpec) -> None:
        super().__init__()
        self.bands = spec.mel_bands
        self.reconstruction_size = PATCH * self.bands
        self.tokenizer = SpectrogramTokenizer(self.bands, config.encoder.dim)
        self.side_paths = nn.ModuleDict()
        self.register_buffer("mean", torch.tensor(spec.mean))
        self.register_buffer("std", torch.tensor(spec.std))

    def scaled(self, spectrograms: Tensor) -> Tensor:
        """Spectrograms whose bands have mean 0 and standard deviation 1."""
        return (spectrograms - self.mean) / self.std

    def forward(self, tensors: AudioTensors) -> ModalityFeatures:
        """Tokens `(batch, frames / 4, dim)`."""
        tokens = self.tokenizer(self.scaled(tensors.spectrograms), tensors.padding)
        return ModalityFeatures(tokens, tensors.padding[:, ::PATCH])

    def reconstruction_target(self, tensors: AudioTensors) -> ReconstructionTarget:
        """Scaled values of frames that are no padding."""
        known = ~tensors.padding.unsqueeze(-1).expand_as(tensors.spectrograms)
        return ReconstructionTarget(
            self.cut(self.scaled(tensors.spectrograms).transpose(1, 2)), self.cut(known.transpose(1, 2))
        )

    def hide(self, tensors: AudioTensors, hidden: Tensor) -> AudioTensors:
        """Spectrograms whose hidden frames have the mean of each band."""
        frames = hidden.repeat_interleave(PATCH, 1).unsqueeze(-1)
        return replace(tensors, spectrograms=torch.where(frames, self.mean, tensors.spectrograms))

    def cut(self, values: Tensor) -> Tensor:
        """Bands over time `(batch, bands, frames)` as tokens `(batch, frames / 4, bands * 4)`."""
        return values.unflatten(-1, (-1, PATCH)).transpose(1, 2).flatten(2)

    def join(self, values: Tensor) -> Tensor:
        """Tokens as bands over time."""
        return values.unflatten(-1, (-1, PATCH)).transpose(1, 2).flatten(2)

    def count_tokens(self, tensors: AudioTensors) -> int:
        """Number of tokens that are no padding."""
        return int((~tensors.padding[:, ::PATCH]).sum())
