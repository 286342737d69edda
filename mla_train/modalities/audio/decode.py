"""Reading recordings of any rate and number of channels, whole or broken."""

import io
import re
from collections.abc import Sequence
from fractions import Fraction
from math import ceil
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
from tqdm.auto import tqdm

from mla_train.data.packed import check_unpacked
from mla_train.errors import UserError
from mla_train.modalities.audio.log_mel import log_mel
from mla_train.modalities.sources import Source

FORMATS = ("WAV", "WAVEX", "RF64", "AIFF", "FLAC", "OGG", "MP3")
RATES = 4_000, 384_000
"""Lowest and highest sample rate: of others resampling makes no sense, or fills the memory."""
MOST_STEPS = 50_000  # of the denominator of two rates; the nearest such fraction is off by 1 in 50,000 at most
SAMPLE = 4  # bytes of a sample while a recording is read


DECLARED = re.compile(r"^ ?(?:data|SSND) : (\d+) \(should be (\d+)\)", re.MULTILINE)
"""Bytes of samples that a header says, and that there are, where they differ, in the log of libsndfile."""
STREAMED = 2_147_000_000
"""Bytes above which a header says nothing: it was written before the recording was."""
LACKING = 0.01
"""Seconds that may lack at the end, less than a frame."""


class UnreadableError(Exception):
    """What is wrong with a recording that cannot be read."""


class Header(NamedTuple):
    """What a file says of its recording.

    Attributes:
        sample_rate: Samples a second.
        channels: Number of channels.
        seconds: Length.
    """

    sample_rate: int
    channels: int
    seconds: float


def read_recording(source: Source, sample_rate: int, bands: int, max_seconds: float) -> tuple[np.ndarray, Header]:
    """The spectrogram of a recording, `(frames, bands)`, and its header; channels are mixed down.

    Raises:
        UnreadableError: It is no recording, damaged, or of a kind that is not read.
    """
    if isinstance(source, Path) and not source.is_file():  # a pipe would be waited for without end
        raise UnreadableError(f"there is no such file ({source})")
    size = len(source) if isinstance(source, bytes) else source.stat().st_size
    try:
        with soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else source) as file:
            header = Header(file.samplerate, file.channels, file.frames / max(1, file.samplerate))
            wanted = min(file.frames, ceil(max_seconds * file.samplerate))
            if file.format not in FORMATS:
                raise UnreadableError(f"it is a file of the format {file.format}: convert it to wav or flac")
            if not RATES[0] <= file.samplerate <= RATES[1]:
                raise UnreadableError(
                    f"its sample rate is {file.samplerate:,} Hz: from {RATES[0]:,} to {RATES[1]:,} are read, convert it"
                )
            said = DECLARED.search(file.extra_info)
            whole = int(file.frames * int(said[1]) / max(1, int(said[2]))) if said and int(said[1]) < STREAMED else 0
            if min(whole, ceil(max_seconds * file.samplerate)) - wanted > LACKING * file.samplerate:
                raise UnreadableError(f"it ends after {file.frames:,} of {whole:,} samples: it is damaged")
            check_unpacked(wanted * file.channels * SAMPLE, size, f"a recording of {file.channels} channels")
            samples = file.read(wanted, dtype="float32", always_2d=True)
    except UserError as error:
        raise UnreadableError(str(error)) from error
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # those of soundfile, by the kind of damage
        raise UnreadableError("it is damaged, or no recording (wav, flac, ogg, mp3, aiff)") from error
    if len(samples) < wanted:
        raise UnreadableError(f"it ends after {len(samples):,} of {wanted:,} samples: it is damaged")
    if not len(samples):
        raise UnreadableError("it has no samples")
    if not np.isfinite(samples).all():
        raise UnreadableError("a sample is no finite number (NaN or infinite)")
    return log_mel(resampled(samples.mean(1), header.sample_rate, sample_rate), sample_rate, bands), header


def resampled(samples: np.ndarray, old: int, new: int) -> np.ndarray:
    """Samples at another rate, of which what it cannot hold is filtered out."""
    if old == new:
        return samples
    from scipy.signal import resample_poly

    ratio = Fraction(new, old)
    if ratio.denominator > MOST_STEPS:  # of a rate such as 383,999: the filter would have millions of taps
        ratio = ratio.limit_denominator(MOST_STEPS)
    return resample_poly(samples, ratio.numerator, ratio.denominator).astype(np.float32)


def read_recordings(
    sources: Sequence[Source | None], sample_rate: int, bands: int, max_seconds: float, stamps: str = ""
) -> tuple[np.ndarray, np.ndarray, list[Header | None], dict[int, str]]:
    """Reads recordings, of which None is missing; a cache knows files by their stamps.

    Returns:
        Their spectrograms behind each other, `(frames, bands)`; the number of frames of each, 0 where there is none; their
        headers; what is wrong with those that cannot be read, by their places.
    """
    spectrograms, headers, broken = [np.zeros((0, bands), np.float16)], list[Header | None](), dict[int, str]()
    lengths = np.zeros(len(sources), dtype=np.int64)
    bar = tqdm(sources, desc="reading recordings", unit="", disable=len(sources) < 5000 or None, leave=False)
    for place, source in enumerate(bar):
        headers.append(None)
        if source is None:
            continue
        try:
            spectrogram, headers[-1] = read_recording(source, sample_rate, bands, max_seconds)
        except UnreadableError as error:
            broken[place] = str(error)
            continue
        spectrograms.append(spectrogram)
        lengths[place] = len(spectrogram)
    return np.concatenate(spectrograms), lengths, headers, broken
