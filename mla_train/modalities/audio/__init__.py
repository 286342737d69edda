"""Recordings: files, bytes or samples, as log-mel spectrograms; tokens of stretches of time."""

from typing import TYPE_CHECKING

from mla_train.lazy import lazy_names

if TYPE_CHECKING:
    from mla_train.modalities.audio.preprocess import Audio, AudioColumn
    from mla_train.modalities.audio.spec import AudioSpec, AudioTensors

__all__ = ["Audio", "AudioColumn", "AudioSpec", "AudioTensors"]

__getattr__ = lazy_names(
    __name__, {"Audio": "preprocess", "AudioColumn": "preprocess", "AudioSpec": "spec", "AudioTensors": "spec"}
)
