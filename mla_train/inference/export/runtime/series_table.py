"""Windows of csv tables of time series for infer_onnx.py, with numpy alone.

Rows are in order and evenly spaced, seconds to weeks apart; missing ones are gaps. Times are written as 2024-03-01 or
2024-03-01 12:00:00.
"""

import csv
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, time
from typing import Any

import numpy as np

TIME_NAMES = ("date", "time", "datetime", "timestamp", "ds")
EMPTY_CELLS = ("", "na", "n/a", "#n/a", "<na>", "null", "none", "nan")
SECONDS = {"s": 1, "min": 60, "h": 3600, "D": 86400, "W": 7 * 86400}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MOST_GROWTH = 20  # steps of a row, at most, where gaps are usual
GROUPED = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")  # whose point may part thousands
RESTORE: dict[str, Any] = {"none": np.array, "log": np.exp, "log1p": np.expm1, "asinh": np.sinh}
Spec = dict[str, Any]


def read_window(file: str, spec: Spec) -> dict[str, np.ndarray]:
    """The last measured rows of a csv table, and all that is known of the rows that follow."""
    if spec["series_column"] or not isinstance(spec["time_column"], str):
        raise ValueError("long tables, and times in several columns, need mla_train.load")
    if spec["categories"]:
        raise ValueError(f"covariates that are texts need mla_train.load: {', '.join(spec['categories'])}")
    names = [*spec["names"], *spec["known"], *spec["observed"]]
    times, cells = read_table(file, names, spec)
    frequency = re.fullmatch(r"(\d*)(s|min|h|D|W)(?:-(\w+))?", spec["frequency"])
    if frequency is None:
        raise ValueError(f"rows that are {spec['frequency']} apart need mla_train.load")
    step = int(frequency[1] or 1) * SECONDS[frequency[2]]
    rows = ((times - times[0]) / step).round().astype(int)
    if (rows * step != times - times[0]).any() or (np.diff(rows) < 1).any():
        raise ValueError(f"{file}: rows must be in order and {spec['frequency']} apart")
    check_distance(file, times, rows, frequency[3], spec)
    table = np.full((rows[-1] + 1 + spec["horizon"], len(names)), np.nan)
    table[rows] = cells
    series = len(spec["names"])
    now = int(np.flatnonzero(~np.isnan(table[:, :series]).all(1))[-1]) + 1
    start, end = now - spec["look_back"], now + spec["horizon"]
    if start < 0:
        raise ValueError(f"{file} has {now} rows before the forecast; this model reads the last {spec['look_back']}")
    if spec["resample"] == "fill":
        table[:now] = filled(table[:now], np.full(len(names), np.nan))
    real, known = ~np.isnan(table[:, :series]), slice(series, series + len(spec["known"]))
    if np.isnan(table[now:end, known]).any():
        raise ValueError(f"{file}: {', '.join(spec['known'])} must have values in the steps that are forecast")
    means = RESTORE[spec["transform"]](np.array(spec["mean"]))
    table = filled(table, np.concatenate([means, spec["covariate_mean"]]))
    seconds = times[0] + np.arange(len(table)) * step
    first = round((times[0] - to_seconds([spec["start"]], "UTC")[0]) / step)
    return {
        "past": table[start:now, :series].T,
        "real": real[start:now].T,
        "known": np.concatenate([calendar(seconds, spec["yearly"]), table[:, known]], 1)[None, start:end],
        "observed": table[None, start:now, known.stop :],
        "phase": np.array((first + start) % spec["period"]),
    }


def check_distance(file: str, times: np.ndarray, rows: np.ndarray, weekday: str | None, spec: Spec) -> None:
    """Refuses rows that are usually several steps apart, on working days alone, or on another weekday."""
    steps, days = np.sort(np.diff(rows)), (times // 86400 + 3) % 7  # 1970 began on a Thursday
    if spec["resample"] == "refuse":
        is_wrong = len(steps) > 0 and steps[(len(steps) - 1) // 2] > 1
        is_working = (
            spec["frequency"] in ("D", "1D") and len(rows) > 10 and days.max() < 5 and not (times % 86400).any()
        )
    else:  # gaps are usual
        is_wrong, is_working = rows[-1] + 1 > MOST_GROWTH * len(rows), False
    if is_wrong or is_working or (weekday and WEEKDAYS[int(days[0])] != weekday):
        raise ValueError(
            f"{file}: rows have another distance or weekday than {spec['frequency']}, from which this model has learned"
        )


def read_table(file: str, names: Sequence[str], spec: Spec) -> tuple[np.ndarray, np.ndarray]:
    """Seconds since 1970 of each row, and columns of numbers `(rows, names)`, NaN where a cell is empty."""
    with open(file, encoding="utf-8-sig", newline="") as stream:
        separator = max(",;\t|", key=stream.readline().count)
        stream.seek(0)
        reader = csv.DictReader(stream, delimiter=separator)
        rows, first = list(reader), list(reader.fieldnames or [])
    odd = next((number for number, row in enumerate(rows, 1) if None in row or None in row.values()), None)
    if odd is not None:
        raise ValueError(f"{file}: row {odd} has more or fewer cells than the header")
    header = list(rows[0]) if rows else []
    usual = [name for name in header if name.lower() in TIME_NAMES]
    moment = spec["time_column"] or next((name for name in [*usual, *header] if name not in names), "of times")
    lacking = [name for name in (moment, *names) if name not in header]
    if lacking:
        raise ValueError(f"{file} has no column {', '.join(lacking)}")
    twice = [name for name in (moment, *names) if first.count(name) > 1]
    if twice:
        raise ValueError(f"{file} has several columns {twice[0]}: give each a name of its own")
    signs = [spec["formats"].get(name) or [None, "", ""] for name in names]
    for name, each in zip(names, signs, strict=True):
        check_signs(name, [row[name].strip() for row in rows], spec["na_values"], *each)
    cells = [
        [to_number(row[name], separator, spec["na_values"], *each) for name, each in zip(names, signs, strict=True)]
        for row in rows
    ]
    return to_seconds([row[moment] for row in rows], spec["time_zone"]), np.array(cells)


def check_signs(
    name: str,
    cells: Sequence[str],
    missing: Sequence[str],
    decimal: str | None = None,
    thousands: str = "",
    unit: str = "",
) -> None:
    """Refuses a column whose points may part thousands, or that lacks the unit of the training data where that is a fraction."""
    numbers = [cell for cell in cells if not is_missing(cell, missing)]
    pointed = [cell for cell in numbers if "." in cell]
    if not decimal and 0 < len(pointed) < len(numbers) and all(map(GROUPED.fullmatch, pointed)):
        raise ValueError(f"{name}: {pointed[0]} may be written in thousands: it needs mla_train.load")
    if not unit or not numbers or any(unit in cell for cell in numbers):
        return
    if unit in "%‰":
        raise ValueError(f"{name} is not in {unit}, as in the training data: write it as there, as in 33.1{unit}")
    print(f"{name} has numbers without a unit, which are read in {unit}, as in the training data", file=sys.stderr)


def is_missing(cell: str, missing: Sequence[str]) -> bool:
    """Whether a cell is empty, a word for a missing value, or such a number in any form."""
    text = cell.strip().casefold()
    if text in EMPTY_CELLS or any(text == each.strip().casefold() for each in missing):
        return True
    number = as_number(text) if missing else None
    return number is not None and any(number == as_number(each) for each in missing)


def as_number(text: str) -> float | None:
    """The number of a text, with point or comma; three digits behind a comma may be thousands, which are left alone."""
    try:
        return float(text if re.search(r",\d{3}$", text) else text.replace(",", "."))
    except ValueError:
        return None


def to_number(
    cell: str, separator: str, missing: Sequence[str], decimal: str | None = None, thousands: str = "", unit: str = ""
) -> float:
    """A cell as a number, with the signs of the training data; NaN where it is missing or infinite."""
    if is_missing(cell, missing):
        return np.nan
    text = cell.strip().removeprefix(unit).removesuffix(unit).strip()
    other = "." if decimal == "," else ","
    if decimal and other in text:
        if re.fullmatch(rf"[-+]?\d{{1,3}}({re.escape(other)}\d{{3}})+", text.partition(decimal)[0]):
            if thousands != other:
                raise ValueError(
                    f"{cell} has not the signs of the training data, a decimal {decimal}: it needs mla_train.load"
                )
            text = text.replace(other, "")
        elif decimal in text:
            raise ValueError(f"{cell} is no number")
    if "_" in text or (not decimal and re.fullmatch(r"[-+]?\d{1,3}(,\d{3})+", text)):
        raise ValueError(f"{cell} may be written in thousands, or is no number: it needs mla_train.load")
    value = float(text if separator == "," and decimal != "," else text.replace(",", "."))
    return value if np.isfinite(value) else np.nan


def to_seconds(times: Sequence[str], zone: str) -> np.ndarray:
    """Seconds since 1970 of times as in 2024-03-01 or 2024-03-01 12:00:00; days with a zone are those of its place.

    Args:
        times: All times of a table.
        zone: Whether those of the training data have a zone, "UTC", or none, "local".
    """
    moments = [datetime.fromisoformat(time.strip()) for time in times]
    are_days = all(moment.time() == time() for moment in moments)
    if zone == "local" and not are_days and any(moment.tzinfo for moment in moments):
        raise ValueError("times have a zone, and those of the training data have none: write them without it")
    if are_days:
        moments = [moment.replace(tzinfo=None) for moment in moments]
    return np.array([(moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() for moment in moments])


def filled(table: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """Gaps take the last value before them, those at the beginning another."""
    last = np.maximum.accumulate(np.where(np.isnan(table), -1, np.arange(len(table))[:, None]), 0)
    return np.where(last < 0, otherwise, np.take_along_axis(table, last.clip(0), 0))


def calendar(seconds: np.ndarray, yearly: bool) -> np.ndarray:
    """Sine and cosine of the time of day, the day of the week and, if asked for, the day of the year."""
    day = seconds % 86400 // 1 / 86400
    dates = (seconds // 86400).astype(int)
    turns = [day, ((dates + 3) % 7 + day) / 7]  # 1970 began on a Thursday
    if yearly:
        dates = dates.astype("datetime64[D]")
        turns.append(((dates - dates.astype("datetime64[Y]")).astype(int) + day) / 365.25)
    angles = np.stack(turns, 1) * 2 * np.pi
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)
