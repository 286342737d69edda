"""Options of how texts, images and recordings are read."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.errors import require


class TokenizerKind(Enum):
    """Kind of token: pieces of words down to bytes (bpe), whole words, or single characters.

    auto: Words, or characters where most words of held-out training texts are unknown.
    """

    auto = "auto"
    bpe = "bpe"
    word = "word"
    char = "char"


class Fit(Enum):
    """How images of another shape become square: cut to their middle, with black margins, or distorted."""

    crop = "crop"
    pad = "pad"
    stretch = "stretch"


class LongTexts(Enum):
    """Handling of texts over `max_length` tokens.

    head: Their beginning is read. head_tail: Their beginning and their end. windows: They are cut into windows of equal
    size; training reads one at random, and an answer is the mean of those of all windows.
    """

    head = "head"
    head_tail = "head_tail"
    windows = "windows"


class Texts(Enum):
    """How texts of several columns become one: joined with a blank, or as a pair with a separator token between them."""

    join = "join"
    pair = "pair"


@dataclass
class TextColumnOptions:
    """Where texts stand in tables.

    Attributes:
        text_column: Column of the text, or a list of columns such as [title,body]; null finds text, sentence, review and the
            like.
        texts: How the texts of several columns become one.
    """

    text_column: Any = None
    texts: Texts = Texts.join

    def check(self) -> None:
        """Raises UserError where columns cannot be meant."""
        columns = self.text_column
        require(
            columns is None
            or isinstance(columns, str)
            or (isinstance(columns, list) and len(set(columns)) == len(columns) > 1),
            f"data.text_column={columns}: name a column, or a list of several such as [title,body]",
        )
        require(
            self.texts is Texts.join or (isinstance(columns, list) and len(columns) == 2),
            "data.texts=pair needs two columns: data.text_column=[a,b]",
        )


@dataclass
class TokenizerOptions:
    """Where the tokens of texts come from.

    Attributes:
        tokenizer: Run or model folder whose tokenizer reads the texts; null learns tokens from the training split.
    """

    tokenizer: str | None = None


@dataclass
class TextOptions(TokenizerOptions):
    """How texts are read.

    Attributes:
        tokens: Kind of token.
        vocab_size: Largest number of tokens, learned on the training split.
        min_frequency: Occurrences that a token needs to enter the vocabulary.
        lowercase: Whether to lower-case texts.
        tfidf_features: Largest number of TF-IDF features of each kind (words and pairs of words; pieces of words); 0 is
            none.
        kmer: Number of characters of the overlapping pieces that words are read as, for sequences of nucleotides or amino
            acids; null reads whole words.
        max_length: Longest text in tokens; longer ones are counted.
        long_texts: Handling of longer texts.
    """

    tokens: TokenizerKind = TokenizerKind.auto
    vocab_size: int = number(30000, least=2, usual="10000")
    min_frequency: int = number(2, least=1)
    lowercase: bool = True
    tfidf_features: int = number(100000, least=0)
    kmer: int | None = number(None, least=2, usual="3 to 8")
    max_length: int = number(512, least=1)
    long_texts: LongTexts = LongTexts.head


@dataclass
class ImageOptions:
    """How images are read and augmented.

    Attributes:
        image_size: Height and width in pixels; null keeps the images' size if all are equal and at most 96, else 64.
        channels: 1 for grey, 3 for colour; null infers it from the images.
        fit: How images of another shape are brought to one: crop, pad or stretch.
        horizontal_flip: Whether a mirrored image has the same label.
    """

    image_size: int | None = None
    channels: int | None = None
    fit: Fit = Fit.crop
    horizontal_flip: bool = False

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            self.image_size is None or 4 <= self.image_size <= 1024,
            f"data.image_size={self.image_size}: from 4 to 1024 pixels",
        )
        require(self.channels in (None, 1, 3), f"data.channels={self.channels}: 1 is grey, 3 is colour")


@dataclass
class AudioOptions:
    """How recordings are read.

    Attributes:
        sample_rate: Samples a second that all recordings are brought to; what lies above half of it is not heard.
        mel_bands: Number of bands of frequencies of the spectrogram.
        max_seconds: Length up to which a recording is read; longer ones are counted.
    """

    sample_rate: int = number(16_000, least=4_000)
    mel_bands: int = number(40, least=8)
    max_seconds: float = number(10.0, above=0)

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(self.sample_rate <= 48_000, f"data.sample_rate={self.sample_rate}: from 4000 to 48000 samples a second")
        require(self.max_seconds <= 1e9, f"data.max_seconds={self.max_seconds}: at most 1e9 seconds")
        require(self.mel_bands <= 80, f"data.mel_bands={self.mel_bands}: from 8 to 80, more hold no frequency each")


@dataclass
class ModalityOptions:
    """Which inputs are read.

    Attributes:
        modalities: Names of the inputs.
    """

    modalities: list[str] = field(default_factory=lambda: ["text", "image"])

    def check(self) -> None:
        """Raises UserError where names cannot be meant."""
        require(bool(self.modalities), "data.modalities is empty: name at least one input")
        twice = sorted({name for name in self.modalities if self.modalities.count(name) > 1})
        require(not twice, f"data.modalities names {', '.join(twice)} twice")
