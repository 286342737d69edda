"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config import FileOptions, GeneratedTextOptions, GenerationOptions, SplitOptions
from mla_train.errors import require


@dataclass
class TranslationConfig(GenerationOptions):
    """Translation of sentences."""

    _target_: str = "tasks.translation.Translation"
    name: str = "translation"


@dataclass
class CldrPhrasesConfig(GeneratedTextOptions):
    """Phrases of CLDR in English and another language, from the package Babel.

    Attributes:
        target_language: Any CLDR language, such as de, fr or pt_BR.
        train_size: Number of training phrases, among them names of territories, languages and scripts.
        val_size: Number of validation phrases.
        test_size: Number of test phrases.
        split_seed: Seed that chooses values and their splits.
    """

    _target_: str = "tasks.translation.read_cldr_phrases"
    name: str = "cldr_phrases"
    vocab_size: int = 2000
    target_language: str | None = "de"
    train_size: int = 60000
    val_size: int = 1000
    test_size: int = 2000
    split_seed: int = 0

    def check(self) -> None:
        """Raises UserError where a size cannot be meant."""
        for split in ("train", "val", "test"):
            size = getattr(self, f"{split}_size")
            require(1 <= size <= 1_000_000, f"data.{split}_size={size}: must lie between 1 and 1,000,000")


class PairNoise(Enum):
    """Pairs that are likely no translations.

    identical: Both sides are equal. ratio: One side is far longer than usual. script: A side is in another script than usual.
    language: A side is written in words of the other one's language.
    """

    identical = "identical"
    ratio = "ratio"
    script = "script"
    language = "language"


@dataclass
class PairFilesConfig(FileOptions, GeneratedTextOptions, SplitOptions):
    """Sentence pairs in jsonl, csv, tsv or parquet files, in two aligned text files, or in a data set on the hub.

    Attributes:
        root: Folder with train, val and test files; the files may be pairs, such as train.en and train.de, whose endings
            are the names of the columns.
        train: Training file, instead of root, or a list of tables; two text files are aligned line by line.
        val: Validation file or files; null cuts a split from train.
        test: Test file or files; null cuts a split from train.
        source_column: Column of the source.
        target_column: Column of the translation.
        drop: Kinds of training pairs that are left out, such as [identical,ratio,script,language]; all kinds are counted. Pairs of val
            and test files stay.
    """

    _target_: str = "tasks.translation.read_pair_files"
    name: str = "pair_files"
    source_column: str = "source"
    target_column: str = "target"
    drop: list[PairNoise] = field(default_factory=list)
    val_share: float = 0.05
    test_share: float = 0.05

    def check(self) -> None:
        """Raises UserError where columns or files cannot be meant."""
        differ = self.source_column != self.target_column
        require(differ, f"data.source_column and data.target_column are both {self.source_column}")
        for split in ("train", "val", "test"):
            files: Any = getattr(self, split)
            named = isinstance(files, list) and bool(files) and all(isinstance(file, str) for file in files)
            require(
                files is None or isinstance(files, str) or named,
                f"data.{split}={files}: must be a file, a list of tables, or two aligned text files: data.{split}=[FILE,FILE]",
            )
