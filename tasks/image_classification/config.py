"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass
from enum import Enum

from mla_train.config import OnError, check_shares
from mla_train.config.checks import at_least
from mla_train.errors import require


class Tokenizer(Enum):
    conv = "conv"
    patch = "patch"


class Positions(Enum):
    rotary = "rotary"
    learned = "learned"


class Pooling(Enum):
    mean = "mean"
    cls = "cls"
    attention = "attention"


@dataclass
class ImageClassificationTaskConfig:
    """The network around the encoder.

    Attributes:
        tokenizer: How images become tokens: overlapping convolutions, or square patches.
        downsample_log2: Number of times the image is halved before attention; null leaves at most 8 x 8 tokens.
        positions: Position encoding: rotary in two dimensions, or learned and added to the tokens.
        pooling: How tokens become one vector.
    """

    _target_: str = "tasks.image_classification.ImageClassificationTask"
    name: str = "image_classification"
    tokenizer: Tokenizer = Tokenizer.conv
    downsample_log2: int | None = None
    positions: Positions = Positions.rotary
    pooling: Pooling = Pooling.attention

    def check(self) -> None:
        """Refuses values without a meaning."""
        at_least(1, self, "task", "downsample_log2")


@dataclass
class DigitsDataConfig:
    """Handwritten digits of scikit-learn.

    Attributes:
        horizontal_flip: Whether a mirrored image shows the same class.
        split_seed: Seed of the split.
    """

    _target_: str = "tasks.image_classification.DigitsData"
    name: str = "digits"
    horizontal_flip: bool = False
    split_seed: int = 0


@dataclass
class TorchvisionDataConfig:
    """A data set of torchvision.

    Attributes:
        dataset: Name of the class in torchvision.datasets.
        root: Folder in which torchvision looks for its files.
        download: Whether missing files are downloaded.
        horizontal_flip: Whether a mirrored image shows the same class.
        val_share: Share of the training set that becomes the validation split.
        split_seed: Seed of the split.
    """

    _target_: str = "tasks.image_classification.TorchvisionData"
    name: str = "torchvision"
    dataset: str = "???"
    root: str = "data"
    download: bool = False
    horizontal_flip: bool = True
    val_share: float = 0.1
    split_seed: int = 0

    def check(self) -> None:
        """Refuses values without a meaning."""
        require(0 < self.val_share < 1, f"data.val_share={self.val_share}: must lie between 0 and 1")


@dataclass
class OwnImagesConfig:
    """Options of folders and tables of images.

    Attributes:
        image_size: Height and width in pixels; null keeps the size where all images have the same (up to 96), else takes
            64.
        channels: 1 for grey, 3 for colour; null follows the images.
        on_error: Stop at a broken image or leave it out.
        horizontal_flip: Whether a mirrored image shows the same class.
        test_share: Share of train that becomes the test split where there is none.
        val_share: Share of the rest that becomes the validation split where there is none.
        split_seed: Seed of the split.
    """

    image_size: int | None = None
    channels: int | None = None
    on_error: OnError = OnError.stop
    horizontal_flip: bool = True
    val_share: float = 0.1
    test_share: float = 0.2
    split_seed: int = 0

    def check(self) -> None:
        """Refuses values without a meaning."""
        at_least(1, self, "data", "image_size")
        require(self.channels in (None, 1, 3), f"data.channels={self.channels}: must be 1 (grey), 3 (colour) or null")
        check_shares(self.val_share, self.test_share)


@dataclass
class ImageFolderDataConfig(OwnImagesConfig):
    """Images in a folder for each class.

    Attributes:
        root: Folder with train/, val/, test/ and in each a folder for each class, or with the class folders themselves.
    """

    _target_: str = "tasks.image_classification.ImageFolderData"
    name: str = "image_folder"
    root: str | None = None


@dataclass
class ImageTableDataConfig(OwnImagesConfig):
    """Images in a column of parquet files, or of a data set on the Hugging Face hub.

    Attributes:
        root: Parquet file, or folder with train, val and test parquet files.
        hub: Name of a data set on the hub instead, such as uoft-cs/cifar10.
        revision: Commit of the data set on the hub; null is the newest.
        image_column: Column of images; null is the first that holds images.
        label_column: Column of labels; null is label, labels, class or fine_label.
    """

    _target_: str = "tasks.image_classification.ImageTableData"
    name: str = "image_table"
    root: str | None = None
    hub: str | None = None
    revision: str | None = None
    image_column: str | None = None
    label_column: str | None = None
