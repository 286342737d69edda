"""Time series in a table of one's own, and the sets of the literature that come as one."""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from mla_train.errors import UserError
from tasks.forecasting.config import Resample, SeriesCsvDataConfig
from tasks.forecasting.data import Series, SeriesData

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds")


class SeriesCsvData(SeriesData):
    """A table with a column of times and columns of numbers."""

    def setup(self) -> None:
        """Reads the table.

        Raises:
            UserError: A file or column is not there, a cell is no number or no time, or rows are not at one distance.
        """
        options = self.config.data
        assert isinstance(options, SeriesCsvDataConfig)
        table = read_table(options.path)
        if options.rows is not None:
            table = table.iloc[: options.rows]
        time_column = options.time_column or time_column_of(table, options.path)
        _must_have(table, [time_column, *(options.targets or []), *options.known, *options.observed], options.path)
        roles = [*(options.targets or []), *options.known, *options.observed]
        twice = sorted({name for name in roles if roles.count(name) > 1})
        if twice:
            raise UserError(
                f"{', '.join(twice)}: a column is one of data.targets, data.known and data.observed, not two"
            )
        times = times_of(table[time_column], options.path)
        others = [name for name in table.columns if name != time_column]
        values = {name: numbers(table[name], options.path) for name in self._wanted(others, table)}
        frame = pd.DataFrame(values).set_index(times)
        frame = self._at_one_distance(frame)
        covariates = [frame[list(names)].to_numpy(float) for names in (options.known, options.observed)]
        targets = [name for name in frame.columns if name not in (*options.known, *options.observed)]
        self.finish(Series(pd.DatetimeIndex(frame.index), targets, frame[targets].to_numpy(float), *covariates))

    def _wanted(self, others: list[str], table: pd.DataFrame) -> list[str]:
        """Targets and covariates; by default all columns of numbers are targets."""
        options = self.config.data
        covariates = [*options.known, *options.observed]
        if options.targets is not None:
            return [*options.targets, *covariates]
        numeric = [name for name in others if pd.api.types.is_numeric_dtype(table[name]) and name not in covariates]
        left = [name for name in others if name not in (*numeric, *covariates)]
        if left:
            self.notes.append(
                f"{', '.join(left)} {'is' if len(left) == 1 else 'are'} not numeric and not forecast; "
                "data.targets= names the columns that are"
            )
        if not numeric:
            raise UserError(f"{options.path} has no column of numbers beside its times; there are {', '.join(others)}")
        return [*numeric, *covariates]

    def _at_one_distance(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Rows in order and at one distance, as the options say."""
        options = self.config.data
        index = pd.DatetimeIndex(frame.index)
        if options.resample is Resample.refuse:
            if not index.is_monotonic_increasing:
                row = int(np.flatnonzero(np.diff(index.asi8) < 0)[0]) + 2
                raise UserError(
                    f"{options.path}: times are not in order, {index[row - 1]} in row {row} comes after "
                    f"{index[row - 2]}. data.resample=mean sorts them"
                )
            if not index.is_unique:
                row = int(np.flatnonzero(np.diff(index.asi8) == 0)[0]) + 2
                raise UserError(
                    f"{options.path}: {index[row - 1]} stands there twice (row {row}). data.resample=mean takes the mean"
                )
            steps = np.diff(index.asi8)
            if not len(steps):
                raise UserError(f"{options.path} has one row; a series has more")
            usual = np.median(steps)
            months = pd.infer_freq(index) if len(index) > 2 else None  # months and years differ in length
            odd = np.flatnonzero(steps != usual)
            if len(odd) and months is None:
                first = odd[0]
                raise UserError(
                    f"{options.path}: rows are usually {pd.Timedelta(int(usual))} apart, but {len(odd)} are not; the first "
                    f"is {index[first + 1]} after {index[first]}. Choose data.resample=mean (gaps stay gaps) or fill, at a "
                    f"distance of data.frequency={options.frequency or _frequency(index)}"
                )
            return frame
        frame = frame.sort_index()
        index = pd.DatetimeIndex(frame.index)
        if index[0] == index[-1]:
            raise UserError(f"{options.path}: all rows are of {index[0]}; a series has more times than one")
        frequency = options.frequency or _frequency(index)
        try:
            regular = frame.resample(frequency).mean()
        except (ValueError, ZeroDivisionError) as error:
            raise UserError(f"data.frequency={frequency}: {error}; write 15min, 1h, 1D, B or MS") from error
        gaps = int(regular.isna().all(axis=1).sum())
        if options.resample is Resample.fill:
            regular = regular.ffill()
        self.notes.append(
            f"{len(frame):,} rows became {len(regular):,} at a distance of {frequency}; {gaps:,} without a row are "
            + ("filled with the last value" if options.resample is Resample.fill else "gaps")
        )
        return regular


def _frequency(index: pd.DatetimeIndex) -> str:
    """The distance that most rows have, in pandas' words; beginnings of months and years and working days are known."""
    steps = np.diff(index.asi8)
    usual = pd.Timedelta(int(pd.Series(steps[steps > 0]).mode().iloc[0]))
    if usual >= pd.Timedelta(days=28) and (index.day == 1).all() and (index == index.normalize()).all():
        return "YS" if usual >= pd.Timedelta(days=365) else "MS"
    if usual == pd.Timedelta(days=1) and (index.weekday < 5).all() and len(index) > 10:
        return "B"
    return pd.tseries.frequencies.to_offset(usual).freqstr


def read_table(path: str | None) -> pd.DataFrame:
    """A CSV or parquet file, whatever separates its columns.

    Raises:
        UserError: It is not there or cannot be read.
    """
    if path is None:
        raise UserError("say where the table is: data.path=FILE (csv or parquet)")
    file = Path(path)
    if not file.is_file():
        raise UserError(f"{file}: there is no such file ({file.resolve()})")
    try:
        if file.suffix == ".parquet":
            table = pd.read_parquet(file)
        else:
            header = pd.read_csv(file, sep="\0", nrows=0, engine="c").columns[0]  # the whole line, unpacked if need be
            separator = max(",;\t|", key=header.count)
            table = pd.read_csv(file, sep=separator)
            texts = table.select_dtypes(["object", "str"]).head(100).astype(str)
            if separator != "," and texts.apply(lambda column: column.str.fullmatch(r"[-+]?\d+,\d+").any()).any():
                table = pd.read_csv(file, sep=separator, decimal=",")
    except (ValueError, OSError, pd.errors.ParserError) as error:
        raise UserError(f"{file} cannot be read as csv or parquet: {error}") from error
    if isinstance(table.index, pd.DatetimeIndex):  # parquet keeps an index
        table = table.reset_index()
    if not len(table):
        raise UserError(f"{file} has no rows")
    return table


def _must_have(table: pd.DataFrame, names: list[str], path: str | None) -> None:
    for name in names:
        if name not in table.columns:
            raise UserError(f"{path} has no column {name}; there are {', '.join(map(str, table.columns))}")


def time_column_of(table: pd.DataFrame, path: str | None) -> str:
    """The column of usual name, or the first whose cells can be read as times.

    Raises:
        UserError: There is none.
    """
    named = [name for name in table.columns if str(name).lower() in TIME_NAMES]
    for name in [*named, *table.columns]:
        column = table[name]
        if pd.api.types.is_datetime64_any_dtype(column):
            return name
        if name in named and column.notna().all():
            return name
        if not pd.api.types.is_numeric_dtype(column):
            try:
                pd.to_datetime(column.iloc[:100], format="mixed", utc=True)
            except (ValueError, TypeError):
                continue
            return name
    raise UserError(
        f"{path} has no column of times; there are {', '.join(map(str, table.columns))}. Name it: data.time_column="
    )


def times_of(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Times of the usual ways to write them, one way for all rows, in universal time where they have a zone.

    Whole numbers are years, days as 20180131, or seconds and their parts since 1970. Where day and month could be either,
    the order is taken that lets rows follow each other more evenly.

    Raises:
        UserError: A cell is no time.
    """
    missing = column.isna()
    if missing.any():
        raise UserError(
            f"{path}: there is no time in row {int(np.flatnonzero(missing)[0]) + 1} of column {column.name}"
        )
    if pd.api.types.is_numeric_dtype(column):
        return _from_numbers(column, path)
    found = []
    for how in ({}, {"dayfirst": True}, {"format": "ISO8601"}):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of dayfirst where years come first
                found.append(pd.DatetimeIndex(pd.to_datetime(column, utc=True, **how)))
        except (ValueError, TypeError):
            continue
    if not found:
        each = pd.to_datetime(column, format="mixed", errors="coerce", utc=True)
        row = int(np.flatnonzero(each.isna())[0]) if each.isna().any() else None
        if row is None:
            raise UserError(f"{path}: the times of column {column.name} are written in several ways; write all alike")
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no time")
    return min(found, key=_unevenness).tz_convert("UTC").tz_localize(None).as_unit("ns")


def _unevenness(times: pd.DatetimeIndex) -> tuple[int, float]:
    """How often times go back, and the longest step over the shortest."""
    steps = np.diff(times.asi8)
    forward = steps[steps > 0]
    return int((steps < 0).sum()), float(forward.max() / forward.min()) if len(forward) else 1.0


def _from_numbers(column: pd.Series, path: str | None) -> pd.DatetimeIndex:
    """Years, days as 20180131, or seconds, milli-, micro- or nanoseconds since 1970."""
    least, most = column.min(), column.max()
    try:
        if least >= 1678 and most <= 2261:
            return pd.DatetimeIndex(pd.to_datetime(column.astype(int).astype(str), format="%Y")).as_unit("ns")
        if least >= 16780101 and most <= 22611231:
            return pd.DatetimeIndex(pd.to_datetime(column.astype(int).astype(str), format="%Y%m%d")).as_unit("ns")
        unit = next((unit for unit, top in (("s", 1e10), ("ms", 1e13), ("us", 1e16)) if most < top), "ns")
        times = pd.DatetimeIndex(pd.to_datetime(column, unit=unit)).as_unit("ns")
    except ValueError as error:
        raise UserError(f"{path}: the numbers of column {column.name} are no times: {error}") from error
    if times[-1] < pd.Timestamp("1971"):
        raise UserError(
            f"{path}: the numbers of column {column.name} are no times; write years, days such as 20180131, or seconds "
            "since 1970"
        )
    return times


def numbers(column: pd.Series, path: str | None) -> np.ndarray:
    """The cells of a column; an empty one is NaN.

    Raises:
        UserError: A cell is no number.
    """
    found = pd.to_numeric(column, errors="coerce")
    wrong = found.isna() & column.notna() & (column.astype(str).str.strip() != "")
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(f"{path}: {column.iloc[row]!r} in row {row + 1} of column {column.name} is no number")
    return np.where(np.isinf(found), np.nan, found).astype(float)
