"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import (
    AudioOptions,
    ClassFolderOptions,
    ClassOptions,
    CleanOptions,
    FileOptions,
    LabelOptions,
    PooledHeadOptions,
    SplitOptions,
    TaskOptions,
)


@dataclass
class SpeechClassificationConfig(TaskOptions, PooledHeadOptions):
    """Classification of recordings (single or multi-label) or regression."""

    _target_: str = "tasks.speech_classification.SpeechClassification"
    name: str = "speech_classification"


@dataclass
class SyntheticWordsConfig(SplitOptions, AudioOptions, ClassOptions):
    """Words spoken by the synthetic voices of espeak-ng; each voice is in one split."""

    _target_: str = "tasks.speech_classification.read_synthetic"
    name: str = "synthetic_words"
    val_share: float = 0.2


@dataclass
class AudioFolderConfig(ClassFolderOptions, SplitOptions, AudioOptions, ClassOptions, CleanOptions):
    """Recordings in a folder for each class, also with the lists of files of Speech Commands."""

    _target_: str = "tasks.speech_classification.read_folder"
    name: str = "audio_folder"


@dataclass
class AudioTableConfig(FileOptions, AudioOptions, LabelOptions, SplitOptions):
    """Recordings in a column of tables, as paths or as bytes, or in a data set on the Hugging Face hub.

    Attributes:
        audio_column: Column of the recordings; null finds audio, file, path and the like.
    """

    _target_: str = "tasks.speech_classification.read_table"
    name: str = "audio_table"
    audio_column: str | None = None
