"""From recordings to log-mel spectrograms."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F

from mla_train.config import AudioOptions, Augmentation
from mla_train.data.batch import pad_stack
from mla_train.data.cache import cached
from mla_train.errors import UserError, few
from mla_train.modalities.audio.embed import PATCH, AudioEmbedding
from mla_train.modalities.audio.log_mel import is_silent, log_mel
from mla_train.modalities.audio.spec import AudioSpec, AudioTensors
from mla_train.modalities.base import ListColumn, Modality
from mla_train.modalities.explanation import InputExplanation
from mla_train.modalities.sources import as_source, stamps_of


@dataclass
class AudioColumn(ListColumn):
    """Spectrograms of a split: `(frames, bands)` for each example, see `log_mel`; no frames where there is none.

    Attributes:
        broken: What is wrong with recordings that cannot be read, by their places.
        sources: Files that they come from; None where they come from memory.
    """

    broken: Any = field(default_factory=dict)
    sources: list[Any] | None = None

    def select(self, index: np.ndarray) -> Self:
        """Some of the recordings."""
        return replace(super().select(index), sources=None)

    def lengths(self) -> np.ndarray:
        """Number of tokens of each recording."""
        return -(-np.array([len(each) for each in self.values]) // PATCH)

    def keys(self) -> list[Any] | None:
        """The files; None where recordings come from memory."""
        return self.sources

    def contents(self) -> list[bytes | None]:
        """A hash of each spectrogram, so that copies of other names and formats without loss are equal, too."""
        return [blake2b(each.tobytes(), digest_size=16).digest() if len(each) else None for each in self.values]


class Audio(Modality[AudioSpec]):
    """Recordings as log-mel spectrograms."""

    kind = "audio"
    spec_class = AudioSpec
    embedding_class = AudioEmbedding

    @classmethod
    def load(cls, values: Sequence[Any], names: Sequence[str], options: Any, notes: list[str]) -> AudioColumn:
        """Reads recordings: files, the bytes of files, samples `(length,)` at `data.sample_rate`, or spectrograms.

        Raises:
            UserError: No recording can be read.
        """
        audio = options if isinstance(options, AudioOptions) else AudioOptions()
        spec = AudioSpec(audio.sample_rate, audio.mel_bands, audio.max_seconds)
        sources = [as_source(value) for value in values]
        if any(isinstance(value, np.ndarray) for value in values):
            return AudioColumn([_array(value, spec) for value in values])
        from mla_train.modalities.audio.decode import Header, read_recordings  # soundfile

        in_memory = any(isinstance(source, bytes) for source in sources)
        read = cached(read_recordings, ignore=[] if in_memory else ["sources"])  # for which their stamps speak
        frames, lengths, stored, broken = read(
            sources, spec.sample_rate, spec.mel_bands, spec.max_seconds, stamps_of(sources)
        )
        spectrograms = np.split(frames, np.cumsum(lengths)[:-1])
        strange = [i for i, (value, source) in enumerate(zip(values, sources, strict=True)) if value and not source]
        broken = dict(sorted((broken | dict.fromkeys(strange, "it is neither a path nor bytes")).items()))
        if not lengths.any():
            first = next(iter(broken), None)
            shown = (
                "all are empty" if first is None else f"{few([names[i] for i in broken])}; the first: {broken[first]}"
            )
            raise UserError(f"no recording can be read: {shown}. Check the paths")
        headers = {names[i]: Header(*each) for i, each in enumerate(stored) if each is not None}
        silent = [name for name, each in zip(names, spectrograms, strict=True) if is_silent(each)]
        notes += _notes(headers, silent, spec)
        return AudioColumn(spectrograms, broken, None if in_memory else sources)

    @classmethod
    def fit(cls, train: AudioColumn, options: Any) -> Self:
        """Mean and standard deviation of each band over all frames."""
        audio = options if isinstance(options, AudioOptions) else AudioOptions()
        spec = AudioSpec(
            audio.sample_rate, next(each.shape[1] for each in train.values if len(each)), audio.max_seconds
        )
        known = train.known
        if known is not None and (known.mel_bands, known.sample_rate) == (spec.mel_bands, spec.sample_rate):
            return cls(replace(spec, mean=known.mean, std=known.std))
        present = [each for each in train.values if len(each)]
        count = sum(map(len, present))
        mean = sum(each.sum(0, dtype=np.float64) for each in present) / count
        square = sum(((each - mean) ** 2).sum(0) for each in present) / count
        return cls(replace(spec, mean=mean.tolist(), std=np.sqrt(square).clip(min=1.0).tolist()))

    def preprocess(self, values: Sequence[Any]) -> AudioColumn:
        """Reads files, bytes of files, samples `(length,)` at the rate of the model, or spectrograms; None is missing."""
        return AudioColumn([self._read(value) for value in values])

    def _read(self, value: Any) -> np.ndarray:
        if value is None or isinstance(value, np.ndarray) or (isinstance(value, str) and not value):
            return _array(value, self.spec)
        from mla_train.modalities.audio.decode import UnreadableError, read_recording

        source = as_source(value)
        name = "the recording" if source is None or isinstance(source, bytes) else str(source)
        if source is None:
            raise UserError(f"{name} cannot be read: it is neither a path nor the bytes of a file")
        if isinstance(source, Path) and not source.is_file():
            raise UserError(f"{name}: there is no such file ({source.resolve()})")
        spec = self.spec
        try:
            return read_recording(source, spec.sample_rate, spec.mel_bands, spec.max_seconds)[0]
        except UnreadableError as error:
            raise UserError(f"{name} cannot be read: {error}") from error

    def collate(self, examples: Sequence[np.ndarray | None]) -> AudioTensors:
        """Pads spectrograms to the longest, and to whole tokens."""
        nothing = np.zeros((0, self.spec.mel_bands), np.float16)
        frames = [torch.from_numpy(nothing if each is None else each).float() for each in examples]
        spectrograms, padding = pad_stack(frames)
        lacking = -padding.size(1) % PATCH
        return AudioTensors(F.pad(spectrograms, (0, 0, 0, lacking)), F.pad(padding, (0, lacking), value=True))

    def augmentation(self, level: Augmentation, options: Any) -> Callable[[np.ndarray], np.ndarray] | None:
        """Stretches, shifts, noise, and masks of time and frequency."""
        if level is Augmentation.none:
            return None
        from mla_train.modalities.audio.augment import SpectrogramTransform

        return SpectrogramTransform(level, self.spec.mean)

    def explain(self, name: str, embedding: AudioEmbedding, tensors: AudioTensors, raw: Any) -> InputExplanation:
        """Cells of the spectrogram as units."""
        from mla_train.modalities.audio.explain import explain_audio

        return explain_audio(name, embedding, tensors)

    @classmethod
    def example_values(cls, count: int) -> list[np.ndarray]:
        """Short tones of different pitch and length."""
        times = np.arange(16_000) / 16_000
        return [np.sin((2000 + 600 * i) * times[: 4000 + 900 * (i % 4)]).astype(np.float32) for i in range(count)]


def _array(value: Any, spec: AudioSpec) -> np.ndarray:
    """A spectrogram from samples, or as it is; empty where nothing is given."""
    if value is None or (isinstance(value, str) and not value):
        return np.zeros((0, spec.mel_bands), np.float16)
    if isinstance(value, np.ndarray) and value.ndim == 1 and len(value) and np.isfinite(value).all():
        most = int(spec.max_seconds * spec.sample_rate)
        return log_mel(value[:most].astype(np.float32), spec.sample_rate, spec.mel_bands)
    if isinstance(value, np.ndarray) and value.ndim == 2 and value.shape[1] == spec.mel_bands:
        return value.astype(np.float16)
    raise UserError(f"samples of shape (length,) from -1 to 1 at {spec.sample_rate:,} Hz are needed, not {value!r:.60}")


def _notes(headers: Any, silent: Sequence[str], spec: AudioSpec) -> list[str]:
    """What is changed of recordings as they are read."""
    rate, lines = spec.sample_rate, []
    others = {name: each for name, each in headers.items() if each.sample_rate != rate}
    if others:
        rates = few([f"{each:,}" for each in sorted({each.sample_rate for each in others.values()})])
        lines.append(f"{len(others):,} recordings have {rates} Hz and are resampled to {rate:,} (data.sample_rate)")
    several = [name for name, each in headers.items() if each.channels > 1]
    if several:
        lines.append(f"{len(several):,} recordings have several channels, which are mixed down: {few(several)}")
    long = [name for name, each in headers.items() if each.seconds > spec.max_seconds]
    if long:
        lines.append(
            f"{len(long):,} recordings are longer than {spec.max_seconds:g} seconds, of which their beginning is read "
            f"(data.max_seconds): {few(long)}"
        )
    if silent:
        lines.append(f"{len(silent):,} recordings are silent: {few(silent)}")
    return lines
