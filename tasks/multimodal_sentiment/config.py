"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass, field

from mla_train.config import (
    ClassOptions,
    FileOptions,
    FusionOptions,
    ImageNetworkOptions,
    ImageOptions,
    LabelOptions,
    LongTexts,
    ModalityOptions,
    PooledHeadOptions,
    RowOptions,
    SplitOptions,
    TaskOptions,
    TextColumnOptions,
    TextNetworkOptions,
    TextOptions,
    TokenizerKind,
)
from mla_train.errors import require


@dataclass
class MultimodalSentimentConfig(TaskOptions, TextNetworkOptions, ImageNetworkOptions, FusionOptions, PooledHeadOptions):
    """Classification (single or multi-label) or regression of text, image and features."""

    _target_: str = "tasks.multimodal_sentiment.MultimodalSentiment"
    name: str = "multimodal_sentiment"
    visual_words: int = 128
    feature_dropout: float | None = 0.3


@dataclass
class TextImageOptions(TextOptions, ImageOptions, ModalityOptions):
    """What data sets of texts and images have in common."""

    max_length: int = 128

    def check(self) -> None:
        """Raises UserError where an input is neither text nor image."""
        unknown = [name for name in self.modalities if name not in ("text", "image")]
        require(not unknown, f"data.modalities: {', '.join(unknown)} is neither text nor image")
        require(
            self.long_texts is not LongTexts.windows,
            "data.long_texts=windows is for texts alone; use head or head_tail beside images",
        )


@dataclass
class KaomojiConfig(TextImageOptions, SplitOptions, ClassOptions):
    """Kaomoji (text emoticons), as text and rendered as images, split 70/10/20.

    Attributes:
        height: Height of the image in pixels; it is three times as wide.
    """

    _target_: str = "tasks.multimodal_sentiment.read_kaomoji"
    name: str = "kaomoji"
    tokens: TokenizerKind = TokenizerKind.char
    lowercase: bool = False
    min_frequency: int = 1
    horizontal_flip: bool = True
    height: int = 32
    val_share: float = 0.125

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(8 <= self.height <= 128, f"data.height={self.height}: from 8 to 128 pixels")


@dataclass
class TextImageFilesConfig(TextImageOptions, FileOptions, TextColumnOptions, LabelOptions, SplitOptions):
    """Texts with images in jsonl, csv, tsv or parquet files.

    Attributes:
        image_column: Column of the path of the image, relative to the file; null finds image, img, picture and the like.
    """

    _target_: str = "tasks.multimodal_sentiment.read_texts_and_images"
    name: str = "text_image_files"
    image_column: str | None = None
    channels: int | None = 3


@dataclass
class FeatureTableConfig(ModalityOptions, RowOptions, SplitOptions, ClassOptions):
    """Features of each input as arrays in one npz or parquet file.

    Attributes:
        path: Path of the file.
        modalities: Names of the arrays, each `(examples, width)` or `(examples, steps, width)`.
        label: Name of the array of labels; integers and strings are classes, floats are numbers to be predicted.
        split: Name of the array with the split of each example; null cuts splits.
        sequence: Name of the array with the sequence of each example, such as its video, in order; null has none.
    """

    _target_: str = "tasks.multimodal_sentiment.read_feature_table"
    name: str = "feature_table"
    path: str | None = None
    modalities: list[str] = field(default_factory=lambda: ["text", "audio", "vision"])
    label: str = "label"
    split: str | None = None
    sequence: str | None = None

    def check(self) -> None:
        """Raises UserError where rules of splitting exclude each other."""
        require(
            self.sequence is None or self.time_column is None,
            "data.sequence and data.time_column: sequences stay whole, rows of a time do; remove one",
        )
