"""Options that data sets share: where examples come from, how they are split, how texts and images are read."""

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


class TokenizerKind(Enum):
    """Kind of token: pieces of words down to bytes (bpe), whole words, or single characters.

    auto: Words, or characters where most words of held-out training texts are unknown.
    """

    auto = "auto"
    bpe = "bpe"
    word = "word"
    char = "char"


class Resample(Enum):
    """Handling of rows that are not evenly spaced in time.

    refuse: An error. mean, sum, last: The mean, the sum or the last of the values of a step; steps without a row stay gaps,
    and covariates take the mean where series are summed. fill: The mean, with gaps filled by the last value.
    """

    refuse = "refuse"
    mean = "mean"
    sum = "sum"
    last = "last"
    fill = "fill"


class Fit(Enum):
    """How images of another shape become square: cut to their middle, with black margins, or distorted."""

    crop = "crop"
    pad = "pad"
    stretch = "stretch"


@dataclass
class SplitOptions:
    """How validation and test splits are cut where the data does not bring them.

    Attributes:
        val_share: Share of the training examples, after the test split is cut, used for validation if there is no validation
            split.
        test_share: Share of the training examples used for test if there is no test split.
        split_seed: Seed of the train/val/test split, independent of `seed`.
        folds: Number of folds of a cross-validation; the test split is one of them, and `test_share` is not used.
        fold: The fold that is the test split, counted from 0.
    """

    val_share: float = number(0.1, above=0, below=1)
    test_share: float = number(0.2, above=0, below=1)
    split_seed: int = 0
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
class RowOptions:
    """What the rows of a table are, beside inputs and label.

    Attributes:
        id_column: Column that names each row, in predictions and reports.
        group_column: Column of the patient, author, speaker or the like; all rows of one stay in one split.
        time_column: Column of times by which splits are cut: the newest rows are test, those before them val.
    """

    id_column: str | None = None
    group_column: str | None = None
    time_column: str | None = None


@dataclass
class TableOptions:
    """How tables are written, where that is not to be found by itself.

    Attributes:
        separator: Sign between the cells of a csv file; null finds it.
        encoding: Encoding of text files, such as cp1252; null is UTF-8, or UTF-16 where a file is marked so.
        header: Whether the first line of a csv file holds names of columns; null finds it.
        decimal: Decimal sign of numbers; null finds it column by column.
        thousands: Sign between thousands; null finds it column by column.
        na_values: Words that mean a missing value, beside empty cells and the usual ones.
    """

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    decimal: str | None = None
    thousands: str | None = None
    na_values: list[str] = field(default_factory=list)


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
class ClassOptions:
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
        label_column: Column of the label; null finds label, class, category and the like.
        label_separator: Sign between several labels in a cell, such as "|"; given, each example may have several.
        labels: Names of integer labels in their order; null takes the labels as they are.
        rare: Handling of classes with fewer than `min_class_size` examples.
        min_class_size: Number of training examples that make a class one of its own.
    """

    label_column: str | None = None
    label_separator: str | None = None
    labels: list[str] | None = None
    rare: Rare = Rare.keep_in_train
    min_class_size: int = number(2, least=2)


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
class TextOptions:
    """How texts are read.

    Attributes:
        tokens: Kind of token.
        vocab_size: Largest number of tokens, learned on the training split.
        min_frequency: Occurrences that a token needs to enter the vocabulary.
        lowercase: Whether to lower-case texts.
        tfidf_features: Largest number of TF-IDF features of each kind (words and pairs of words; pieces of words); 0 is
            none.
        max_length: Longest text in tokens; longer ones are counted.
        long_texts: Handling of longer texts.
    """

    tokens: TokenizerKind = TokenizerKind.auto
    vocab_size: int = number(30000, least=2, usual="10000")
    min_frequency: int = number(2, least=1)
    lowercase: bool = True
    tfidf_features: int = number(100000, least=0)
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


@dataclass
class WindowOptions:
    """How windows are cut out of time series.

    Attributes:
        look_back: Number of steps that are read.
        horizon: Number of steps that are forecast.
        period: Number of steps of a cycle, such as 24 for hours of a day; null finds it from the training rows.
        split: Shares of train and val, the rest is test; or the row at which val begins, the row at which test begins and,
            if need be, the row at which it ends; or the dates of these borders.
    """

    look_back: int = number(96, least=2)
    horizon: int = number(24, least=1)
    period: int | None = number(None, least=2)
    split: list[Any] = field(default_factory=lambda: [0.7, 0.1])

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            len(self.split) in (2, 3), f"data.split={self.split}: must be two shares, or two or three rows or dates"
        )


@dataclass
class SeriesTableOptions(TableOptions):
    """A table of time series: one column of times, the others are series.

    Attributes:
        path: File of the table: csv, parquet, xlsx, jsonl.
        time_column: Column of the times, or a list of those that make one together, such as [Date,Time] or
            [year,month,day,hour]; null takes the first column that can be read as times.
        series_column: Column that tells series apart where a row is a step of one of them, or a list of columns that do so
            together, such as [store,item]; null reads each column of numbers as a series.
        targets: Columns that are forecast; null is all numeric ones but those that count rows or never change.
        known: Columns that are known ahead, such as holidays or prices; texts become a number for each category.
        observed: Columns that are known up to the present, such as the weather; texts as above.
        static: Columns that stay the same in each series of a long table, such as the size and the kind of a store.
        rows: Number of rows that are read; null is all.
        start: First time that is read, such as 2018-01-31; null is the first of the table.
        end: Last time that is read, with all rows of a day, month or year; null is the last of the table.
        resample: Handling of rows that are not evenly spaced in time.
        frequency: Distance of two rows when resampled, such as 1h; null takes the usual distance.
    """

    path: str | None = None
    time_column: Any = None
    series_column: Any = None
    targets: list[str] | None = None
    known: list[str] = field(default_factory=list)
    observed: list[str] = field(default_factory=list)
    static: list[str] = field(default_factory=list)
    rows: int | None = number(None, least=1)
    start: Any = None
    end: Any = None
    resample: Resample = Resample.refuse
    frequency: str | None = None

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            self.targets is None or len(self.targets) > 0, "data.targets=[]: name a column, or leave it out for all"
        )
        require(
            not self.static or bool(self.series_column),
            f"data.static={self.static} tells the series of a long table apart: name data.series_column=, too",
        )
        require(
            self.frequency is None or self.resample is not Resample.refuse,
            f"data.frequency={self.frequency} is the distance of rows after resampling: add data.resample=mean, sum, last or fill",
        )


@dataclass
class SeriesFileOptions(FileOptions, LabelOptions, SplitOptions):
    """Files of labelled series: .ts, .tsv and .txt of the UCR and UEA archives, or tables with a row a series or a row a step.

    Attributes:
        series_column: Column that tells series apart where each step has a row; null reads each row as a series.
        time_column: Column by which the steps of a series are ordered, null keeps the order of the rows; where a row is a
            series, column of times by which splits are cut.
    """

    series_column: str | None = None
