"""Where forecasts of new data begin: a table read as the training data was, with the steps behind its last measured row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from mla_train.config import Resample, SeriesTableOptions, TableOptions
from mla_train.data.tables.numbers import NumberFormat
from mla_train.errors import UserError
from mla_train.modalities.series.frequency import are_alike, following_times, frequency_of
from mla_train.modalities.series.spacing import evenly_spaced, in_order
from mla_train.modalities.series.spec import SeriesSpec, first_time, own_column, table_columns
from mla_train.modalities.series.tables import SeriesTable, listed, read_numeric_table
from mla_train.modalities.series.times import times_of
from mla_train.modalities.series.windows import Window, scale


def read_windows(
    file: Path,
    spec: SeriesSpec,
    start: str | None = None,
    backtest: int = 0,
    all_measured: bool = True,
    written: TableOptions | None = None,
) -> list[Window]:
    """Windows of a csv or parquet table that end where forecasts are wanted, the earliest first.

    Rows behind the last measured one may hold the covariates that are known ahead.

    Args:
        file: The table.
        spec: Spec of the model's series.
        start: Time of the first step that is forecast; None is the step behind the last measured row.
        backtest: Number of forecasts of measured steps, each a horizon before the next; 0 is the one forecast from `start`.
        all_measured: Whether each series needs a value in the rows that are read, see `has_past`; else one does.
        written: What the user said of how tables are written, such as their encoding.

    Raises:
        UserError: The file or a column does not exist, a cell is no number, rows are too few or of another distance, a series
            has no value in the rows that are read, or a covariate that is known ahead has none in those that are forecast.
    """
    notes: list[str] = []
    frame = _read(file, spec, notes, written or TableOptions())
    times = pd.DatetimeIndex(frame.index)
    measured = frame[spec.names].notna().any(axis=1).to_numpy().nonzero()[0]
    if not len(measured):
        raise UserError(f"{file} has no value of {', '.join(spec.names)}")
    now = int(measured[-1]) + 1 if start is None else _place(file, times, int(measured[-1]) + 1, start, spec)
    nows = [now - spec.horizon * number for number in range(backtest, 0, -1)] or [now]
    if nows[0] < spec.look_back:
        raise UserError(
            f"{file} has {nows[0]:,} rows before the forecast; this model reads the last {spec.look_back:,}"
            + (f", and --backtest {backtest} begins {spec.horizon * backtest:,} rows earlier" if backtest else "")
        )
    elif not spec.known and start is None and now < len(times):
        notes.append(f"the last {len(times) - now:,} rows have no value: the forecast begins at {times[now]}")
    lacking = max(0, now + spec.horizon - len(times)) if not backtest else 0
    if lacking:
        times = times.append(following_times(times[-1], lacking, spec.frequency))
        frame = frame.reindex(times)
    for name in spec.known:
        columns = [own_column(name, each) for each in spec.names] if name in spec.own else [name]
        steps = frame[columns].isna().any(axis=1)
        unknown = [int(steps.iloc[place : place + spec.horizon].sum()) for place in nows]
        if any(unknown):
            raise UserError(
                f"{file}: {name} is known ahead, but has no value in {max(unknown)} of the {spec.horizon} steps that are "
                "forecast: add rows for them, with this column filled and the series left empty"
            )
    series = scale(SeriesTable(frame, spec.names, spec.known, spec.observed, spec.own, notes=notes), spec)
    windows = [Window(series, place) for place in nows]
    _note_gaps(file, windows, spec, all_measured, notes)
    return windows


def has_past(window: Window, spec: SeriesSpec) -> np.ndarray:
    """Whether each series has a value in the rows that a forecast reads, `(series,)`: of another nothing can be said."""
    return np.logical_or.reduce(window.series.real[window.now - spec.look_back : window.now])


def _note_gaps(file: Path, windows: Sequence[Window], spec: SeriesSpec, all_measured: bool, notes: list[str]) -> None:
    """Says what is missing in the rows that forecasts read; a UserError where it is all of a series."""
    known: np.ndarray = np.stack([has_past(window, spec) for window in windows])
    silent = [spec.names[place] for place in np.flatnonzero((~known).sum(0))]
    if silent:
        first = windows[int((~known.all(1)).argmax())]
        rows = f"the {spec.look_back:,} rows before {first.series.table.times[first.now]}"
        if all_measured or not known.any(1).all():
            raise UserError(
                f"{file}: {listed(silent)} has no value in {rows}, which this model reads: fill them, or let scripts/predict.py leave its forecast empty"
            )
        notes.append(f"{listed(silent)} has no value in {rows}, which this model reads: its forecasts are left empty")
    last = windows[-1]
    real = last.series.real[last.now - spec.look_back : last.now]
    gaps = int((~real[:, known[-1]]).sum())
    if gaps:
        notes.append(f"{gaps:,} values are missing in the rows that are read: taken as the last value before them")


def _read(file: Path, spec: SeriesSpec, notes: list[str], written: TableOptions) -> pd.DataFrame:
    """Numbers by their times, at the distance that the model has learned; rows that are missing are gaps."""
    formats = {name: NumberFormat(*signs) for name, signs in spec.formats.items() if signs}
    options = SeriesTableOptions(
        path=str(file),
        time_column=spec.time_column or None,
        series_column=spec.series_column or None,
        targets=[spec.value_column] if spec.series_column else spec.names,
        known=table_columns(spec.known, spec.categories),
        observed=table_columns(spec.observed, spec.categories),
        **{**vars(written), "na_values": spec.na_values},
    )
    if spec.resample != Resample.refuse.value:
        options.resample, options.frequency = Resample(spec.resample), spec.frequency
        if options.resample is Resample.fill:  # no further than the last measured row
            options.resample = Resample.mean
    numeric = read_numeric_table(options, notes, spec.categories, spec.time_format, formats)
    frame, options = numeric.frame, numeric.options
    _check_zone(numeric.time_zone, spec, str(file), notes)
    lacking = [name for name in spec.names if name not in frame.columns]
    if lacking:
        raise UserError(f"{file} has no series {', '.join(lacking)} in column {spec.series_column}")
    others = (*spec.names, *numeric.spacing.known, *options.observed)
    strange = [name for name in frame.columns if name not in others]
    if strange:
        notes.append(f"{file}: left out series that the model has not learned from: {listed(strange)}")
    frame = _with_own_columns(frame, spec, numeric.own, file)
    if spec.resample != Resample.refuse.value:
        frame = evenly_spaced(frame, numeric.spacing, notes, origin=first_time(spec))
        if spec.resample == Resample.fill.value:
            last = frame[spec.names].last_valid_index()
            frame[:last] = frame[:last].ffill()
        return frame
    times = pd.DatetimeIndex(frame.index)
    if not times.is_unique:
        raise UserError(f"{file}: duplicate time {times[times.duplicated()][0]}: keep one of both rows")
    frame, _ = in_order(frame, str(file), notes, numeric.places)
    times = pd.DatetimeIndex(frame.index)
    if len(times) < spec.look_back:
        raise UserError(f"{file} has {len(times):,} rows; this model reads the last {spec.look_back:,}")
    frequency = frequency_of(times, str(file))
    if not are_alike(frequency, spec.frequency, times[0]):
        raise UserError(
            f"{file}: rows are {frequency} apart, and this model has learned from rows {spec.frequency} apart"
        )
    even = pd.date_range(times[0], times[-1], freq=spec.frequency)
    odd = times.difference(even)
    if len(odd):
        raise UserError(f"{file}: rows are {frequency} apart, but {len(odd):,} are not, the first is {odd[0]}")
    if len(even) > len(frame):
        notes.append(f"{len(even) - len(frame):,} of {len(even):,} rows are not there and are gaps")
    return frame.reindex(even)


def _check_zone(zone: str, spec: SeriesSpec, where: str, notes: list[str]) -> None:
    """Refuses times with a zone where the training data is of the clock of some place, and says the other way round."""
    if spec.time_zone == "local" and zone == "UTC":
        raise UserError(
            f"{where}: times have a zone, and those of the training data have none: write them without it, of the same clock "
            "as there"
        )
    if spec.time_zone == "UTC" and zone == "local":
        notes.append(f"{where}: times have no zone, and are read as universal time (UTC), as in the training data")


def _with_own_columns(frame: pd.DataFrame, spec: SeriesSpec, own: Sequence[str], file: Path) -> pd.DataFrame:
    """The columns that a model reads: of a covariate that differs between series one for each, also where they agree in the file."""
    covariates = [*spec.known, *spec.observed]
    differing = [name for name in covariates if name in own and name not in spec.own]
    if differing:
        raise UserError(
            f"{file}: {', '.join(differing)} differs between series, and this model has learned from one for all series"
        )
    alike = [name for name in covariates if name in spec.own and name not in own]
    shared = {own_column(name, each): frame[name] for name in alike for each in spec.names}
    columns = [own_column(name, each) for name in spec.own for each in spec.names]
    frame = frame.assign(**shared)
    return frame[[*spec.names, *(name for name in covariates if name not in spec.own), *columns]]


def _place(file: Path, times: pd.DatetimeIndex, latest: int, start: str, spec: SeriesSpec) -> int:
    """Row of the first step that is forecast."""
    reading = times_of(pd.Series([start], name="--from"), None, usual=spec.time_format)
    _check_zone(reading.zone, spec, f"--from {start}", [])
    time = reading.times[0]
    place = int(times.searchsorted(time))
    earliest = times[spec.look_back] if spec.look_back < len(times) else None
    ahead = times[latest] if latest < len(times) else following_times(times[-1], 1, spec.frequency)[0]
    if time > ahead or (earliest is not None and time < earliest):
        raise UserError(f"--from {start}: {file} allows forecasts from {earliest} to {ahead}")
    return place
