"""Data sets of markets: variances by hand, forecasts of logarithms, the loss of variances, HAR and zero against naive ones."""

import json

import numpy as np
import pandas as pd
import pytest

import mla_train
from mla_train.errors import UserError
from mla_train.heads.forecast_figures import draw_windows
from mla_train.heads.forecast_metrics import forecast_metrics
from tasks.forecasting import baselines, markets
from tasks.forecasting.config import MarketConfig
from tests.helpers import SMALL, build_forecaster, hourly_table, load, run_here

SHORT = ["task=forecasting", "epochs=1", "task.patch=11", "data.look_back=22"]


def positive(rows=400):
    noise = np.random.default_rng(0).normal(size=(2, rows))
    frame = hourly_table(rows)
    return frame.assign(load=np.exp(frame["load"] + 0.3 * noise[0]), price=np.exp(noise[1].cumsum() / 5))


def test_variance_of_a_day_by_hand():
    day = pd.DataFrame({"Open": [100.0], "High": [104.0], "Low": [98.0], "Close": [101.0]})
    expected = 1e4 * (0.5 * np.log(104 / 98) ** 2 - (2 * np.log(2) - 1) * np.log(101 / 100) ** 2)
    assert markets.garman_klass(day).item() == pytest.approx(expected)


def test_working_days_of_the_index():
    pytest.importorskip("arch")
    table = markets.read_market(MarketConfig())
    assert (table.names, table.observed, table.transform) == (["variance"], ["return"], "log")
    assert table.frame.loc["2018-12-25"].isna().tolist() == [True, False]  # a holiday: its price has not changed
    assert table.frame.loc["2018-12-31", "return"] == pytest.approx(100 * np.log(2506.850098 / 2485.73999))
    assert table.frame["variance"].dropna().min() > 0
    assert table.times.freqstr == "B"
    assert markets.read_market(MarketConfig(dataset="sp500_returns")).names == ["return"]


@pytest.fixture
def prices(tmp_path, monkeypatch):
    """A package with two stocks; one does not move in the second week."""
    file = tmp_path / "skfolio" / "datasets" / "data" / "sp500_dataset.csv.gz"
    file.parent.mkdir(parents=True)
    (tmp_path / "skfolio" / "__init__.py").write_text("raise ImportError('only its files are read')")
    days = pd.date_range("2020-01-06", periods=1500, freq="B", name="Date")
    moves = np.random.default_rng(0).normal(0, 0.01, (1500, 2))
    moves[5:10, 1] = 0
    frame = pd.DataFrame(100 * np.exp(moves.cumsum(0)), days, ["AAA", "BBB"])
    frame.to_csv(file)
    monkeypatch.syspath_prepend(tmp_path)
    return frame


def test_weeks_of_stocks(prices):
    table = markets.read_market(MarketConfig(dataset="stock_volatility"))
    daily = 100 * np.log(prices).diff()
    assert table.times[1] == pd.Timestamp("2020-01-17")  # a Friday
    assert table.values[1, 0] == pytest.approx((daily["AAA"][5:10] ** 2).mean())
    assert np.isnan(table.values[1, 1])
    assert table.covariates.shape == (300, 2, 3)
    both = daily[5:10].mean(axis=1)
    expected = [daily["AAA"][5:10].sum(), both.sum(), np.log((both**2).mean())]
    np.testing.assert_allclose(table.covariates[1, 0], expected)
    assert table.notes == ["1 weeks of a stock without any change of its price are gaps"]
    data = load("task=forecasting", "data=stock_volatility")
    spec = data.spec.inputs["series"].spec
    np.testing.assert_allclose(spec.mean[0], np.log(table.values[:210, 0]).mean(), rtol=1e-6)
    assert "series are read after log, as suits this data (task.transform)" in data.notes


def test_errors_name_the_way_out(monkeypatch):
    with pytest.raises(UserError, match=r"no such data set\. Did you mean sp500_returns"):
        markets.read_market(MarketConfig(dataset="sp500_return"))
    monkeypatch.setattr(markets, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="package arch, which is not installed: pip install arch"):
        markets.read_market(MarketConfig())


def windows_of(folder, frame, *words):
    _, data, model = build_forecaster(folder, frame, "data.targets=[load,price]", "data.look_back=24", *words)
    return data, model, *(split.columns["series"] for split in (data.train, data.test))


def test_har_is_least_squares_on_means_of_logarithms(tmp_path):
    data, _, train, test = windows_of(tmp_path, positive(), "task.transform=log", "data.horizon=2")
    assert {"har", "ridge"} <= baselines.forecast_baselines(data).keys()
    features, targets = [], []
    for past, future in zip(*train.windows(), strict=True):
        for series in range(2):
            lags = past[series][::-1]
            features.append([1, lags[0], lags[:5].mean(), lags[:22].mean()])
            targets.append(future[series])
    x, y = np.array(features, np.float64), np.array(targets, np.float64)
    weight = np.linalg.solve(x.T @ x, x.T @ y)
    lags = test.windows()[0][7, 1][::-1]
    expected = np.array([1, lags[0], lags[:5].mean(), lags[:22].mean()]) @ weight
    np.testing.assert_allclose(baselines.har(train, test)[7, 1], expected, rtol=1e-4)


def test_har_is_left_out_where_it_makes_no_sense(tmp_path):
    for words in ([], ["task.transform=log", "data.look_back=21"]):
        data, *_ = windows_of(tmp_path, positive(), *words)
        assert "har" not in baselines.forecast_baselines(data)


def test_zero_is_a_forecast_of_what_swings_around_it(tmp_path):
    returns = np.random.default_rng(0).normal(0.01, 1, (2, 400))
    data, _, _, test = windows_of(tmp_path, hourly_table(load=returns[0], price=returns[1]))
    assert "zero" in baselines.forecast_baselines(data)
    units = data.spec.target.in_units(baselines.zero(data.spec.target, test))
    np.testing.assert_allclose(units, 0, atol=1e-6)
    assert units.shape == test.windows()[1].shape
    data, *_ = windows_of(tmp_path, hourly_table())
    assert "zero" not in baselines.forecast_baselines(data)


def test_qlike_is_the_loss_of_variances(tmp_path):
    data, model, *_ = windows_of(tmp_path, positive(), "task.transform=log")
    spec, chance = data.spec.target, np.random.default_rng(0)
    shape = (30, 2, spec.horizon)
    predictions = {"forecast": chance.normal(size=shape), "future": chance.normal(size=shape)}
    predictions["real"] = chance.random(shape) < 0.8
    forecast, future = (spec.in_units(predictions[name])[predictions["real"]] for name in ("forecast", "future"))
    expected = np.mean(future / forecast - np.log(future / forecast) - 1)
    metrics = forecast_metrics(predictions, spec, [])
    assert metrics["qlike"] == pytest.approx(expected)
    assert model.head.directions["qlike"] == "min"
    drawn = model.head.metrics_of_draws(predictions, iter([np.arange(30)]))
    assert drawn["qlike"] == pytest.approx([expected])


def test_other_series_have_no_qlike(tmp_path):
    _, model, *_ = windows_of(tmp_path, positive())
    assert "qlike" not in model.head.directions
    with pytest.raises(UserError, match=r"task\.monitor=qlike: must be one of mse"):
        windows_of(tmp_path, positive(), "task.monitor=qlike")


def test_logarithms_need_values_above_zero(tmp_path):
    frame = positive()
    frame.loc[7, "price"] = 0.0
    with pytest.raises(UserError, match=r"task.transform=log: price is 0 at .* values above 0; task.transform=log1p"):
        windows_of(tmp_path, frame, "task.transform=log")


def test_a_variance_is_trained_on_and_predicted_from_a_table(tmp_path):
    pytest.importorskip("arch")
    results = run_here(tmp_path / "run", *SHORT, "data=sp500_volatility", *SMALL[1:])
    assert {"har", "ridge", "repeat_last"} <= results["baselines"].keys()
    assert results["metrics"]["test"]["qlike"] < results["baselines"]["repeat_last"]["qlike"]
    assert results["baselines"]["har"]["mse"] < results["baselines"]["repeat_last"]["mse"]
    table = markets.sp500().dropna()[-40:]
    table.to_csv(tmp_path / "days.csv", index_label="date")
    (record,) = mla_train.load(tmp_path / "run").predict([{"series": str(tmp_path / "days.csv")}])
    (forecast,) = record["prediction"]["variance"]
    (low,), (high,) = (record["quantiles"][level]["variance"] for level in ("0.1", "0.9"))
    assert 0 < low < forecast < high < 30
    assert json.dumps(record)


def test_a_window_without_a_measured_step_is_not_the_best(tmp_path, monkeypatch):
    """And of a horizon of one step the forecast is as wide as the step."""
    frame = positive()
    frame.loc[340:360, "load"] = np.nan
    _, data, model = build_forecaster(tmp_path, frame, "data.targets=[load]", "data.look_back=24", "data.horizon=1")
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    predictions = model.head.read_outputs(model(batch)) | model.head.labels(batch)
    titles, drawn = [], []
    monkeypatch.setattr("matplotlib.axes.Axes.set_title", lambda axes, title: titles.append(title))
    monkeypatch.setattr("matplotlib.axes.Axes.fill_between", lambda axes, x, *_, **__: drawn.append(len(x)))
    monkeypatch.setattr("mla_train.heads.forecast_figures.save_figure", lambda *_: None)
    monkeypatch.setattr("matplotlib.axes.Axes.legend", lambda *_, **__: None)
    column = data.test.columns["series"]
    draw_windows(
        predictions | {"index": np.arange(len(data.test))}, column, data.spec.target, [0.1, 0.5, 0.9], tmp_path
    )
    assert len(titles) == 5
    assert not any(title.endswith("rmse 0") for title in titles)
    assert set(drawn) == {2}
