"""Rows at even distances: order, jitter, the calendar, and what is said."""

import numpy as np
import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.modalities.series.frequency import following_times, frequency_of, steps_between
from mla_train.task import build_task
from tests.helpers import forecasting_config, hourly_table

CHANCE = np.random.default_rng(0)


def read(folder, frame, *words, **how):
    return build_task(forecasting_config(folder, frame, *words, **how)).load_data()


def table_of(data):
    return data.test.columns["series"].series.table


@pytest.mark.parametrize(
    ("step", "seconds"), [("1h", 60), ("15min", 20), ("1s", 0.03), ("100ms", 0.003), ("1D", 600), ("25min", 30)]
)
def test_times_a_bit_off_are_moved_to_the_nearest(tmp_path, step, seconds):
    exact = pd.date_range("2024-01-01", periods=400, freq=step)
    frame = hourly_table().assign(date=exact + pd.to_timedelta(CHANCE.normal(0, seconds, 400), unit="s"))
    data = read(tmp_path, frame, "data.resample=mean", f"data.frequency={step}")
    assert table_of(data).times.tolist() == exact.tolist()
    np.testing.assert_allclose(table_of(data).values, frame[["load", "price"]])
    assert any("read as the nearest" in note for note in data.notes)


def test_means_of_longer_steps_are_not_moved(tmp_path):
    frame = hourly_table().assign(date=pd.date_range("2024-01-01", periods=400, freq="30min"))
    data = read(tmp_path, frame, "data.resample=mean", "data.frequency=1h")
    assert table_of(data).values[0, 0] == pytest.approx(frame["load"][:2].mean())


@pytest.mark.parametrize("rows", [400, 397])
def test_a_sum_of_a_part_of_a_step_is_said(tmp_path, rows):
    frame = hourly_table().assign(date=pd.date_range("2024-01-01", periods=400, freq="15min"))[:rows]
    data = read(tmp_path, frame, "data.resample=sum", "data.frequency=1h", "data.look_back=8", "data.horizon=2")
    notes = [note for note in data.notes if "sums of fewer values than usual" in note]
    assert len(notes) == (rows < 400)
    assert all("1 steps are" in n and "such as 2024-01-05 03:00:00, where load has 1 instead of 4" in n for n in notes)


def test_sums_of_numbers_of_values_that_vary_are_not_said(tmp_path):
    days = pd.date_range("2024-01-01", periods=400, freq="B")
    months = read(
        tmp_path, hourly_table().assign(date=days), "data.resample=sum", "data.frequency=W", "data.look_back=8"
    )
    assert not any("fewer values" in note for note in months.notes)


@pytest.mark.parametrize("frequency", ["2MS", "2ME", "4MS", "6MS", "6ME", "SMS", "SME", "2YS", "5YE", "QS-FEB"])
def test_multiples_of_months_and_years(tmp_path, frequency):
    times = pd.date_range("1750-01-01", periods=60, freq=frequency)
    frame = pd.DataFrame({"date": times, "y": np.sin(np.arange(60))}).drop(index=7)
    data = read(tmp_path, frame, "data.look_back=8", "data.horizon=2", "data.period=4")
    assert table_of(data).times.tolist() == times.tolist()
    found = frequency_of(times)
    assert following_times(times[39], 10, found).tolist() == times[40:50].tolist()
    assert steps_between(times[0], times[50], found) == 50


def test_the_newest_row_may_be_the_first(tmp_path):
    data = read(tmp_path, hourly_table()[::-1])
    assert table_of(data).times.is_monotonic_increasing
    assert any("turned round" in note for note in data.notes)


def test_a_few_steps_without_a_row_are_gaps_and_many_or_odd_ones_an_error(tmp_path):
    lacking = hourly_table().drop(index=[20, 21, 300])
    data = read(tmp_path, lacking)
    table = table_of(data)
    assert len(table.times) == 400
    assert np.flatnonzero(np.isnan(table.values[:, 0])).tolist() == [20, 21, 300]
    assert any("an hour apart; 3 of 400 are not there and are gaps" in note for note in data.notes)
    same = read(tmp_path, lacking, "data.resample=last")
    np.testing.assert_array_equal(table_of(same).values, table.values)
    with pytest.raises(UserError, match=r"data\.resample=mean"):
        read(tmp_path, hourly_table().drop(index=range(20, 41)))  # 21 of 400
    half = hourly_table()
    half.loc[7, "date"] += pd.Timedelta("30min")
    with pytest.raises(UserError, match=r"usually an hour apart, but 2 are not.*data.resample=mean"):
        read(tmp_path, half)


def test_errors_name_the_line_and_how_times_were_read(tmp_path):
    shuffled = hourly_table()
    shuffled.loc[[5, 6]] = shuffled.loc[[6, 5]].to_numpy()
    with pytest.raises(UserError, match=r"a.csv line 8: times are not in order.*data.series_column=") as error:
        read(tmp_path, shuffled)
    assert "mean" not in str(error.value)
    uneven = hourly_table().assign(date=40_000 + np.cumsum(CHANCE.random(400)))
    with pytest.raises(UserError, match=r"line 3: rows are usually .*\(numbers of column date .*=excel\)\)"):
        read(tmp_path, uneven)
    ends = pd.date_range("2000-01-15", periods=400, freq="MS") + pd.Timedelta(days=14)
    with pytest.raises(UserError, match=r"a.csv: rows are a month apart.*data.resample=mean data.frequency=MS"):
        read(tmp_path, hourly_table().assign(date=ends))


def test_centuries_are_no_overflow(tmp_path):
    times = [pd.Timestamp("1700-01-01"), *pd.date_range("2024-01-01", periods=399, freq="h")]
    with pytest.raises(UserError, match="rows are usually"):
        read(tmp_path, hourly_table().assign(date=times))
    with pytest.raises(UserError, match="most of them gaps"):
        read(tmp_path, hourly_table().assign(date=times), "data.resample=mean")
    words = ["data.look_back=8", "data.horizon=2", "data.period=4"]
    decades = pd.date_range("1700-01-01", periods=50, freq="10YS")
    assert len(table_of(read(tmp_path, hourly_table(50).assign(date=decades), *words)).times) == 50


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("Unnamed: 0.1", np.sort(CHANCE.choice(9999, 400, False))),
        ("_c0", np.sort(CHANCE.choice(9999, 400, False))),
        ("record_id", CHANCE.permutation(400)),
        ("n", np.arange(100, 500)),
        ("n", np.arange(400, 0, -1)),
    ],
)
def test_counters_of_all_kinds_are_not_forecast(tmp_path, name, values):
    data = read(tmp_path, hourly_table(**{name: values}))
    assert data.spec.inputs["series"].spec.names == ["load", "price"]
    assert any(note.startswith(f"{name}: not forecast") for note in data.notes)


def test_huge_values_have_a_scale(tmp_path):
    data = read(tmp_path, hourly_table().set_index("date").mul(1e299).reset_index())
    assert np.isfinite(data.spec.inputs["series"].spec.std).all()
    np.testing.assert_allclose(
        data.test.columns["series"].series.values,
        read(tmp_path, hourly_table()).test.columns["series"].series.values,
        atol=1e-5,
    )


@pytest.mark.parametrize(
    ("words", "first", "last"),
    [
        (["data.start=05.01.2024", "data.end=12.01.2024"], "2024-01-05 00:00", "2024-01-12 23:00"),
        (["data.start=20240105", "data.end=20240112"], "2024-01-05 00:00", "2024-01-12 23:00"),
        (["data.start=13/01/2024"], "2024-01-13 00:00", "2024-01-17 15:00"),
        (["data.start=2024-W02"], "2024-01-08 00:00", "2024-01-17 15:00"),
    ],
)
def test_spans_are_read_as_times_are(tmp_path, words, first, last):
    times = table_of(read(tmp_path, hourly_table(), *words)).times
    assert (times[0], times[-1]) == (pd.Timestamp(first), pd.Timestamp(last))


def test_a_span_that_may_be_two_days_is_asked(tmp_path):
    with pytest.raises(UserError, match=r"data.start=01/02/2024 .* 2024-02-01 or 2024-01-02; write 2018-01-31"):
        read(tmp_path, hourly_table(), "data.start=01/02/2024")
