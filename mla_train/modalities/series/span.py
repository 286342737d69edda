"""Rows from the first to the last time that the user names."""

from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.times import times_of


def in_span(times: pd.DatetimeIndex, options: SeriesTableOptions, notes: list[str]) -> np.ndarray:
    """True in the rows from `data.start` to `data.end`, both included, `(rows,)`; a note says how many these are."""
    inside = np.ones(len(times), dtype=bool)
    if options.start is not None:
        inside &= times >= _edge("start", options.start)
    if options.end is not None:
        inside &= times <= _edge("end", options.end)
    span = " ".join(f"data.{name}={each}" for name in ("start", "end") if (each := getattr(options, name)) is not None)
    if not inside.any():
        raise UserError(f"{span}: {options.path} has no such row; its times go from {times.min()} to {times.max()}")
    if span:
        notes.append(f"read {inside.sum():,} of {len(times):,} rows: {span}")
    return inside


def _edge(name: str, value: Any) -> pd.Timestamp:
    """A time; of a day, a month or a year its first moment or, as an end, its last."""
    if ":" not in str(value):
        with suppress(ValueError, AttributeError):  # seconds since 1970 are no period
            period = pd.Period(str(value))
            return period.start_time if name == "start" else period.end_time
    try:
        return times_of(pd.Series([value]), None)[0]
    except UserError as error:
        raise UserError(f"data.{name}={value} is no time; write 2018-01-31 or '2018-01-31 12:00'") from error
