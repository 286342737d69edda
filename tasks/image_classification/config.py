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
        tokenizer: How pictures become tokens.
        downsample_log2: How often the picture is halved before attention; null leaves at most 8 x 8 tokens.
        positions: Rotary in two dimensions, or learned and added to the tokens.
        pooling: From tokens to one vector.
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
    """The digits of scikit-learn."""

    _target_: str = "tasks.image_classification.DigitsData"
    name: str = "digits"
    horizontal_flip: bool = False
    split_seed: int = 0


@dataclass
class TorchvisionDataConfig:
    """A set that torchvision knows.

    Attributes:
        dataset: Name of the class in torchvision.datasets.
        root: Folder in which torchvision looks for its files.
        download: Fetch the files if they are not there.
        horizontal_flip: Whether a mirrored picture shows the same class.
        val_share: Part of the training set that is cut off for validation.
        split_seed: Chooses which examples are cut off.
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
    """What folders and tables of pictures have in common.

    Attributes:
        image_size: Height and width to which pictures are brought; null keeps their size where all have the same (up
            to 96), else takes 64.
        channels: 1 for grey, 3 for colour; null looks at the pictures.
        on_error: Stop at a broken picture or leave it out.
        horizontal_flip: Whether a mirrored picture shows the same class.
        test_share: Cut from train where there is no test.
        val_share: Cut from what is left where there is no val.
        split_seed: Chooses which examples are cut off.
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
    """Pictures in a folder for each class.

    Attributes:
        root: Holds train/, val/, test/ with a folder for each class, or the class folders themselves.
    """

    _target_: str = "tasks.image_classification.ImageFolderData"
    name: str = "image_folder"
    root: str | None = None


@dataclass
class ImageTableDataConfig(OwnImagesConfig):
    """Pictures in a column of parquet files, or of a set on the Hugging Face hub.

    Attributes:
        root: A parquet file, or a folder with train/val/test parquet files.
        hub: Name of a set on the hub instead, such as uoft-cs/cifar10.
        revision: Commit of the hub set.
        image_column: Null takes the first column that holds pictures.
        label_column: Null takes label, labels, class or fine_label.
    """

    _target_: str = "tasks.image_classification.ImageTableData"
    name: str = "image_table"
    root: str | None = None
    hub: str | None = None
    revision: str | None = None
    image_column: str | None = None
    label_column: str | None = None
