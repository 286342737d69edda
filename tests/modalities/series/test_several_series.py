"""Rows of several series one below the other are never read as one, and never averaged."""

import numpy as np
import pandas as pd
import pytest

from mla_train.errors import UserError
from mla_train.modalities.series.future import read_windows
from mla_train.task import build_task
from tests.helpers import forecasting_config, hourly_table

HOURS = pd.date_range("2024-01-01", periods=120, freq="h")
CHANCE = np.random.default_rng(0)


def read(folder, frame, *words, **how):
    return build_task(forecasting_config(folder, frame, *words, **how)).load_data()


def spec(data):
    return data.spec.inputs["series"].spec


def stacked(keys, offset="0min"):
    """A series for each row of keys, each later than the one before."""
    parts = [
        pd.DataFrame({"date": HOURS + number * pd.Timedelta(offset), **key, "y": CHANCE.normal(size=120)})
        for number, key in enumerate(keys)
    ]
    return pd.concat(parts)


THREE_KEYS = [{"item": i, "store": s, "region": r} for i in "AB" for s in (1, 2) for r in ("n", "s")]


@pytest.mark.parametrize("resample", ["refuse", "mean", "sum"])
@pytest.mark.parametrize(
    ("frame", "option"),
    [
        (stacked(THREE_KEYS), r"\[item,store,region\]"),
        (stacked([{"site": 1.5}, {"site": 2.5}]), "site"),
        (stacked([{"lat": a, "lon": b} for a in (51.1, 52.2) for b in (7.1, 8.2)]), r"\[lat,lon\]"),
        (stacked([{"id": f"s{number}"} for number in range(150)]).groupby("id").head(2), "id"),
        (pd.concat([stacked([{"id": "A"}]), stacked([{"id": "B"}])[:8]]), "id"),
    ],
)
def test_any_number_of_columns_tells_them_apart(tmp_path, frame, option, resample):
    with pytest.raises(UserError, match=rf"in line \d+ and line \d+: .*data.series_column={option} forecasts each"):
        read(tmp_path, frame, f"data.resample={resample}")


def test_several_columns_are_names(tmp_path):
    data = read(tmp_path, stacked(THREE_KEYS), "data.series_column=[item,store,region]")
    assert spec(data).names[:3] == ["A/1/n", "A/1/s", "A/2/n"]
    with pytest.raises(UserError, match=r"stands twice in the series A.*so do most times.*name all of them"):
        read(tmp_path, stacked(THREE_KEYS), "data.series_column=item", "data.targets=[y]", "data.resample=mean")


def test_what_no_column_tells_apart_is_not_averaged(tmp_path):
    frame = hourly_table().loc[np.repeat(np.arange(400), 2)].assign(load=CHANCE.normal(size=800))
    with pytest.raises(
        UserError, match=r"most times occur several times.*data.series_column=.*data.resample=sum"
    ) as error:
        read(tmp_path, frame, "data.resample=mean")
    assert "resample=mean" not in str(error.value)
    assert len(read(tmp_path, frame, "data.resample=sum").test.columns["series"].series.table.times) == 400


TURNS = stacked([{"id": each} for each in "ABC"], "20min").sort_values("date")
BELOW = stacked([{"id": each} for each in "AB"], "120h")


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (TURNS, []),
        (TURNS, ["data.resample=mean", "data.frequency=20min"]),
        (TURNS.assign(id=TURNS["id"].map({"A": 1, "B": 2, "C": 3})).rename(columns={"id": "store"}), []),
        (BELOW, []),
        (BELOW[::-1], []),
        (hourly_table(id=CHANCE.choice(["A", "B"], 400)), ["data.resample=mean"]),
    ],
)
def test_words_beside_times_are_asked_about(tmp_path, frame, words):
    name = "store" if "store" in frame else "id"
    with pytest.raises(
        UserError, match=f"data.series_column={name} forecasts each .*data.known=.{name}..*data.targets="
    ):
        read(tmp_path, frame, *words)
    assert spec(read(tmp_path, frame, "data.targets=[y]" if "y" in frame else "data.targets=[load]")).names in (
        ["y"],
        ["load"],
    )


@pytest.mark.parametrize(
    "column",
    [
        {"weather": CHANCE.choice(["rain", "sun"], 400)},
        {"weekday": HOURS[0].strftime("%a")},
        {"weekday": hourly_table()["date"].dt.strftime("%a")},
        {"note": "x"},
        {"comment": [f"row {number}" for number in range(400)]},
    ],
)
def test_other_words_are_left_out_and_said(tmp_path, column):
    data = read(tmp_path, hourly_table(**column))
    assert spec(data).names == ["load", "price"]
    assert any(f"{next(iter(column))} is not numeric and not forecast" in note for note in data.notes)


@pytest.mark.parametrize(
    ("columns", "option"),
    [
        ({"Date": HOURS.date, "Hour": HOURS.hour}, "[Date,Hour]"),
        ({"Time": HOURS.strftime("%H:%M"), "Date": HOURS.date}, "[Date,Time]"),
        ({"Date": HOURS.strftime("%Y%m%d"), "hour": HOURS.hour + 1}, "[Date,hour]"),
    ],
)
def test_hours_are_no_series(tmp_path, columns, option):
    frame = pd.DataFrame({**columns, "y": CHANCE.normal(size=120)})
    with pytest.raises(UserError) as error:
        read(tmp_path, frame)
    assert f"data.time_column={option}" in str(error.value)
    assert len(read(tmp_path, frame, f"data.time_column={option}").test.columns["series"].series.table.times) == 120


def test_parts_of_a_table(tmp_path):
    frame = hourly_table()
    whole = read(tmp_path, frame)
    (tmp_path / "parts").mkdir()
    for number, rows in enumerate((frame[:150], frame[150:])):
        rows.to_csv(tmp_path / "parts" / f"p{number}.csv", index=False)
    for path in ("parts", "parts/p*.csv", "[parts/p0.csv,parts/p1.csv]"):
        where = (
            f"[{','.join(f'{tmp_path}/{each}' for each in path[1:-1].split(','))}]"
            if path[0] == "["
            else tmp_path / path
        )
        data = read(tmp_path, frame, f"data.path={where}")
        assert spec(data) == spec(whole)
    frame[150:].assign(load="x").to_csv(tmp_path / "parts" / "p1.csv", index=False)
    with pytest.raises(UserError):
        read(tmp_path, frame, f"data.path={tmp_path / 'parts'}", "data.targets=[load]")


def test_a_format_is_kept_by_the_model(tmp_path):
    frame = hourly_table().assign(date=np.arange(400) * 3600)
    with pytest.raises(UserError, match=r"data.time_format=s, ms"):
        read(tmp_path, frame)
    data = read(tmp_path, frame, "data.time_format=s")
    (window,) = read_windows(tmp_path / "a.csv", spec(data), backtest=1)
    np.testing.assert_array_equal(window.series.values, data.test.columns["series"].series.values)
    frame.assign(date=hourly_table()["date"].dt.strftime("%d/%m/%Y %H:%M")).to_csv(tmp_path / "a.csv", index=False)
    data = read(tmp_path, pd.read_csv(tmp_path / "a.csv"))
    assert spec(data).time_format == "day_first"
    early = pd.read_csv(tmp_path / "a.csv")[:100]
    early.to_csv(tmp_path / "early.csv", index=False)
    assert read_windows(tmp_path / "early.csv", spec(data))[0].series.table.times[-1] > pd.Timestamp("2024-01-05")
    pd.concat([early, early[-1:]]).to_csv(tmp_path / "early.csv", index=False)
    with pytest.raises(UserError, match="duplicate time"):
        read_windows(tmp_path / "early.csv", spec(data))
