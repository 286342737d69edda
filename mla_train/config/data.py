"""Options of files, splits and labels, which data sets share."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.errors import require


class OnError(Enum):
    """What to do with an example that cannot be read; `missing` keeps a row whose image is broken, without the image."""

    stop = "stop"
    skip = "skip"
    missing = "missing"


@dataclass
class DataOptions:
    """What holds for the reading of all data.

    Attributes:
        cache: Whether prepared data and baselines are kept on disk for the next run.
        max_bytes: Bytes that a compressed file or an image may unpack to; 30 times its size is always allowed.
    """

    cache: bool = True
    max_bytes: int = number(200_000_000, least=1)


@dataclass
class SplitOptions(DataOptions):
    """How validation and test splits are cut where the data does not bring them.

    Attributes:
        val_share: Share of the training examples, after the test split is cut, used for validation if there is no validation
            split.
        test_share: Share of the training examples used for test if there is no test split.
        split_seed: Seed of the train/val/test split, independent of `seed`.
        train_examples: Number of training examples that are used, drawn with split_seed, each class its share, fewer being a
            part of more; null is all.
        folds: Number of folds of a cross-validation; the test split is one of them, and `test_share` is not used.
        fold: The fold that is the test split, counted from 0.
    """

    val_share: float = number(0.1, above=0, below=1)
    test_share: float = number(0.2, above=0, below=1)
    split_seed: int = 0
    train_examples: int | None = number(None, least=1)
    folds: int | None = number(None, least=2, usual="5 or 10")
    fold: int = number(0, least=0)

    def check(self) -> None:
        """Raises UserError where rules of splitting exclude each other."""
        require(self.folds is not None or self.fold == 0, f"data.fold={self.fold} needs data.folds=, their number")
        require(
            self.folds is None or self.fold < self.folds,
            f"data.fold={self.fold}: with data.folds={self.folds} it is from 0 to {(self.folds or 1) - 1}",
        )
        if getattr(self, "series_column", None) is not None:
            return  # `time_column` orders the steps of a series
        for other in ("folds", "group_column"):
            require(
                getattr(self, "time_column", None) is None or getattr(self, other, None) is None,
                f"data.time_column and data.{other}: rows are split by time or by {other.removesuffix('_column')}; remove one",
            )


@dataclass
class ClassFolderOptions:
    """Files in a folder for each class.

    Attributes:
        root: Folder with train/, val/, test/ and a folder for each class in them, or with the class folders themselves.
        train: Folder of the training files in root, where it is called otherwise; "." is root itself, whose folders are
            then classes. Folders that are not named are left out.
        val: Folder of the validation files.
        test: Folder of the test files.
        on_error: Handling of files that cannot be read.
    """

    root: str | None = None
    train: str | None = None
    val: str | None = None
    test: str | None = None
    on_error: OnError = OnError.stop


@dataclass
class RowOptions:
    """What the rows of a table are, beside inputs and label.

    Attributes:
        id_column: Column that names each row, in predictions and reports.
        group_column: Column of the patient, author, speaker or the like; all rows of one stay in one split.
        time_column: Column of times by which splits are cut: the newest rows are test, those before them val.
        time_format: How these times are written where that is not to be found: day_first, month_first, year_first, or a form
            such as %d.%m.%Y.
    """

    id_column: str | None = None
    group_column: str | None = None
    time_column: str | None = None
    time_format: str | None = None


@dataclass
class TableOptions(DataOptions):
    """How tables are written, where that is not to be found by itself.

    Attributes:
        separator: Sign between the cells of a csv file, or its name: tab, comma, semicolon, pipe, space; null finds it.
        encoding: Encoding of text files and of bytes, such as cp1252; null is UTF-8, UTF-16 or UTF-32, by the first bytes.
        header: Whether the first line of a csv file or a sheet holds names of columns; null finds it.
        decimal: Decimal sign of numbers, where the other of point and comma may part thousands; null finds it column by column.
        thousands: Sign between thousands; null finds it column by column.
        na_values: Words and numbers that mean a missing value, beside empty cells and the usual ones.
        header_pattern: Regular expression that is searched in the headers of a FASTA file; its named groups become columns.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    na_values: list[str] = field(default_factory=list)
    header_pattern: str | None = None


@dataclass
class FileOptions(TableOptions, RowOptions):
    """Tables on disk or on the Hugging Face hub.

    Attributes:
        root: Folder with train, val and test files.
        train: Training file, instead of root.
        val: Validation file; null cuts a split from train.
        test: Test file; null cuts a split from train.
        hub: Name of a data set on the hub, used where no files are named.
        revision: Commit of the hub data set; null takes the newest.
        on_error: Handling of rows that cannot be read.
        split_column: Column of the training table that says train, val or test of each row; or the data_splits.csv of a
            run, whose splits are taken.
    """

    root: str | None = None
    train: Any = None
    val: Any = None
    test: Any = None
    hub: str | None = None
    revision: str | None = None
    on_error: OnError = OnError.stop
    split_column: str | None = None


class Rare(Enum):
    """Handling of classes with few examples.

    keep_in_train: They stay in train where splits are cut. other: They become one class `other`. drop: They are left out.
    """

    keep_in_train = "keep_in_train"
    other = "other"
    drop = "drop"


class Unseen(Enum):
    """Handling of a class of val or test that train lacks: an error, or its examples count as mistakes."""

    stop = "stop"
    wrong = "wrong"


class Sampling(Enum):
    """How training examples are drawn: each once an epoch, or each class alike, rare ones repeatedly."""

    natural = "natural"
    balanced = "balanced"


@dataclass
class ClassOptions(DataOptions):
    """How classes of one label an example are drawn and compared.

    Attributes:
        sampling: How training examples are drawn.
        unseen: Handling of a class of val or test that train lacks.
    """

    sampling: Sampling = Sampling.natural
    unseen: Unseen = Unseen.stop


class Clean(Enum):
    """Handling of training examples whose label is probably wrong: none, drop, or relabel as the likelier class."""

    none = "none"
    drop = "drop"
    relabel = "relabel"


@dataclass
class CleanOptions:
    """What happens to labels that are probably wrong.

    Attributes:
        clean: Handling of training examples whose label is probably wrong; scripts/check_data.py lists them.
    """

    clean: Clean = Clean.none


@dataclass
class LabelOptions(ClassOptions, CleanOptions):
    """Where labels stand and what they mean.

    Attributes:
        label_column: Column of the label; null finds label, class, category and the like, none is for pretraining without
            labels.
        label_separator: Sign between several labels in a cell, such as "|"; given, each example may have several.
        labels: Names of integer labels in their order, or of the places of zeros and ones; null takes the labels as they are.
        rare: Handling of classes with fewer than `min_class_size` examples.
        min_class_size: Number of training examples that make a class one of its own.
    """

    label_column: str | None = None
    label_separator: str | None = None
    labels: list[str] | None = None
    rare: Rare = Rare.keep_in_train
    min_class_size: int = number(2, least=2)


class HistorySplit(Enum):
    """How histories are split: last takes the last item of each user for test and the one before for val; time the newest events."""

    last = "last"
    time = "time"


@dataclass
class HistoryOptions(DataOptions):
    """How histories of items are read and split.

    Attributes:
        split: How they are split.
        val_share: Share of the events before those of test that are val, with split=time.
        test_share: Share of the events that are test, with split=time.
        max_length: Number of items of a history that the encoder reads, the newest; training reads a random part of a longer one.
        gaps: Whether the encoder reads the time between items, too.
    """

    split: HistorySplit = HistorySplit.last
    val_share: float = number(0.1, above=0, below=1)
    test_share: float = number(0.1, above=0, below=1)
    max_length: int = number(100, least=1)
    gaps: bool = False


@dataclass
class EventTableOptions(TableOptions):
    """Tables of events: user, item and time in each row.

    Attributes:
        path: File, list of files, or pattern.
        user_column: Column of the user; null finds user, user_id and the like.
        item_column: Column of the item; null finds item, item_id, product_id and the like.
        time_column: Column of the time; null finds time, timestamp, date and the like, none takes the order of the rows.
        time_format: How times are written where that is not to be found, as for tables of series.
        title_column: Column of the item's title, by which answers name it.
        on_error: Handling of rows that cannot be read, or lack user or item.
    """

    path: Any = None
    user_column: str | None = None
    item_column: str | None = None
    time_column: str | None = None
    time_format: str | None = None
    title_column: str | None = None
    on_error: OnError = OnError.stop
