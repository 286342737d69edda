"""Images in a folder for each class; no torch here."""

from mla_train.data.class_folders import read_class_folders
from mla_train.data.examples import RawData
from mla_train.data.file_kinds import IMAGES
from tasks.image_classification.config import ImageFolderConfig


def read_folder(options: ImageFolderConfig) -> RawData:
    """Images in `data.root`, see `read_class_folders`."""
    return read_class_folders(options, IMAGES)
