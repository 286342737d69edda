"""Forecasts of tables: the future behind the last measured row, in a row for each series and step."""

import io

import numpy as np
import pandas as pd
import pytest

import mla_train
from mla_train.commands.predict import main
from mla_train.errors import UserError
from mla_train.modalities.series.frequency import following_times, frequency_of, steps_between
from mla_train.modalities.series.future import read_windows
from tests.helpers import hourly_table, read_jsonl, run_here

SIZES = ["data.look_back=24", "data.horizon=6", "task.patch=6", "epochs=1"]


def hourly():
    """Two series of hours, holidays known ahead, wind known up to the present."""
    frame = hourly_table(wind=np.random.default_rng(0).normal(size=400), holiday=(np.arange(400) // 24) % 7 == 0)
    return frame.astype({"holiday": int})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A forecaster of the hourly table."""
    folder = tmp_path_factory.mktemp("forecast")
    hourly().to_csv(folder / "load.csv", index=False)
    columns = ["data.known=[holiday]", "data.observed=[wind]"]
    run_here(
        folder / "run", "task=forecasting", "data=series_csv", f"data.path={folder / 'load.csv'}", *columns, *SIZES
    )
    return folder / "run"


@pytest.fixture
def predict(monkeypatch, capsys):
    """The script with some words: what it prints, and what it says beside."""

    def call(*words, fails=False):
        monkeypatch.setattr("sys.argv", ["predict.py", *map(str, words)])
        capsys.readouterr()
        if fails:
            with pytest.raises(SystemExit):
                main()
        else:
            main()
        return capsys.readouterr()

    return call


def read(said):
    return pd.read_csv(io.StringIO(said.out))


def with_future(frame, rows, steps, columns):
    """The first rows, and those behind them with some columns alone."""
    future = frame.iloc[rows : rows + steps].copy()
    future[[name for name in frame.columns if name not in columns]] = None
    return pd.concat([frame.iloc[:rows], future])


def test_a_table_cut_before_a_test_window_gives_its_prediction(run, tmp_path, predict):
    frame = hourly()
    time = frame.columns[0]
    written = [
        row
        for row in read_jsonl(run / "predictions.jsonl")
        if row["from"] == read_jsonl(run / "predictions.jsonl")[4]["from"]
    ]
    start = int(np.flatnonzero(pd.to_datetime(frame[time]) == pd.Timestamp(written[0]["from"]))[0])
    with_future(frame, start, 6, [time, "holiday"]).to_csv(tmp_path / "cut.csv", index=False)
    rows = read(predict("--run", run, "--input", tmp_path / "cut.csv"))
    assert len(rows) == 6 * len(written)
    for each in written:
        own = rows[rows["series"] == each["series"]]
        np.testing.assert_allclose(own["prediction"], each["forecast"], rtol=1e-5)
        for level, steps in each["quantiles"].items():
            np.testing.assert_allclose(own[f"q{level}"], steps, rtol=1e-5)
        assert list(own["step"]) == [1, 2, 3, 4, 5, 6]
        assert list(pd.to_datetime(own["time"])) == list(pd.to_datetime(frame[time][start : start + 6]))
    frame.to_csv(tmp_path / "whole.csv", index=False)
    again = read(predict("--run", run, "--input", tmp_path / "whole.csv", "--from", written[0]["from"]))
    np.testing.assert_allclose(again["prediction"], rows["prediction"], rtol=1e-5)
    rolled = read(predict("--run", run, "--input", tmp_path / "whole.csv", "--backtest", "3"))
    assert len(rolled) == 3 * 6 * len(written)
    measured = frame.set_index(time)
    for row in rolled.to_dict("records"):
        assert row["measured"] == pytest.approx(measured.loc[row["time"], row["series"]])
    assert pd.to_datetime(rolled["time"]).max() == pd.to_datetime(frame[time]).max()


def test_a_picture_stands_beside_the_file(run, tmp_path, predict):
    frame = hourly()
    with_future(frame, 300, 6, [frame.columns[0], "holiday"]).to_csv(tmp_path / "cut.csv", index=False)
    said = predict("--run", run, "--input", tmp_path / "cut.csv", "--output", tmp_path / "forecast.csv")
    assert (tmp_path / "forecast.png").stat().st_size > 10_000
    assert "forecast.png" in said.err
    assert list(pd.read_csv(tmp_path / "forecast.csv").columns) == [
        "series", "time", "step", "prediction", "q0.1", "q0.5", "q0.9",
    ]  # fmt: skip


def test_what_is_missing_is_named(run, tmp_path, predict):
    frame = hourly()
    file = tmp_path / "a.csv"
    for table, words, remedy in (
        (frame, [], "holiday is known ahead, but has no value in 6 of the 6 steps"),
        (frame.drop(columns="wind"), [], "no column wind"),
        (frame[:20], [], "reads the last 24"),
        (frame[::2], [], "rows are 2h apart"),
        (frame, ["--from", "2031-01-01"], "allows forecasts from"),
        (frame, ["--from", "soon"], "soon"),
        (frame, ["--backtest", "90"], "--backtest 90"),
        (frame, ["--backtest", "-1"], "--backtest"),
        (frame, ["--text", "a"], "name a file"),
    ):
        table.to_csv(file, index=False)
        words = words if "--text" in words else ["--input", file, *words]
        assert remedy in predict("--run", run, *words, fails=True).err, words


def test_gaps_in_the_past_are_gaps(run, tmp_path, predict):
    frame = with_future(hourly(), 300, 6, [hourly().columns[0], "holiday"])
    frame.drop(index=[250, 280]).to_csv(tmp_path / "a.csv", index=False)
    rows = read(predict("--run", run, "--input", tmp_path / "a.csv"))
    assert rows["prediction"].notna().all()
    assert rows["time"].iloc[0] == str(pd.to_datetime(hourly().iloc[300, 0]))


@pytest.mark.parametrize(
    "frequency", ["B", "MS", "ME", "QS-JAN", "QE-MAR", "YS-JAN", "YE-DEC", "D", "7D", "15min", "h"]
)
def test_frequencies_of_the_calendar_go_on(frequency):
    times = pd.date_range("2001-01-31" if frequency == "ME" else "2001-01-01", periods=30, freq=frequency)
    found = frequency_of(times[:20])
    ahead = following_times(times[19], 10, found)
    assert list(ahead) == list(times[20:])
    assert steps_between(times[0], times[25], found) == 25
    assert steps_between(times[25], times[0], found) == -25


def test_months_and_resampled_tables_are_read_as_in_training(tmp_path, predict):
    days = pd.date_range("2000-01-01", "2019-12-31", freq="D")
    frame = pd.DataFrame({"date": days, "sales": 5 + np.sin(np.arange(len(days)) / 58) + days.dayofyear / 365})
    frame.to_csv(tmp_path / "days.csv", index=False)
    words = [
        "data.look_back=12",
        "data.horizon=3",
        "task.patch=3",
        "epochs=1",
        "data.resample=mean",
        "data.frequency=ME",
    ]
    run_here(tmp_path / "run", "task=forecasting", "data=series_csv", f"data.path={tmp_path / 'days.csv'}", *words)
    written = read_jsonl(tmp_path / "run" / "predictions.jsonl")[1]
    start = pd.Timestamp(written["from"])
    frame[frame["date"] <= start - pd.offsets.MonthEnd()].to_csv(tmp_path / "cut.csv", index=False)
    rows = read(predict("--run", tmp_path / "run", "--input", tmp_path / "cut.csv"))
    np.testing.assert_allclose(rows["prediction"], written["forecast"], rtol=1e-5)
    assert list(pd.to_datetime(rows["time"])) == list(pd.date_range(start, periods=3, freq="ME"))


def test_long_tables_with_parts_of_times_and_marks_are_read_as_in_training(tmp_path, predict):
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    wave = np.random.default_rng(0).normal(size=300) + np.arange(300) % 24
    parts = [
        pd.DataFrame(
            {"id": name, "day": times.strftime("%d/%m/%Y"), "clock": times.strftime("%H.%M"), "y": factor * wave}
        )
        for name, factor in (("a", 1), ("b", 100))
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame.loc[[250, 400], "y"] = -999
    frame.to_csv(tmp_path / "long.csv", index=False)
    words = ["data.series_column=id", "data.time_column=[day,clock]", "data.na_values=[-999]", *SIZES]
    run_here(tmp_path / "run", "task=forecasting", "data=series_csv", f"data.path={tmp_path / 'long.csv'}", *words)
    written = read_jsonl(tmp_path / "run" / "predictions.jsonl")[2:4]
    start = int(times.get_loc(pd.Timestamp(written[0]["from"])))
    frame[frame.index % 300 < start].to_csv(tmp_path / "cut.csv", index=False)
    rows = read(predict("--run", tmp_path / "run", "--input", tmp_path / "cut.csv"))
    for each in written:
        own = rows[rows["series"] == each["series"]]
        np.testing.assert_allclose(own["prediction"], each["forecast"], rtol=1e-5)
        assert list(pd.to_datetime(own["time"])) == list(times[start : start + 6])
    frame[frame["id"] == "a"].to_csv(tmp_path / "one.csv", index=False)
    said = predict("--run", tmp_path / "run", "--input", tmp_path / "one.csv", fails=True).err
    assert "no series b in column id" in said


def test_new_tables_are_written_as_those_of_training(tmp_path, predict):
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    frame = pd.DataFrame({"date": times, "Köln": np.random.default_rng(0).normal(size=300) + np.arange(300) % 24})
    for name, encoding in (("a", "cp1252"), ("b", "utf-8")):
        frame.to_csv(tmp_path / f"{name}.csv", index=False, encoding=encoding)
    words = [f"data.path={tmp_path / 'a.csv'}", "data.encoding=cp1252", *SIZES]
    run_here(tmp_path / "run", "task=forecasting", "data=series_csv", *words)
    rows = read(predict("--run", tmp_path / "run", "--input", tmp_path / "a.csv"))
    assert set(rows["series"]) == {"Köln"}
    assert "Köln" in predict("--run", tmp_path / "run", "--input", tmp_path / "b.csv", fails=True).err


@pytest.fixture(scope="module")
def two_run(tmp_path_factory):
    """A forecaster of two series one below the other."""
    folder = tmp_path_factory.mktemp("two")
    two_series().to_csv(folder / "two.csv", index=False)
    words = ["data.series_column=id", f"data.path={folder / 'two.csv'}", *SIZES]
    run_here(folder / "run", "task=forecasting", "data=series_csv", *words)
    return folder / "run"


def two_series():
    load = hourly_table()["load"]
    parts = [
        pd.DataFrame({"id": name, "date": hourly_table()["date"], "y": load * size})
        for name, size in (("a", 1), ("b", 9))
    ]
    return pd.concat(parts, ignore_index=True)


def with_cells(rows, column, change):
    """Two series, some rows of which have other cells."""
    frame = two_series().astype({column: object})
    frame.loc[rows, column] = frame.loc[rows, column].map(change)
    return frame


@pytest.mark.parametrize(
    ("change", "note", "empty"),
    [
        (lambda: with_cells(range(700, 800), "y", lambda _: None), "b has no value in the 24 rows before", 6),
        (lambda: two_series()[:780], "20 values are missing in the rows that are read", 0),
        (lambda: two_series().drop(index=[*range(380, 390), *range(780, 790)]), "10 of 400 rows are not there", 0),
        (lambda: with_cells(range(400), "id", lambda _: "c").pipe(lambda c: pd.concat([two_series(), c[:400]])), "left out series that the model has not learned from: c", 0),
        (lambda: with_cells(range(800), "y", lambda y: f"{y:.2f} m"), "is in m", None),
        (lambda: with_cells(range(800), "y", lambda _: "1,029"), "no number with a decimal point", None),
        (lambda: with_cells(range(800), "date", lambda time: f"{time}+02:00"), "times have a zone", None),
        (lambda: with_cells(range(800), "y", lambda _: None), "has no value of a, b", None),
    ],
)  # fmt: skip
def test_what_is_read_otherwise_than_in_training_is_said(two_run, tmp_path, predict, change, note, empty):
    change().to_csv(tmp_path / "a.csv", index=False)
    said = predict("--run", two_run, "--input", tmp_path / "a.csv", fails=empty is None)
    assert note in said.err
    if empty is not None:
        rows = read(said)
        assert len(rows) == 12
        assert list(rows["series"][rows["prediction"].isna()]) == ["b"] * empty
        assert rows["q0.9"].isna().sum() == empty


@pytest.mark.parametrize(("order", "note"), [(-1, "rows are turned round"), (0, "times are not in order")])
def test_rows_are_in_the_order_of_training(run, tmp_path, predict, order, note):
    frame = with_future(hourly(), 300, 6, [hourly().columns[0], "holiday"])
    (frame[::-1] if order else frame.sample(frac=1, random_state=0)).to_csv(tmp_path / "a.csv", index=False)
    assert note in predict("--run", run, "--input", tmp_path / "a.csv", fails=not order).err


def test_a_series_without_a_past_is_refused_where_it_cannot_be_said(two_run, tmp_path):
    with_cells(range(700, 800), "y", lambda _: None).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(UserError, match=r"b has no value in the 24 rows before .*: fill them"):
        mla_train.load(two_run).predict([{"series": str(tmp_path / "a.csv")}])


def test_universal_time_is_that_of_the_training_data(tmp_path, predict):
    frame = hourly_table()
    (tmp_path / "b.csv").write_text(frame.to_csv(index=False))
    frame["date"] = [f"{time}+02:00" for time in frame["date"]]
    frame.to_csv(tmp_path / "a.csv", index=False)
    run_here(tmp_path / "run", "task=forecasting", "data=series_csv", f"data.path={tmp_path / 'a.csv'}", *SIZES)
    (window,) = read_windows(tmp_path / "a.csv", mla_train.load(tmp_path / "run").spec.inputs["series"].spec)
    assert any("universal time (UTC)" in note for note in window.series.table.notes)
    local, same = (predict("--run", tmp_path / "run", "--input", tmp_path / f"{name}.csv") for name in "ba")
    assert "times have no zone" in local.err
    first, second = (pd.to_datetime(read(said)["time"][0]) for said in (local, same))
    assert first - second == pd.Timedelta("2h")
