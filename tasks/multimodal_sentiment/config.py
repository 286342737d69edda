"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field
from enum import Enum

from mla_train.config import TextOptions, TokenizerKind, check_shares
from mla_train.config.checks import at_least, between
from mla_train.errors import require


class Fusion(Enum):
    concat = "concat"
    weighted = "weighted"
    cross_attention = "cross_attention"
    bottleneck = "bottleneck"


class OnBroken(Enum):
    stop = "stop"
    missing = "missing"


@dataclass
class MultimodalSentimentTaskConfig:
    """The network around the encoder.

    Attributes:
        fusion: How modalities come together.
        bottlenecks: Latent tokens through which modalities see each other, with fusion=bottleneck.
        tfidf_dim: Width of the embeddings of terms, which are averaged past the encoder; 0 is none.
        visual_words: Words of which a picture's patches are counted, past the encoder; 0 is none, as is tfidf_dim=0.
        downsample_log2: How often a picture is halved before attention; null leaves at most 8 x 8 tokens.
        unimodal_loss_weight: Weight of the loss of each modality's answer without the others, in training; 0 is none.
        modality_dropout: Probability that training leaves out a modality of an example, as long as another is there.
        feature_dropout: Dropout of what the encoder and the head read; off where regularization.dropout is 0.
    """

    _target_: str = "tasks.multimodal_sentiment.MultimodalSentimentTask"
    name: str = "multimodal_sentiment"
    fusion: Fusion = Fusion.cross_attention
    bottlenecks: int = 4
    tfidf_dim: int = 64
    visual_words: int = 128
    downsample_log2: int | None = None
    unimodal_loss_weight: float = 0.5
    modality_dropout: float = 0.2
    feature_dropout: float = 0.3

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        at_least(1, self, "task", "bottlenecks", "downsample_log2")
        at_least(0, self, "task", "tfidf_dim", "visual_words", "unimodal_loss_weight")
        between(0, 1, self, "task", "modality_dropout", "feature_dropout")


@dataclass
class TextImageConfig(TextOptions):
    """What sets of texts and pictures have in common.

    Attributes:
        modalities: What is read: text, image.
        max_length: Longest text in tokens; the rest is cut off, and counted.
        horizontal_flip: Whether a mirrored picture means the same.
        split_seed: Chooses which examples go into which part, where parts are cut.
    """

    modalities: list[str] = field(default_factory=lambda: ["text", "image"])
    max_length: int = 128
    horizontal_flip: bool = False
    split_seed: int = 0

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        require(bool(self.modalities), "data.modalities: name one at least, of text and image")
        unknown = [name for name in self.modalities if name not in ("text", "image")]
        require(not unknown, f"data.modalities: {', '.join(unknown)} is neither text nor image")
        require(len(set(self.modalities)) == len(self.modalities), "data.modalities: one is named twice; remove it")


@dataclass
class KaomojiDataConfig(TextImageConfig):
    """Faces made of characters, as text and as a picture.

    Attributes:
        height: Of the picture in pixels; it is three times as wide.
    """

    _target_: str = "tasks.multimodal_sentiment.KaomojiData"
    name: str = "kaomoji"
    tokens: TokenizerKind = TokenizerKind.char
    lowercase: bool = False
    min_frequency: int = 1
    horizontal_flip: bool = True
    height: int = 32

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        require(8 <= self.height <= 128, f"data.height={self.height}: must be 8 to 128 pixels")


@dataclass
class TextImageFilesDataConfig(TextImageConfig):
    """Texts with pictures in jsonl, csv, tsv or parquet files.

    Attributes:
        root: Folder with train, val and test files.
        train: The training file, instead of root.
        val: The validation file; null cuts one from train.
        test: The test file; null cuts one from train.
        text_column: Where the text stands.
        image_column: Where the path of the picture stands, relative to the file.
        label_column: Where the label stands.
        labels: Names of integer labels in their order; null takes the labels as they are.
        image_size: Height and width to which pictures are brought; null keeps their size where all have the same (up
            to 96), else takes 64.
        on_error: Stop at rows and pictures that cannot be read, or leave out the row and take the picture as missing.
        val_share: Cut from train where there is no val.
        test_share: Cut from train where there is no test.
    """

    _target_: str = "tasks.multimodal_sentiment.TextImageFilesData"
    name: str = "text_image_files"
    root: str | None = None
    train: str | None = None
    val: str | None = None
    test: str | None = None
    text_column: str = "text"
    image_column: str = "image"
    label_column: str = "label"
    labels: list[str] | None = None
    image_size: int | None = None
    on_error: OnBroken = OnBroken.stop
    val_share: float = 0.1
    test_share: float = 0.2

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        super().check()
        at_least(1, self, "data", "image_size")
        check_shares(self.val_share, self.test_share)


@dataclass
class FeatureTableDataConfig:
    """Features of each modality as arrays in one npz or parquet file.

    Attributes:
        path: The file.
        modalities: Names of the arrays, each `(examples, width)` or `(examples, steps, width)`.
        label: Name of the array of labels; integers and strings are classes, floats are numbers to be predicted.
        split: Name of the array that says to which part an example belongs; null cuts parts.
        sequence: Name of the array of sequences, such as videos, whose examples stand in order; null has none.
        val_share: Cut from train where there is no val.
        test_share: Cut from train where there is no test.
        split_seed: Chooses which examples go into which part, where parts are cut.
    """

    _target_: str = "tasks.multimodal_sentiment.FeatureTableData"
    name: str = "feature_table"
    path: str | None = None
    modalities: list[str] = field(default_factory=lambda: ["text", "audio", "vision"])
    label: str = "label"
    split: str | None = None
    sequence: str | None = None
    val_share: float = 0.1
    test_share: float = 0.2
    split_seed: int = 0

    def check(self) -> None:
        """Refuses values without a meaning, and options that exclude each other."""
        require(bool(self.modalities), "data.modalities: name one array at least")
        require(len(set(self.modalities)) == len(self.modalities), "data.modalities: one is named twice; remove it")
        check_shares(self.val_share, self.test_share)
