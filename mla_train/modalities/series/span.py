"""Rows from the first to the last time that the user names."""

import re
from contextlib import suppress
from typing import Any

import numpy as np
import pandas as pd

from mla_train.config import SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.times import times_of

PERIOD = re.compile(r"\d{4}(-?Q[1-4]|-\d\d?(-\d\d?)?|/\d\d?/\d\d?|[01]\d[0-3]\d)?")
"""Years, quarters, months and days, the year first."""


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
    text = str(value).strip()
    if PERIOD.fullmatch(text):
        with suppress(ValueError):
            period = pd.Period(text)
            return period.start_time if name == "start" else period.end_time
    try:
        time = times_of(
            pd.Series([value if isinstance(value, int | float) else text], name=f"data.{name}"), None
        ).times[0]
    except UserError as error:
        dates = re.findall(r"(\S+) with data.time_format", str(error))
        may_be = f"; it may be {' or '.join(dates)}" if dates else ""
        raise UserError(f"data.{name}={value} is no time{may_be}; write 2018-01-31 or '2018-01-31 12:00'") from error
    is_day = name == "end" and time == time.normalize() and ":" not in text and not text.isdecimal()
    return time + pd.Timedelta(days=1) - pd.Timedelta(1) if is_day else time
