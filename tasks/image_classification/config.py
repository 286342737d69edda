"""Options of the task and of its data sets; no torch here."""

from dataclasses import dataclass

from mla_train.config import (
    ClassFolderOptions,
    ClassOptions,
    CleanOptions,
    FileOptions,
    ImageNetworkOptions,
    ImageOptions,
    LabelOptions,
    PooledHeadOptions,
    SplitOptions,
    TaskOptions,
)


@dataclass
class ImageClassificationConfig(TaskOptions, ImageNetworkOptions, PooledHeadOptions):
    """Image classification (single or multi-label) or regression."""

    _target_: str = "tasks.image_classification.ImageClassification"
    name: str = "image_classification"
    flatten_dim: int = 128


@dataclass
class DigitsConfig(SplitOptions, ImageOptions, ClassOptions):
    """The handwritten digits of scikit-learn, split 70/10/20."""

    _target_: str = "tasks.image_classification.read_digits"
    name: str = "digits"
    val_share: float = 0.125


@dataclass
class TorchvisionConfig(SplitOptions, ImageOptions, ClassOptions):
    """A data set that torchvision knows.

    Attributes:
        dataset: Name of the class in torchvision.datasets.
        root: Folder in which torchvision looks for its files.
        download: Whether files that are not there are fetched.
    """

    _target_: str = "tasks.image_classification.read_torchvision"
    name: str = "torchvision"
    dataset: str = "???"
    root: str = "data"
    download: bool = False


@dataclass
class MedmnistConfig(SplitOptions, ImageOptions, ClassOptions):
    """Images and labels of all splits in one npz file, as MedMNIST gives them out.

    Attributes:
        path: The npz file, with train_images, train_labels and so on.
    """

    _target_: str = "tasks.image_classification.read_medmnist"
    name: str = "medmnist"
    path: str | None = None


@dataclass
class ImageFolderConfig(ClassFolderOptions, SplitOptions, ImageOptions, ClassOptions, CleanOptions):
    """Images in a folder for each class."""

    _target_: str = "tasks.image_classification.read_folder"
    name: str = "image_folder"


@dataclass
class ImageTableConfig(FileOptions, ImageOptions, LabelOptions, SplitOptions):
    """Images in a column of tables, as bytes or as paths, or in a data set on the Hugging Face hub.

    Attributes:
        image_column: Column of the images; null finds image, img, picture and the like.
    """

    _target_: str = "tasks.image_classification.read_table"
    name: str = "image_table"
    image_column: str | None = None
