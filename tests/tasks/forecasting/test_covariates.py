"""Covariates that are texts, and those that stay the same in each series."""

import numpy as np
import pandas as pd
import pytest
import torch

from mla_train.errors import UserError
from mla_train.inference.artifact import load_model, save_model
from mla_train.modalities.series.future import read_windows
from mla_train.task import build_task
from tests.helpers import forecasting_config, hourly_table, randomize

WEATHER = np.array(["rain", "sun", "fog"])
COLUMNS = ["data.known=[weather,holiday]", "data.observed=[mood]"]


def weather_table():
    """Two covariates of texts, one of numbers; fog comes from row 300 on, behind the training rows."""
    kinds = WEATHER[(np.arange(400) // 5) % 2]
    kinds[300:310] = "fog"
    mood = np.where(np.arange(400) % 3, "good", "bad")
    return hourly_table(weather=kinds, holiday=np.arange(400) % 48 // 24, mood=mood)


def load(folder, frame, *words):
    return build_task(forecasting_config(folder, frame, *words)).load_data()


def spec(data):
    return data.spec.inputs["series"].spec


def series_of(data):
    return data.test.columns["series"].series


def test_texts_are_a_number_for_each_category(tmp_path):
    frame = weather_table()
    data = load(tmp_path, frame, *COLUMNS)
    assert spec(data).known == ["weather=rain", "weather=sun", "holiday"]
    assert spec(data).observed == ["mood=bad", "mood=good"]
    assert spec(data).categories == {"weather": ["rain", "sun"], "mood": ["bad", "good"]}
    assert spec(data).names == ["load", "price"]
    assert "weather=fog: not in the training rows, read as none of the known categories" in data.notes
    by_hand = frame.drop(columns=["weather", "mood"])
    for name in ("rain", "sun"):
        by_hand[name] = (frame["weather"] == name).astype(int)
    for name in ("bad", "good"):
        by_hand[name] = (frame["mood"] == name).astype(int)
    other = load(tmp_path, by_hand, "data.known=[rain,sun,holiday]", "data.observed=[bad,good]")
    np.testing.assert_array_equal(series_of(data).known, series_of(other).known)
    np.testing.assert_array_equal(series_of(data).observed, series_of(other).observed)


def test_a_table_to_forecast_is_read_with_the_categories_of_training(tmp_path):
    frame = weather_table()
    data = load(tmp_path, frame, *COLUMNS)
    (window,) = read_windows(tmp_path / "a.csv", spec(data), backtest=1)
    np.testing.assert_array_equal(window.series.known, series_of(data).known)
    np.testing.assert_array_equal(window.series.observed, series_of(data).observed)
    assert window.series.table.notes == [
        "10 rows have a weather that the model does not know: read as none of its categories"
    ]
    frame.assign(weather="rain", mood=7)[:200].to_csv(tmp_path / "b.csv", index=False)
    (window,) = read_windows(tmp_path / "b.csv", spec(data), backtest=1)
    assert window.series.table.notes[0].startswith("200 rows have a mood")
    future = frame[:206].copy()
    future.loc[200:, ["load", "price", "mood"]] = None
    future.to_csv(tmp_path / "c.csv", index=False)
    assert read_windows(tmp_path / "c.csv", spec(data))[0].now == 200
    future.loc[203, "weather"] = None
    future.to_csv(tmp_path / "c.csv", index=False)
    with pytest.raises(UserError, match=r"weather=rain is known ahead.* 1 of the 6"):
        read_windows(tmp_path / "c.csv", spec(data))


def test_marks_of_missing_values_are_no_categories(tmp_path):
    frame = weather_table()
    frame.loc[20:24, "weather"], frame.loc[30:34, "mood"] = "unknown", "Unknown"
    marked = load(tmp_path, frame, *COLUMNS, "data.na_values=[unknown]")
    (window,) = read_windows(tmp_path / "a.csv", spec(marked), backtest=1)
    frame = frame.replace(["unknown", "Unknown"], None)
    empty = load(tmp_path, frame, *COLUMNS)
    assert spec(marked).categories == spec(empty).categories
    for series in (series_of(marked), window.series):
        np.testing.assert_array_equal(series.known, series_of(empty).known)
        np.testing.assert_array_equal(series.observed, series_of(empty).observed)
    static = stores()
    static["kind"] = static["kind"].fillna("unknown")
    marked, empty = (load(tmp_path, each, *LONG, "data.na_values=[unknown]") for each in (static, stores()))
    assert spec(marked).static == spec(empty).static


def test_texts_that_are_no_categories_are_named(tmp_path):
    frame = hourly_table(note=[f"row {i}" for i in range(400)])
    with pytest.raises(UserError, match=r"note has 400 different texts, such as 'row 0'; .* at most 50"):
        load(tmp_path, frame, "data.known=[note]")


def stores(**columns):
    """Four stores with a kind and a size; that of the last is not known."""
    parts = [
        hourly_table()[["date", "load"]].assign(
            store=name, kind=kind, size=size, load=lambda t, f=size or 1: t["load"] * f
        )
        for name, kind, size in (("a", "city", 10.0), ("b", "city", 20.0), ("c", "land", 30.0), ("d", None, None))
    ]
    return pd.concat(parts).assign(**columns)


LONG = ["data.series_column=store", "data.static=[kind,size]"]


def test_static_covariates_are_scaled_over_the_series(tmp_path):
    data = load(tmp_path, stores(), *LONG)
    assert spec(data).names == ["a", "b", "c", "d"]
    static = np.array(spec(data).static)
    assert static.shape == (4, 3)
    np.testing.assert_allclose(static[:, 2], [-1.2247, 0, 1.2247, 0], atol=1e-4)
    city = np.array([1, 1, 0])
    np.testing.assert_allclose(static[:3, 0], (city - city.mean()) / city.std())
    assert static[3, 0] == 0
    two = load(tmp_path, stores(), "data.series_column=store", "data.static=[size]", "data.end=2024-01-15")
    assert np.array(spec(two).static).shape == (4, 1)


def test_static_covariates_change_the_forecast_of_their_series_alone(tmp_path):
    config = forecasting_config(tmp_path, stores(), *LONG, "encoder.dim=16", "encoder.num_heads=2")
    task = build_task(config)
    data = task.load_data()
    torch.manual_seed(0)
    model = task.build_model(data.spec).eval()
    randomize(model)
    batch = data.collate([data.test[i] for i in range(3)], training=False)
    with torch.no_grad():
        before = model(batch)[0]
        embedding = model.embeddings["series"]
        assert embedding.read_static.weight.shape == (16, 3)
        embedding.static[1, 2] += 1
        after = model(batch)[0]
    changed = (before - after).abs().amax((0, 2)) > 1e-6
    assert changed.tolist() == [False, True, False, False]


def test_a_saved_model_keeps_them(tmp_path):
    frame = stores(weather=np.tile(weather_table()["weather"], 4))
    config = forecasting_config(
        tmp_path, frame, *LONG, "data.known=[weather]", "task.transform=asinh", "encoder.dim=16", "encoder.num_heads=2"
    )
    task = build_task(config)
    data = task.load_data()
    model = task.build_model(data.spec).eval()
    (tmp_path / "model").mkdir()
    save_model(model.state_dict(), data.spec, config, tmp_path / "model")
    loaded = load_model(tmp_path / "model").model
    assert loaded.spec.inputs["series"].spec == spec(data)
    assert loaded.spec.target == data.spec.target
    frame.drop(columns=["kind", "size"]).to_csv(tmp_path / "later.csv", index=False)  # the model knows its series
    (window,) = read_windows(tmp_path / "later.csv", loaded.spec.inputs["series"].spec, backtest=1)
    np.testing.assert_array_equal(window.series.values, series_of(data).values)
    np.testing.assert_array_equal(window.series.known, series_of(data).known)
    batch = data.collate([data.test[0]], training=False)
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(batch)[0], model(batch)[0])


def test_static_covariates_that_cannot_be_meant(tmp_path):
    for frame, words, message in (
        (stores(size=np.arange(1600)), LONG, "size differs within the series a, .* data.known or data.observed"),
        (hourly_table(size=3), ["data.static=[size]"], r"name data.series_column="),
        (stores(), [LONG[0], "data.static=[color]"], "has no column color"),
        (stores(), [*LONG, "data.known=[size]"], "a column is one of"),
    ):
        with pytest.raises(UserError, match=message):
            load(tmp_path, frame, *words)
