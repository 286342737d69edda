"""Tables of series as people have them: nothing is lost or read as something else without a word."""

import json
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from mla_train.config import SeriesTableOptions
from mla_train.errors import UserError
from mla_train.modalities.series.frequency import are_alike, frequency_of, usual_distance
from mla_train.modalities.series.future import read_windows
from mla_train.modalities.series.tables import read_series_table
from mla_train.modalities.series.times import times_of
from mla_train.task import build_task
from tests.helpers import config, forecasting_config, hourly_table


def read(folder, frame, *words, **how):
    return build_task(forecasting_config(folder, frame, *words, **how)).load_data()


def spec(data):
    return data.spec.inputs["series"].spec


def table_of(data):
    return data.test.columns["series"].series.table


def long_table():
    """Three series one below the other, the last from a later time on."""
    times, wave = pd.date_range("2024-01-01", periods=400, freq="1h"), np.sin(np.arange(400) / 24 * 2 * np.pi)
    parts = [
        pd.DataFrame({"id": name, "ds": times, "y": factor * (10 + wave)})
        for name, factor in (("north", 1.0), ("south", 100.0), ("7", 0.1))
    ]
    parts[2] = parts[2][50:]
    return pd.concat(parts)


@pytest.mark.parametrize("count", [2**63, 2**63 - 1, 2**64 - 1, -(2**63)])
def test_the_largest_counts_are_no_times(tmp_path, count):
    with pytest.raises(UserError, match="date"):
        read(tmp_path, hourly_table().assign(date=[count] * 400))


@pytest.mark.parametrize("first", [0, 1])
def test_counters_and_constants_are_left_out_and_said(tmp_path, first):
    frame = hourly_table(store=7, number=np.arange(400) + first, almost=np.arange(400) // 399)
    data = read(tmp_path, frame)
    assert spec(data).names == ["load", "price", "almost"]
    notes = " ".join(data.notes)
    assert "store, number: not forecast" in notes
    assert "data.targets=[load,price,store,number,almost]" in notes
    assert "3 series are read: load, price, almost" in notes
    assert spec(read(tmp_path, frame, "data.targets=[number,store]")).names == ["number", "store"]


def test_infinite_values_are_said(tmp_path):
    frame = hourly_table().astype({"load": object})
    frame.loc[[5, 9], "load"] = ["inf", "1e999"]
    assert "load: 2 infinite values are read as missing" in read(tmp_path, frame).notes


def test_a_table_of_a_counter_alone_is_forecast(tmp_path):
    data = read(tmp_path, hourly_table()[["date"]].assign(y=np.arange(400)))
    assert spec(data).names == ["y"]


def test_a_column_without_a_name_is_not_read(tmp_path):
    file = tmp_path / "a.csv"
    config = forecasting_config(tmp_path, hourly_table())
    hourly_table().to_csv(file)
    assert spec(build_task(config).load_data()).names == ["load", "price"]


def test_times_of_a_sensor_are_a_minute_apart(tmp_path):
    chance, frame = np.random.default_rng(0), hourly_table()
    frame["date"] = pd.Timestamp("2024-01-01 00:00:30") + pd.to_timedelta(
        np.arange(400) * 60 + chance.uniform(-9, 9, 400), unit="s"
    )
    frame = pd.concat([frame, frame[::40].assign(date=frame["date"][::40] + pd.Timedelta("3ms"))]).sort_values("date")
    with pytest.raises(UserError, match=r"usually a minute apart, .* data.frequency=min$"):
        read(tmp_path, frame)
    data = read(tmp_path, frame, "data.resample=mean")
    assert (len(table_of(data).times), spec(data).frequency) == (400, "min")


@pytest.mark.parametrize(
    ("seconds", "usual"),
    [(60, "1min"), (3600, "1h"), (86400, "1D"), (7, "7s"), (0.004, "4ms"), (45 * 60, "45min"), (900, "15min")],
)
def test_usual_distances(seconds, usual):
    chance = np.random.default_rng(0)
    offsets = np.arange(500) * seconds + chance.uniform(-0.02, 0.02, 500) * seconds
    assert usual_distance(pd.Timestamp("2024-01-01") + pd.to_timedelta(offsets * 1e9)) == pd.Timedelta(usual)
    exact = pd.date_range("2024-01-01", periods=50, freq="73s")
    assert usual_distance(exact) == pd.Timedelta("73s")


def test_ways_to_write_a_frequency_are_alike():
    monday = pd.Timestamp("2024-01-01")
    assert are_alike("QS-JAN", "QS-APR", monday)
    assert are_alike("7D", "W-MON", monday)
    assert not are_alike("MS", "31D", monday)
    assert not are_alike("B", "D", monday)
    assert frequency_of(pd.date_range("2024-01-01 09:00", periods=20, freq="7D")) == "7D"


def test_weeks_of_a_later_table_begin_on_the_weekday_of_training(tmp_path):
    """Steps are counted from the first row of training, wherever a table that is forecast begins."""
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=700, freq="D"), "y": np.arange(700.0) % 30})
    words = ["data.resample=mean", "data.frequency=7D", "data.look_back=12", "data.horizon=3"]
    data = read(tmp_path, frame, *words)
    frame[10:].to_csv(tmp_path / "later.csv", index=False)
    (window,) = read_windows(tmp_path / "later.csv", spec(data))
    own, trained = window.series.table.frame["y"][1:90], table_of(data).frame["y"]
    np.testing.assert_array_equal(own, trained[own.index])


def split_times(frame, date, time):
    """Date and time of day in two columns."""
    times = frame["date"]
    return frame.drop(columns="date").assign(Date=times.dt.strftime(date), Time=times.dt.strftime(time))


@pytest.mark.parametrize(
    ("date", "time"), [("%d/%m/%Y", "%H.%M.%S"), ("%Y-%m-%d", "%H:%M"), ("%m/%d/%Y", "%H:%M:%S"), ("%Y%m%d", "%H")]
)
def test_date_and_time_apart(tmp_path, date, time):
    frame = split_times(hourly_table(), date, time)
    data = read(tmp_path, frame, "data.time_column=[Date,Time]", sep=";")
    np.testing.assert_array_equal(table_of(data).times, hourly_table()["date"])
    assert (spec(data).names, spec(data).time_column) == (["load", "price"], ["Date", "Time"])


@pytest.mark.parametrize("resample", ["refuse", "mean"])
def test_days_are_not_averaged_unasked(tmp_path, resample):
    frame = split_times(hourly_table(), "%d/%m/%Y", "%H.%M.%S")
    with pytest.raises(UserError, match=r"Time holds times of day: data.time_column=\[Date,Time\]"):
        read(tmp_path, frame, f"data.resample={resample}")


def test_a_row_that_says_when_it_ends_has_the_time_of_its_beginning(tmp_path):
    """As markets of electricity and shifts have it."""
    frame = split_times(hourly_table(), "%d.%m.%Y", "%H:%M").rename(columns={"Date": "Datum", "Time": "Anfang"})
    frame["Ende"] = frame["Anfang"].shift(-1, fill_value="00:00")
    with pytest.raises(UserError, match=r"Anfang holds times of day: data.time_column=\[Datum,Anfang\] joins them"):
        read(tmp_path, frame)
    with pytest.raises(UserError, match=r"Anfang and Ende.*data\.time_column="):
        read(tmp_path, frame, "data.time_column=[Datum,Anfang,Ende]")
    data = read(tmp_path, frame, "data.time_column=[Datum,Anfang]", "data.targets=[load,price]")
    np.testing.assert_array_equal(table_of(data).times, hourly_table()["date"])


@pytest.mark.parametrize("column", ["date", "shop"])
def test_halves_of_characters_are_no_traceback(tmp_path, column):
    """As a JSON file may hold them."""
    rows = [{"date": f"{i % 20:02}012024", "shop": "ab"[i // 20], "load": i} for i in range(40)]
    rows[3][column] = "\ud800"
    (tmp_path / "a.json").write_text(json.dumps(rows))
    options = SeriesTableOptions(path=str(tmp_path / "a.json"), series_column="shop", targets=["load"])
    with suppress(UserError):
        read_series_table(options)
    options.series_column, options.time_column = None, None
    with suppress(UserError):
        read_series_table(options)


def test_columns_that_nobody_asked_for_need_no_numbers(tmp_path):
    frame = hourly_table().assign(holiday=["a" if row % 9 == 4 else "0" for row in range(len(hourly_table()))])
    with pytest.raises(UserError, match=r"column holiday: 'a' in .* is no number"):
        read(tmp_path, frame)
    assert spec(read(tmp_path, frame, "data.targets=[load]")).names == ["load"]


def test_parts_of_times_in_columns(tmp_path):
    times = hourly_table()["date"]
    parts = {"Year": times.dt.year, "month": times.dt.month, "day": times.dt.day, "hour": times.dt.hour}
    frame = hourly_table().drop(columns="date").assign(**parts)
    words = ["data.time_column=[Year,month,day,hour]"]
    np.testing.assert_array_equal(table_of(read(tmp_path, frame, *words)).times, times)
    frame.loc[3, "day"] = 31
    frame.loc[3, "month"] = 2
    with pytest.raises(UserError, match=r"line 5: .*day 31.* no time"):
        read(tmp_path, frame, *words)
    frame["hour"] = frame["hour"].astype(str).mask(frame.index == 5, "")
    with pytest.raises(UserError, match="line 7: there is no time in column hour"):
        read(tmp_path, frame, *words)


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_own_marks_of_missing_values(tmp_path, name):
    frame = hourly_table()
    frame.loc[10:12, "load"] = -200
    data = read(tmp_path, frame, "data.na_values=[-200]", name=name)
    assert np.isnan(table_of(data).values[10:13, 0]).all()
    assert spec(data).na_values == ["-200"]


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("resample", ["refuse", "mean"])
def test_several_series_are_not_averaged(tmp_path, shuffled, resample):
    frame = long_table().sort_values("ds") if shuffled else long_table()
    with pytest.raises(UserError, match=r"several series, 3 by column id. data.series_column=id") as error:
        read(tmp_path, frame, f"data.resample={resample}")
    assert "mean" not in str(error.value).replace(str(tmp_path), "")
    data = read(tmp_path, frame, "data.series_column=id", f"data.resample={resample}")
    assert spec(data).names == ["north", "south", "7"]
    assert (spec(data).series_column, spec(data).value_column) == ("id", "y")
    values = table_of(data).values
    assert values.shape == (400, 3)
    np.testing.assert_allclose(values[:, 1], 100 * values[:, 0])
    assert np.isnan(values[:50, 2]).all()
    assert not np.isnan(values[50:]).any()


def test_identifiers_as_numbers(tmp_path):
    frame = long_table().replace({"id": {"north": "1", "south": "2"}})
    with pytest.raises(UserError, match=r"data\.series_column=id"):
        read(tmp_path, frame)
    assert spec(read(tmp_path, frame, "data.series_column=id")).names == ["1", "2", "7"]


def test_covariates_of_long_tables(tmp_path):
    frame = long_table()
    frame["holiday"] = (frame["ds"].dt.weekday == 6).astype(int)
    words = ["data.series_column=id", "data.known=[holiday]"]
    data = read(tmp_path, frame, *words)
    assert (spec(data).names, spec(data).known) == (["north", "south", "7"], ["holiday"])
    assert table_of(data).covariates.shape == (400, 1, 1)
    assert table_of(data).covariates.sum() == 48
    for change, words, message in (
        (lambda t: t.assign(other=t["y"]), [], r"forecasts one column, not y, other: data.targets=\[y\]"),
        (lambda t: pd.concat([t, t[-1:]]), [], "stands twice in the series 7"),
        (lambda t: t.assign(id=[None, *t["id"][1:]]), [], "line 2: there is no name in column id"),
        (lambda t: t, ["data.series_column=sensor"], "has no column sensor"),
    ):
        with pytest.raises(UserError, match=message):
            read(tmp_path, change(long_table()), "data.series_column=id", *words)


def shops(rows=400):
    """Two series that a promotion of their own raises, and weather that both share."""
    chance, parts = np.random.default_rng(0), []
    weather = chance.choice(["sun", "rain"], rows)
    for name, level in (("north", 10.0), ("south", 100.0)):
        promo = chance.integers(0, 2, rows)
        sales = level * (1 + promo) + chance.normal(size=rows) / 10
        times = pd.date_range("2024-01-01", periods=rows, freq="1h")
        parts.append(pd.DataFrame({"shop": name, "hour": times, "sales": sales, "promo": promo, "sky": weather}))
    return pd.concat(parts)


SHOPS = ["data.series_column=shop", "data.targets=[sales]", "data.known=[promo,sky]"]


def test_each_series_may_have_a_covariate_of_its_own(tmp_path):
    frame = shops()
    data = read(tmp_path, frame, *SHOPS)
    assert (spec(data).known, spec(data).own) == (["promo", "sky=rain", "sky=sun"], ["promo"])
    assert "promo: each series has its own" in data.notes
    table = table_of(data)
    assert table.covariates.shape == (400, 2, 3)
    for number, name in enumerate(("north", "south")):
        np.testing.assert_array_equal(table.covariates[:, number, 0], frame.loc[frame["shop"] == name, "promo"])
    np.testing.assert_array_equal(table.covariates[:, 0, 1:], table.covariates[:, 1, 1:])
    tensors = data.collate([data.train[0], data.train[7]], training=False).inputs["series"]
    steps = spec(data).look_back + spec(data).horizon
    promo = tensors.known[..., -3] * spec(data).covariate_std[0] + spec(data).covariate_mean[0]
    np.testing.assert_allclose(promo[1], table.covariates[7 : 7 + steps, :, 0].T, atol=1e-5)
    third = frame[frame["shop"] == "south"].assign(shop="promo of the year")  # a name like those of the columns
    assert spec(read(tmp_path, pd.concat([frame, third]), *SHOPS)).names == ["north", "south", "promo of the year"]
    shuffled = read(tmp_path, frame.sample(frac=1, random_state=0), *SHOPS)
    np.testing.assert_array_equal(table_of(shuffled).covariates, table.covariates)


def test_covariates_of_a_series_of_its_own_are_read_in_new_files(tmp_path):
    frame, known = shops(), ["promo", "sky"]
    data = read(tmp_path, frame, *SHOPS)
    later = frame.assign(sales=frame["sales"].where(frame["hour"] < frame["hour"].iloc[-6]))
    later.to_csv(tmp_path / "later.csv", index=False)
    (window,) = read_windows(tmp_path / "later.csv", spec(data))
    np.testing.assert_array_equal(window.series.known, table_series(data).known)
    alike = later.assign(promo=1)
    alike.to_csv(tmp_path / "alike.csv", index=False)
    (window,) = read_windows(tmp_path / "alike.csv", spec(data))
    assert window.series.known.shape == table_series(data).known.shape
    later.loc[(later["shop"] == "north") & (later["hour"] == later["hour"].iloc[-1]), known] = None
    later.to_csv(tmp_path / "lacking.csv", index=False)
    with pytest.raises(UserError, match=r"promo .*known ahead.* in 1 of"):
        read_windows(tmp_path / "lacking.csv", spec(data))
    shared = read(tmp_path, frame.assign(promo=frame["promo"].iloc[:400].tolist() * 2), *SHOPS)
    frame.to_csv(tmp_path / "own.csv", index=False)
    with pytest.raises(UserError, match="promo differs between series, and this model"):
        read_windows(tmp_path / "own.csv", spec(shared))


def table_series(data):
    return data.test.columns["series"].series


@pytest.mark.parametrize(
    ("words", "first", "last", "count"),
    [
        (["data.start=2024-01-03"], "2024-01-03 00:00", "2024-01-17 15:00", 352),
        (["data.start=2024-01-03", "data.end=2024-01-12"], "2024-01-03 00:00", "2024-01-12 23:00", 240),
        (["data.end='2024-01-12 05:00'"], "2024-01-01 00:00", "2024-01-12 05:00", 270),
        (["data.start=1704240000", "data.end=2024"], "2024-01-03 00:00", "2024-01-17 15:00", 352),
        (["data.start='2024-01-03T02:00+02:00'"], "2024-01-03 00:00", "2024-01-17 15:00", 352),
    ],
)
def test_first_and_last_time(tmp_path, words, first, last, count):
    data = read(tmp_path, hourly_table(), *words)
    times = table_of(data).times
    assert (times[0], times[-1], len(times)) == (pd.Timestamp(first), pd.Timestamp(last), count)
    assert any(f"read {count} of 400 rows: data." in note for note in data.notes)


def test_spans_that_cannot_be_meant(tmp_path):
    for words, message in (
        (["data.start=soon"], "data.start=soon is no time; write 2018-01-31"),
        (["data.start=2025"], "data.start=2025: .* its times go from 2024-01-01 00:00:00 to 2024-01-17 15:00:00"),
        (["data.start=2024-01-09", "data.end=2024-01-03"], "data.start=2024-01-09 data.end=2024-01-03: .* no such row"),
    ):
        with pytest.raises(UserError, match=message):
            read(tmp_path, hourly_table(), *words)


@pytest.mark.parametrize(("how", "expected"), [("sum", [6.0, 15.0]), ("last", [3.0, 6.0])])
def test_rows_of_one_time_are_joined_series_by_series(tmp_path, how, expected):
    """Every other hour has three rows, of which two are of the same time."""
    hours = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.repeat(np.arange(0, 400, 2), 3), unit="h")
    times = hours + pd.to_timedelta(np.tile([0, 20, 20], 200), unit="min")
    frame = pd.DataFrame({"date": times, "id": "a", "y": np.arange(600.0) % 300 + 1, "warm": 1.0})
    frame = pd.concat([frame, frame.assign(id="b", y=frame["y"] * 2)])
    words = [f"data.resample={how}", "data.frequency=1h", "data.known=[warm]", "data.series_column=id"]
    data = read(tmp_path, frame, *words)
    assert any(f"became 399 at a distance of 1h (data.resample={how}); 199 without" in note for note in data.notes)
    table = table_of(data)
    np.testing.assert_array_equal(table.values[:3, 0], [expected[0], np.nan, expected[1]])
    np.testing.assert_array_equal(table.values[:, 1], 2 * table.values[:, 0])
    np.testing.assert_array_equal(table.covariates[::2, 0], 1.0)  # which no sum makes three


@pytest.mark.parametrize("how", ["mean", "sum", "last", "fill"])
def test_resampling_is_that_of_pandas_and_of_training(tmp_path, how):
    chance = np.random.default_rng(0)
    times = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.sort(chance.choice(24000, 3000, replace=False)), unit="min")
    frame = pd.DataFrame({"date": times, "y": chance.normal(size=3000)})
    data = read(tmp_path, frame, f"data.resample={how}", "data.frequency=1h")
    steps = frame.set_index("date")["y"].resample("1h")
    naive = {"mean": steps.mean(), "sum": steps.sum(min_count=1), "last": steps.last(), "fill": steps.mean().ffill()}
    np.testing.assert_allclose(table_of(data).values[:, 0], naive[how], rtol=1e-9)
    (window,) = read_windows(tmp_path / "a.csv", spec(data), backtest=1)
    np.testing.assert_allclose(window.series.table.values, table_of(data).values, rtol=1e-9)


def test_resampling_does_not_make_many_gaps(tmp_path):
    with pytest.raises(UserError, match=r"would become .* such as data.frequency=h"):
        read(tmp_path, hourly_table(), "data.resample=mean", "data.frequency=1s")


def test_series_told_apart_by_two_columns(tmp_path):
    frame = pd.concat([long_table().assign(store=name) for name in ("a", "b")]).rename(columns={"id": "item"})
    with pytest.raises(UserError, match=r"6 by column item and store. data.series_column=\[item,store\]"):
        read(tmp_path, frame)
    data = read(tmp_path, frame, "data.series_column=[store,item]")
    assert spec(data).names == ["a/north", "a/south", "a/7", "b/north", "b/south", "b/7"]
    (window,) = read_windows(tmp_path / "a.csv", spec(data), backtest=1)
    np.testing.assert_array_equal(window.series.values, data.test.columns["series"].series.values)
    with pytest.raises(UserError, match="line 2: there is no name in column item"):
        read(tmp_path, frame.assign(item=[None, *frame["item"][1:]]), "data.series_column=[store,item]")
    with pytest.raises(UserError, match="has no column shop"):
        read(tmp_path, frame, "data.series_column=[shop,item]")


def test_a_numbering_of_rows_is_not_forecast(tmp_path):
    times = pd.date_range("2024-01-01", periods=30, freq="h")
    frame = pd.DataFrame({"time": times, "index": range(500, 530), "load": np.random.default_rng(0).normal(size=30)})
    frame.to_csv(tmp_path / "a.csv", index=False)
    table = read_series_table(config("task=forecasting", "data=series_csv", f"data.path={tmp_path / 'a.csv'}").data)
    assert table.names == ["load"]
    assert any(note.startswith("index: not forecast, as it counts rows") for note in table.notes)


DAYS = pd.date_range("2010-01-04", periods=60, freq="D")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ([f"{1990 + i // 4}Q{i % 4 + 1}" for i in range(60)], pd.date_range("1990", periods=60, freq="QS")),
        (["2009-W53", "2010-W01", "2010W02"], pd.to_datetime(["20091228", "20100104", "20100111"])),
        (["2014-W05-3", "2014-W05-4"], pd.to_datetime(["20140129", "20140130"])),
        ((DAYS - pd.Timestamp("1899-12-30")).days, DAYS),
        (40000 + np.arange(48) / 24, pd.date_range("2009-07-06", periods=48, freq="h")),
        ([1995, 1996], pd.to_datetime(["1995", "1996"])),
        ([20180131, 20180201], pd.to_datetime(["20180131", "20180201"])),
    ],
)  # fmt: skip
def test_times_of_many_ways_to_write_them(written, expected):
    assert times_of(pd.Series(written, name="date"), "a.csv").times.tolist() == expected.tolist()


def test_a_week_that_is_none_is_named():
    with pytest.raises(UserError, match="row 2: '2014-W60' in column date"):
        times_of(pd.Series(["2014-W05", "2014-W60"], name="date"), "a.csv")


def test_numbers_that_are_times_are_said(tmp_path):
    frame = hourly_table().assign(date=40000 + np.arange(400) / 24)
    assert any(
        "numbers of column date are read as times, the first 2009-07-06" in note for note in read(tmp_path, frame).notes
    )


def test_an_index_of_times_without_a_name_is_read(tmp_path):
    frame = hourly_table().rename(columns={"date": ""})
    data = read(tmp_path, frame)
    assert "the column without a name holds the times" in data.notes
    assert table_of(data).times[0] == hourly_table()["date"].min()
    numbered = hourly_table()
    numbered.insert(0, "", np.arange(400))
    assert spec(read(tmp_path, numbered)).names == ["load", "price"]


@pytest.mark.parametrize(
    ("written", "first", "last"),
    [
        (["2024/01/01 12:00:00 AM GMT+1", "2024/01/01 1:00:00 AM GMT+1"], "2023-12-31 23:00", "2024-01-01 00:00"),
        (["2024-01-01 00:00 UTC-0530", "2024-01-01 01:00 UTC-0530"], "2024-01-01 05:30", "2024-01-01 06:30"),
        (["1. 1. 2024", "1. 2. 2024", "1. 3. 2024"], "2024-01-01", "2024-03-01"),
        (["1 / 1 / 2024", "2 / 1 / 2024", "13 / 1 / 2024"], "2024-01-01", "2024-01-13"),
        (["01-JAN-70", "01-JAN-75", "01-JAN-80"], "1970-01-01", "1980-01-01"),
        (["31/01/65", "28/02/65"], "1965-01-31", "1965-02-28"),
        (["31/01/38", "28/02/38"], "2038-01-31", "2038-02-28"),
        (["2010-01-01T00:00:00+01:00", "2010-07-01T00:00:00+02:00"], "2010-01-01", "2010-07-01"),
        ([f"{q}/{y}" for y in (2015, 2016, 2017) for q in (1, 2, 3, 4)], "2015-01-01", "2017-10-01"),
        ([f"{m}/2015" for m in (1, 2, 3, 12)], "2015-01-01", "2015-12-01"),
        (
            [f"01.01.2024 {h:02}:00-{h + 1:02}:00" for h in range(6)],
            "2024-01-01 00:00",
            "2024-01-01 05:00",
        ),
        (
            [f"01.01.2024 {h:02}:00 - 01.01.2024 {h + 1:02}:00 (CET/CEST)" for h in range(6)],
            "2024-01-01 00:00",
            "2024-01-01 05:00",
        ),
        ([f"2024-01-0{d} - 2024-01-0{d + 1}" for d in range(1, 7)], "2024-01-01", "2024-01-06"),
        (["2024-01-01 00:15-05:00", "2024-01-01 01:15-05:00"], "2024-01-01 05:15", "2024-01-01 06:15"),
    ],
)
def test_times_that_were_read_as_others(written, first, last):
    times = times_of(pd.Series(written, name="time"), None).times
    assert (times.min(), times.max()) == (pd.Timestamp(first), pd.Timestamp(last))


def test_days_of_a_zone_stay_days():
    days = pd.date_range("2024-03-29", periods=4, freq="D", tz="America/New_York")
    assert times_of(pd.Series(days, name="day"), None).times.tolist() == days.tz_localize(None).tolist()
    hours = pd.date_range("2024-03-29", periods=4, freq="h", tz="America/New_York")
    assert times_of(pd.Series(hours, name="day"), None).times[0] == pd.Timestamp("2024-03-29 04:00")


@pytest.mark.parametrize(("form", "word"), [("%Y-%m-%d %H:%M:%S", "unknown"), ("%d.%m.%Y %H:%M", "Total")])
def test_the_row_that_is_no_time_is_named(tmp_path, form, word):
    frame = hourly_table()
    frame["date"] = frame["date"].dt.strftime(form).astype(object)
    frame.loc[49, "date"] = word
    with pytest.raises(UserError, match=f"line 51: '{word}' in column date is no time"):
        read(tmp_path, frame)


def test_covariates_that_are_missing_are_counted_and_two_of_a_name_asked(tmp_path):
    frame = hourly_table()
    frame.loc[frame.index % 4 > 0, "price"] = None
    data = read(tmp_path, frame, "data.targets=[load]", "data.known=[price]")
    assert "price: 300 missing values are read as the last value before them" in data.notes
    (tmp_path / "a.csv").write_text("date,load,load\n2024-01-01,1,2\n2024-01-02,2,3\n")
    words = ["data.targets=[load]", f"data.path={tmp_path / 'a.csv'}"]
    with pytest.raises(UserError, match="several columns load"):
        build_task(config("task=forecasting", "data=series_csv", *words)).load_data()


@pytest.mark.parametrize("column", [None, "date"])
def test_zeros_in_front_of_days_are_kept(tmp_path, column):
    """Ten days of January, not ten months: also where the column of times is found."""
    days = pd.date_range("2024-01-01", periods=40)
    file = tmp_path / "days.csv"
    pd.DataFrame({"date": days.strftime("%m%d%Y"), "load": np.arange(40) % 7 + 0.5}).to_csv(file, index=False)
    table = read_series_table(SeriesTableOptions(path=str(file), time_column=column, time_format="%m%d%Y"))
    assert table.times.tolist() == days.tolist()
