"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass
from typing import ClassVar

from mla_train.config import (
    FileOptions,
    GeneratedTextOptions,
    GenerationOptions,
    ImageNetworkOptions,
    ImageOptions,
    ImageTokenizer,
    Positions,
    SplitOptions,
)
from mla_train.config.checks import number
from mla_train.errors import require


@dataclass
class ImageCaptioningConfig(GenerationOptions, ImageNetworkOptions):
    """A text for each image, written token by token."""

    side_paths: ClassVar = False  # the decoder reads tokens alone

    _target_: str = "tasks.image_captioning.ImageCaptioning"
    name: str = "image_captioning"
    tokenizer: ImageTokenizer = ImageTokenizer.conv_norm
    downsample_log2: int | None = 3
    positions: Positions = Positions.learned

    def check(self) -> None:
        """Raises UserError where an option would have no effect."""
        for name in ("flatten_dim", "visual_words"):
            value = getattr(self, name)
            require(
                not value,
                f"task.{name}={value}: a path beside the encoder, which captions are not written from; leave it out",
            )


@dataclass
class CaptionOptions(ImageOptions, GeneratedTextOptions):
    """What captions are.

    Attributes:
        keywords: Whether captions are lists of words rather than sentences: those words are written on which random captions of
            the model agree.
    """

    keywords: bool = False


@dataclass
class IconsConfig(CaptionOptions, SplitOptions):
    """Icons of the package qtawesome and their names, split 70/10/20.

    Attributes:
        height: Height and width of the icons in pixels.
    """

    group_column: ClassVar = "first words"  # of names, which stay in one split

    _target_: str = "tasks.image_captioning.read_icons"
    name: str = "icons"
    keywords: bool = True
    vocab_size: int = 4000
    max_length: int = 12
    val_share: float = 0.125
    height: int = number(32, least=8, below=257)


@dataclass
class CaptionFilesConfig(CaptionOptions, FileOptions, SplitOptions):
    """Images with captions: tables, a folder as Flickr8k has it, or one as COCO has it.

    Attributes:
        root: Folder with train, val and test tables; with captions.txt and Images/; or with annotations/captions_train*.json.
        image_column: Column of the paths of the images; null finds image, img, picture and the like.
        target_column: Column of the captions: one a row, or a list; rows of equal images are captions of one image.
        images: Folder of the images, where paths are not relative to the table.
    """

    _target_: str = "tasks.image_captioning.read_captions"
    name: str = "caption_files"
    image_column: str | None = None
    target_column: str = "caption"
    images: str | None = None
    max_length: int = 64
