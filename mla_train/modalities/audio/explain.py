"""The units of a recording: cells of its spectrogram; attention is over stretches of time."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from mla_train.modalities.audio.embed import PATCH, AudioEmbedding
from mla_train.modalities.audio.log_mel import FLOOR
from mla_train.modalities.audio.spec import AudioTensors
from mla_train.modalities.explanation import CellUnits, GradientInput, InputExplanation, put_tensor

ROWS, MOST_COLUMNS = 8, 32  # cells that are occluded


def explain_audio(name: str, embedding: AudioEmbedding, tensors: AudioTensors) -> InputExplanation:
    """Cells of time and frequency as units, occluded by the mean of each band, as masks do in training.

    See `Modality.explain`.
    """
    spectrogram = tensors.spectrograms[0]
    frames, bands = spectrogram.shape
    real = ~tensors.padding[0]
    tokens, picture = frames // PATCH, spectrogram_image(spectrogram.where(real.unsqueeze(1), FLOOR))
    cells = CellUnits(picture, (min(ROWS, bands), min(tokens, MOST_COLUMNS)), "spectrogram")
    cell = cells.cell.flip(0).T  # of each frame and band

    def gather(values: Tensor) -> Tensor:
        return torch.zeros(len(cells)).index_add(0, cell.flatten(), values[0].flatten())

    def occlude(kept: np.ndarray) -> list[Any]:
        is_kept = torch.from_numpy(kept.astype(bool))[:, cell]
        return [each[real].numpy() for each in torch.where(is_kept, spectrogram, embedding.mean)]

    value = tensors.spectrograms
    pixels = GradientInput(value, torch.full_like(value, FLOOR), gather, put_tensor(name, "spectrograms"))
    steps = torch.arange(tokens)
    times = CellUnits(picture, (1, tokens), "spectrogram")
    # Units of tokens are those of attention: one for each.
    return InputExplanation(cells, steps, steps.unsqueeze(1), occlude, [pixels], attended=times)


def spectrogram_image(spectrogram: Tensor) -> Tensor:
    """A spectrogram `(frames, bands)` as bytes of an image `(1, bands, frames)`, low frequencies at the bottom."""
    return ((spectrogram.float() - FLOOR) * (255 / -FLOOR)).round().byte().T.flip(0).unsqueeze(0)
