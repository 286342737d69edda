"""Columns of times are found, and times in parts are joined."""

import numpy as np
import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.modalities.series.time_columns import joined_times, time_column_of

HOURS = pd.date_range("2024-01-01", periods=100, freq="h")
MONTHS = pd.date_range("1990-01-01", periods=100, freq="MS")
QUARTERS = pd.date_range("1990-01-01", periods=80, freq="QS")
WEEKS = pd.date_range("2014-01-06", periods=80, freq="7D").isocalendar()
DATE = HOURS.strftime("%d.%m.%Y")


@pytest.mark.parametrize(("count", "step"), [(48, "30min"), (96, "15min")])
def test_periods_of_a_day_are_counted_from_one(count, step):
    days = pd.date_range("2024-10-26", periods=3, freq="D").strftime("%Y-%m-%d")
    table = pd.DataFrame([(day, period) for day in days for period in range(1, count + 1)], columns=["day", "period"])
    reading = joined_times(table, ["day", "period"], None, None, "")
    assert reading.times.tolist() == pd.date_range("2024-10-26", periods=3 * count, freq=step).tolist()
    assert f"period counts the {count} periods of a day" in reading.said


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Date": DATE, "Hour": HOURS.hour}, HOURS),
        ({"Date": DATE, "Hour": HOURS.hour + 1}, HOURS + pd.Timedelta("1h")),
        ({"Date": DATE, "Time": [f"{hour + 1}:00" for hour in HOURS.hour]}, HOURS + pd.Timedelta("1h")),
        ({"Date": DATE, "Time": HOURS.hour * 100}, HOURS),
        ({"Date": DATE, "Time": HOURS.strftime("%H%M%S")}, HOURS),
        ({"Date": DATE, "Time": HOURS.strftime("%H.%M")}, HOURS),
        ({"Date": DATE, "Time": HOURS.strftime("%I:%M %p")}, HOURS),
        ({"Date": DATE, "Time": HOURS.strftime("%I %p")}, HOURS),
        ({"Date": DATE, "Time": HOURS.hour / 24}, HOURS),
        ({"Time": HOURS.strftime("%H:%M"), "Date": DATE}, HOURS),
        ({"year": MONTHS.year, "month": MONTHS.month}, MONTHS),
        ({"Jahr": MONTHS.year, "Monat": MONTHS.strftime("%b")}, MONTHS),
        ({"year": QUARTERS.year, "quarter": QUARTERS.quarter}, QUARTERS),
        ({"year": QUARTERS.year, "q": [f"Q{each}" for each in QUARTERS.quarter]}, QUARTERS),
        ({"year": WEEKS.year.to_numpy(), "week": WEEKS.week.to_numpy()}, WEEKS.index),
        ({"year": HOURS.year, "doy": HOURS.dayofyear, "hr": HOURS.hour}, HOURS),
    ],
)
def test_parts_are_joined(columns, expected):
    table = pd.DataFrame({name: [str(cell) for cell in cells] for name, cells in columns.items()})
    assert joined_times(table, list(columns), "a.csv").times.tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"Date": ["2024-01-01"], "Time": ["noon"]}, "row 1: 'noon' in column Time is no time of day: write 18:00"),
        ({"Date": ["2024-01-01"], "Time": ["2575"]}, "'2575' in column Time is no time of day"),
        ({"year": ["2024"], "month": ["13"]}, "'13' in column month is no month; it is from 1 to 12"),
        ({"year": ["2023"], "doy": ["366"]}, "year 2023, doy 366 are no time"),
    ],
)
def test_what_is_no_part_is_named(columns, message):
    with pytest.raises(UserError, match=message):
        joined_times(pd.DataFrame(columns), list(columns), "a.csv")


@pytest.mark.parametrize(
    "other", [{"month": "Jan"}, {"sensor": "T5"}, {"weekday": "Mon"}, {"Time": "12:00"}, {"time": np.arange(100) / 2}]
)
def test_words_numbers_and_times_of_day_are_no_times(other):
    table = pd.DataFrame({**other, "stamp": HOURS.astype(str), "y": 1.0}, index=range(100))
    assert time_column_of(table, "a.csv") == "stamp"


def test_parts_are_named():
    table = pd.DataFrame({"year": MONTHS.year, "month": MONTHS.month, "y": 1.0})
    with pytest.raises(UserError, match=r"no column of times.*data.time_column=\[year,month\]"):
        time_column_of(table, "a.csv")
