"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field
from enum import Enum

from mla_train.config import OnError, TextOptions, TokenizerKind, check_shares
from mla_train.errors import require


class Pooling(Enum):
    mean = "mean"
    attention = "attention"


@dataclass
class TextClassificationTaskConfig:
    """The network around the encoder.

    Attributes:
        term_dim: Width of the embeddings of terms (words, pairs and pieces of words), which are averaged past the
            encoder, so that the network contains a linear model; 0 is none.
        convolutions: Widths of the convolutions over tokens in front of the encoder; an empty list is none.
        pooling: From tokens to one vector.
        feature_dropout: Dropout of what the encoder and the head read; off where regularization.dropout is 0.
    """

    _target_: str = "tasks.text_classification.TextClassificationTask"
    name: str = "text_classification"
    term_dim: int = 64
    convolutions: list[int] = field(default_factory=list)
    pooling: Pooling = Pooling.attention
    feature_dropout: float = 0.5

    def check(self) -> None:
        """Looks for values that cannot be meant."""
        require(self.term_dim >= 0, f"task.term_dim={self.term_dim}: must be 0 (none) or more")
        require(all(width >= 1 for width in self.convolutions), "task.convolutions: each must be 1 or more")
        require(0 <= self.feature_dropout < 1, f"task.feature_dropout={self.feature_dropout}: must lie in 0 to below 1")


@dataclass
class TextConfig(TextOptions):
    """What all sets of texts have in common.

    Attributes:
        split_seed: Chooses which examples go into which part, where parts are cut.
    """

    split_seed: int = 0


@dataclass
class LanguageIdDataConfig(TextConfig):
    """Messages of Django's catalogs in 20 languages.

    Attributes:
        min_characters: Shorter messages are left out.
    """

    _target_: str = "tasks.text_classification.LanguageIdData"
    name: str = "language_id"
    tokens: TokenizerKind = TokenizerKind.char
    lowercase: bool = False
    min_characters: int = 24


@dataclass
class TextFilesDataConfig(TextConfig):
    """Texts in jsonl, csv, tsv or parquet files, or in a set on the Hugging Face hub.

    Attributes:
        root: Folder with train, val and test files.
        train: The training file, instead of root.
        val: The validation file; null cuts one from train.
        test: The test file; null cuts one from train.
        hub: Name of a set on the hub, where no files are named.
        revision: Commit of the hub set.
        text_column: Where the text stands; null finds text, sentence, review and the like.
        label_column: Where the label stands; null finds label, class, category and the like.
        labels: Names of integer labels in their order; null takes the labels as they are.
        on_error: Stop at a broken row or leave it out.
        val_share: Cut from train where there is no val.
        test_share: Cut from train where there is no test.
    """

    _target_: str = "tasks.text_classification.TextFilesData"
    name: str = "text_files"
    root: str | None = None
    train: str | None = None
    val: str | None = None
    test: str | None = None
    hub: str | None = None
    revision: str | None = None
    text_column: str | None = None
    label_column: str | None = None
    labels: list[str] | None = None
    on_error: OnError = OnError.stop
    val_share: float = 0.1
    test_share: float = 0.2

    def check(self) -> None:
        """Looks for values that cannot be meant."""
        super().check()
        check_shares(self.val_share, self.test_share)
