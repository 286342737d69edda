"""Log-mel spectrograms: how loud each band of frequencies is over time, as hearing divides them.

Each spectrogram is relative to the loudest place of its recording, down to 80 decibels below it, so that the distance to
the microphone and its gain do not matter.
"""

from functools import cache

import numpy as np
import torch

WINDOW, HOP = 0.032, 0.01
"""Length of a window and distance of two, in seconds."""
FLOOR = -80.0
"""Least value in decibels."""
QUIET = 1e-3
"""Power of the loudest place below which a recording is silent: that of a tone 72 decibels below full scale, about."""


@cache
def mel_filters(bands: int, window: int, sample_rate: int) -> np.ndarray:
    """Weights of the frequencies of a window for each band, `(window // 2 + 1, bands)`.

    Triangles whose corners are evenly spaced on the mel scale (O'Shaughnessy 1987), from 0 to half of the sample rate.
    """
    highest = 2595 * np.log10(1 + sample_rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, highest, bands + 2) / 2595) - 1)
    frequencies = np.arange(window // 2 + 1)[:, None] * sample_rate / window
    left, middle, right = corners[:-2], corners[1:-1], corners[2:]
    rising, falling = (frequencies - left) / (middle - left), (right - frequencies) / (right - middle)
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def log_mel(samples: np.ndarray, sample_rate: int, bands: int) -> np.ndarray:
    """The spectrogram of samples `(length,)`, usually from -1 to 1: `(frames, bands)` in decibels from -80 to 0.

    A frame is centred every 10 ms from the first sample on, beyond the ends is silence.
    """
    window, hop = round(WINDOW * sample_rate), round(HOP * sample_rate)
    waves = torch.stft(
        torch.from_numpy(samples / np.float32(max(1, np.abs(samples).max()))),  # whose powers no number might hold
        window,
        hop,
        window=torch.hann_window(window),
        pad_mode="constant",
        return_complex=True,
    )
    power = waves.abs().square().T @ torch.from_numpy(mel_filters(bands, window, sample_rate))
    relative = power / power.max().clamp(min=QUIET)
    return (10 * relative.clamp(min=10 ** (FLOOR / 10)).log10()).numpy().astype(np.float16)


def is_silent(spectrogram: np.ndarray) -> bool:
    """Whether a recording is so quiet that its loudest place is not the reference."""
    return len(spectrogram) > 0 and float(spectrogram.max()) < 0
