"""Options of how time series are read and cut into windows."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mla_train.config.checks import number
from mla_train.config.data import DataOptions, FileOptions, LabelOptions, SplitOptions, TableOptions
from mla_train.errors import require


class Resample(Enum):
    """Handling of rows that are not evenly spaced in time.

    refuse: An error; up to one step in twenty without a row is a gap where all rows stand at whole steps. mean, sum, last: The mean, the sum or the last of the values of a step; steps without a row stay gaps,
    and covariates take the mean where series are summed. fill: The mean, with gaps filled by the last value.
    """

    refuse = "refuse"
    mean = "mean"
    sum = "sum"
    last = "last"
    fill = "fill"


@dataclass
class WindowOptions(DataOptions):
    """How windows are cut out of time series.

    Attributes:
        look_back: Number of steps that are read.
        horizon: Number of steps that are forecast.
        period: Number of steps of a cycle, such as 24 for hours of a day; null finds it from the training rows.
        split: Shares of train and val, the rest is test; or the row at which val begins, the row at which test begins and,
            if need be, the row at which it ends; or the dates of these borders.
        most_values: Greatest number of values that val, and test, forecast: windows times series times steps. Every n-th
            window is scored where there are more.
        train_examples: Number of training windows that are used, the newest; scale, gaps and cycle stay those of all training
            rows. null is all.
    """

    look_back: int = number(96, least=2)
    horizon: int = number(24, least=1)
    period: int | None = number(None, least=2)
    split: list[Any] = field(default_factory=lambda: [0.7, 0.1])
    most_values: int = number(60_000_000, least=1)
    train_examples: int | None = number(None, least=1)

    def check(self) -> None:
        """Raises UserError where a value cannot be meant."""
        require(
            len(self.split) in (2, 3), f"data.split={self.split}: must be two shares, or two or three rows or dates"
        )


@dataclass
class SeriesTableOptions(TableOptions):
    """A table of time series: one column of times, the others are series.

    Attributes:
        path: File of the table: csv, parquet, xlsx, jsonl; or a list, a pattern or a folder of its parts.
        time_column: Column of the times, or a list of those that make one together, such as [Date,Time] or
            [year,month,day,hour]; null takes the first column that can be read as times.
        time_format: How times are written where that is not to be found: day_first, month_first or year_first, a form such as
            %d.%m.%Y, or what numbers count: s, ms, us, ns, min, h, days (since 1970), excel, julian, decimal_year.
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

    path: Any = None
    time_column: Any = None
    time_format: str | None = None
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
    """Files of labelled series: .ts, .tsv, .arff and .txt of the UCR and UEA archives, or tables with a row a series or a row a step.

    Attributes:
        series_column: Column that tells series apart where each step has a row; null reads each row as a series.
        time_column: Column by which the steps of a series are ordered, null keeps the order of the rows; where a row is a
            series, column of times by which splits are cut.
    """

    series_column: str | None = None
