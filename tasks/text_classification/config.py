"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import (
    ClassOptions,
    FileOptions,
    LabelOptions,
    PooledHeadOptions,
    SplitOptions,
    TaskOptions,
    TextColumnOptions,
    TextNetworkOptions,
    TextOptions,
    TokenizerKind,
)


@dataclass
class TextClassificationConfig(TaskOptions, TextNetworkOptions, PooledHeadOptions):
    """Text classification (single or multi-label) or regression."""

    _target_: str = "tasks.text_classification.TextClassification"
    name: str = "text_classification"
    feature_dropout: float | None = 0.5


@dataclass
class LanguageIdConfig(TextOptions, ClassOptions):
    """Messages of Django's catalogs in 20 languages.

    Attributes:
        min_characters: Length of the shortest message.
        split_seed: Seed that chooses the split of each message.
    """

    _target_: str = "tasks.text_classification.read_language_id"
    name: str = "language_id"
    tokens: TokenizerKind = TokenizerKind.char
    lowercase: bool = False
    min_characters: int = 24
    split_seed: int = 0


@dataclass
class TextFilesConfig(FileOptions, TextColumnOptions, TextOptions, LabelOptions, SplitOptions):
    """Texts in jsonl, csv, tsv or parquet files, or in a data set on the Hugging Face hub."""

    _target_: str = "tasks.text_classification.read_texts"
    name: str = "text_files"
