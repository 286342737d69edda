"""Tables of all kinds become windows; nothing of the future leaks into what is read or fitted."""

import numpy as np
import pandas as pd
import pytest
import torch

from mla_train.config import Augmentation
from mla_train.errors import UserError
from mla_train.training.build import build_data, build_task
from tasks.forecasting import baselines, ridge
from tasks.forecasting.data import HIDDEN, NOISE, STRETCH, find_period, varied
from tests.helpers import config

SMALL = ["data.look_back=24", "data.horizon=6"]


def table(rows=400, **columns):
    times = pd.date_range("2024-01-01", periods=rows, freq="1h")
    hours = np.arange(rows)
    values = {"load": np.sin(hours / 24 * 2 * np.pi) + 0.01 * hours, "price": np.cos(hours / 24 * 2 * np.pi) * 5}
    return pd.DataFrame({"date": times, **values, **columns})


def read(folder, frame, *words, name="a.csv", **how):
    if name.endswith(".parquet"):
        frame.to_parquet(folder / name)
    else:
        frame.to_csv(folder / name, index=False, **how)
    data = build_data(config("task=forecasting", "data=series_csv", f"data.path={folder / name}", *SMALL, *words))
    data.setup()
    return data


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.csv", {}),
        ("a.csv", {"sep": ";"}),
        ("a.csv", {"sep": "\t"}),
        ("a.csv.gz", {}),
        ("a.parquet", {}),
        ("a.csv", {"date_format": "%m/%d/%Y %H:%M"}),
        ("a.csv", {"date_format": "%Y%m%dT%H%M%SZ"}),
        ("a.csv", {"date_format": "%d %B %Y %H:%M"}),
        ("a.csv", {"date_format": "%d.%m.%Y %H:%M"}),
        ("a.csv", {"date_format": "%Y-%m-%dT%H:%M:%S+00:00"}),
        ("a.csv", {"sep": ";", "decimal": ","}),
    ],
)
def test_tables_of_all_kinds(tmp_path, name, how):
    data = read(tmp_path, table(), name=name, **how)
    assert data.facts.names == ["load", "price"]
    assert data.facts.period == 24
    assert data.series.times[25] == pd.Timestamp("2024-01-02 01:00")
    assert list(map(len, (data.train, data.val, data.test))) == [280 - 30 + 1, 40 - 6 + 1, 80 - 6 + 1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_as_numbers(tmp_path, unit):
    frame = table()
    frame["date"] = (frame["date"] - pd.Timestamp(0)) // pd.Timedelta(1, unit)
    data = read(tmp_path, frame)
    assert data.series.times[1] == pd.Timestamp("2024-01-01 01:00")


@pytest.mark.parametrize(
    ("frequency", "written", "last"),
    [
        ("D", "%d.%m.%Y", "2021-02-03"),  # 13.01. tells the order, 01.02. does not
        ("MS", "%d/%m/%Y", "2053-04-01"),  # no row tells it, but months follow each other
        ("MS", "%m/%d/%Y", "2053-04-01"),
        ("D", "%Y%m%d", "2021-02-03"),
        ("YS", "%Y", "2219-01-01"),
    ],
)
def test_order_of_day_and_month_and_numbers_that_are_dates(tmp_path, frequency, written, last):
    rows = 400 if frequency != "YS" else 200
    frame = table(rows)
    start = "2020-01-01"
    frame["date"] = pd.date_range(start, periods=rows, freq=frequency).strftime(written)
    data = read(tmp_path, frame, "data.look_back=12", "data.period=12")
    assert data.series.times[-1] == pd.Timestamp(last)
    assert data.series.times.is_monotonic_increasing


def test_a_change_of_the_clock(tmp_path):
    frame = table()
    local = pd.date_range("2024-03-25", periods=400, freq="1h", tz="Europe/Berlin")
    frame["date"] = [time.isoformat() for time in local]
    data = read(tmp_path, frame)
    assert data.series.times[0] == pd.Timestamp("2024-03-24 23:00")


@pytest.mark.parametrize(("frequency", "dropped"), [("MS", 5), ("YS", 5), ("B", 7)])
def test_months_and_working_days_are_resampled_to_themselves(tmp_path, frequency, dropped):
    rows = 200
    frame = table(rows)
    frame["date"] = pd.date_range("2000-01-01", periods=rows, freq=frequency)
    words = ["data.look_back=12", "data.period=12"]
    with pytest.raises(UserError, match=f"data.frequency={frequency}"):
        read(tmp_path, frame.drop(index=dropped), *words)
    data = read(tmp_path, frame.drop(index=dropped), *words, "data.resample=mean")
    np.testing.assert_array_equal(data.series.times, frame["date"])
    assert np.isnan(data.series.values[dropped]).all()
    assert int((~data.real).sum()) == 2


def test_what_is_measured_alone_is_counted(tmp_path):
    """Filled values are no truth for the cycle, nor for what MASE divides by."""
    frame, chance = table(), np.random.default_rng(0)
    frame["load"] = chance.normal(size=400) + 10 * (np.arange(400) % 24 == 0)
    gappy = frame.copy()
    gappy.loc[chance.random(400) < 0.6, "load"] = np.nan
    whole, partly = (read(tmp_path, content, "data.period=24").facts.naive_error for content in (frame, gappy))
    assert partly[0] * read(tmp_path, gappy).facts.std[0] == pytest.approx(
        whole[0] * read(tmp_path, frame).facts.std[0], rel=0.25
    )
    data = read(tmp_path, gappy, "data.period=24")
    measured = gappy["load"][:280][(np.arange(280) % 24 == 0)].mean()
    assert baselines.cycle_profile(data)[0, 0] * data.facts.std[0] + data.facts.mean[0] == pytest.approx(
        measured, rel=1e-4
    )


def test_a_window_that_falls_into_a_gap_teaches_nothing(tmp_path):
    frame = table()
    frame.loc[60:120, ["load", "price"]] = np.nan
    data = read(tmp_path, frame)
    task = build_task(data.config, data.facts)
    batch = data.collate([data.train[50]], training=True)
    assert not batch.real[..., 24:].any()
    total, count = task.loss(task(batch), batch)
    (total / count).backward()
    assert (float(total), int(count)) == (0, 1)
    assert all(float(p.grad.abs().sum()) == 0 for p in task.parameters() if p.grad is not None)


def test_each_test_row_is_scored_by_as_many_windows_as_there_are(tmp_path):
    data = read(tmp_path, table())
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    assert batch.index.tolist() == list(range(75))
    truth = (data.series.values - data.facts.mean) / data.facts.std
    for place in (0, 40, 74):
        row = 320 + place
        np.testing.assert_allclose(batch.future[place].T, truth[row : row + 6], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(batch.past[place].T, truth[row - 24 : row], rtol=1e-4, atol=1e-5)
        assert batch.phase[place] == (row - 24) % 24
    first, last = data.val[0][1], data.val[len(data.val) - 1][1]
    assert (first + 24, last + 30) == (280, 320)


@pytest.mark.parametrize(
    ("split", "borders"),
    [
        ("[0.5,0.25]", (200, 300, 400)),
        ("[200,250]", (200, 250, 400)),
        ("[200,250,300]", (200, 250, 300)),
        ("[2024-01-08,2024-01-12]", (168, 264, 400)),
        ("['2024-01-08T00:00:00Z','2024-01-12T01:00:00+01:00']", (168, 264, 400)),
    ],
)
def test_borders_as_shares_rows_or_dates(tmp_path, split, borders):
    assert read(tmp_path, table(), f"data.split={split}").borders == borders


def test_covariates_are_not_forecast(tmp_path):
    frame = table(holiday=np.arange(400) % 7 == 0, wind=np.arange(400.0), note="x")
    frame["holiday"] = frame["holiday"].astype(int)
    data = read(tmp_path, frame, "data.known=[holiday]", "data.observed=[wind]")
    assert data.facts.names == ["load", "price"]
    assert (data.facts.num_known, data.facts.num_observed) == (5, 1)
    assert "note is not numeric and not forecast" in " ".join(data.notes)
    assert read(tmp_path, frame, "data.targets=[price]").facts.names == ["price"]


def test_gaps_are_filled_from_the_past_and_not_scored(tmp_path):
    frame = table()
    frame.loc[330:332, "load"] = np.nan
    frame.loc[0, "price"] = np.nan
    data = read(tmp_path, frame)
    assert "4 missing values" in " ".join(data.notes)
    assert data.values[331, 0] == data.values[329, 0]
    assert data.values[0, 1] == 0
    batch = data.collate([data.test[i] for i in range(len(data.test))], training=False)
    assert int((~batch.real[..., 24:]).sum()) == 3 * 6
    assert data.facts.gaps  # row 0 of price
    task = build_task(data.config, data.facts)
    outputs = task(batch)
    total, count = task.eval().loss(outputs, batch)
    assert count == 75 * 2 * 6 - 18
    assert torch.isfinite(total)


def test_changing_the_future_changes_neither_what_is_fitted_nor_what_is_read(tmp_path):
    """Rows of val and test leave scaler, cycle and ridge alone; rows after a window's past leave its forecast alone."""
    frame = table()
    changed = frame.copy()
    changed.loc[350:, ["load", "price"]] = np.random.default_rng(0).normal(100, 50, (50, 2))
    found = []
    for content in (frame, changed):
        data = read(tmp_path, content)
        task = build_task(data.config, data.facts).eval()
        torch.manual_seed(0)
        task.begin(data)
        with torch.no_grad():
            task.network.residual.gate.fill_(0.5)
            for parameter in task.network.residual.write.parameters():
                parameter.fill_(0.1)
        examples = [data.test[i] for i in range(31)]  # whose past ends before row 351
        found.append((data.facts, task.state_dict(), task(data.collate(examples, training=False))))
    assert found[0][0] == found[1][0]
    for name in ("ridge", "profile"):
        assert torch.equal(found[0][1][f"network.{name}"], found[1][1][f"network.{name}"])
    torch.manual_seed(0)
    for one, other in zip(found[0][2], found[1][2], strict=True):
        assert one.shape == other.shape
    # The same network on both tables.
    both = []
    for content in (frame, changed):
        data = read(tmp_path, content)
        both.append(task(data.collate([data.test[i] for i in range(31)], training=False))[0])
    assert torch.equal(both[0], both[1])
    assert not torch.equal(
        task(data.collate([data.test[31 + i] for i in range(5)], training=False))[0],
        task(read(tmp_path, frame).collate([data.test[31 + i] for i in range(5)], training=False))[0],
    )


def test_changing_val_and_test_changes_neither_scaler_nor_cycle_nor_the_ridge_of_a_strength(tmp_path):
    """Validation rows choose strength and centre of the ridge, and nothing else."""
    frame = table()
    changed = frame.copy()
    changed.loc[280:, ["load", "price"]] = np.random.default_rng(0).normal(100, 50, (120, 2))
    one, other = read(tmp_path, frame), read(tmp_path, changed)
    assert one.facts == other.facts
    np.testing.assert_array_equal(baselines.cycle_profile(one), baselines.cycle_profile(other))
    fits = [ridge.moments(*data.windows("train")) for data in (one, other)]
    for first, second in zip(*fits, strict=True):
        np.testing.assert_array_equal(first, second)


def test_variation_of_windows(tmp_path):
    values, real = torch.randn(500, 2, 30).cumsum(-1), torch.ones(500, 2, 30, dtype=torch.bool)
    torch.manual_seed(0)
    for augmentation in Augmentation:
        found, seen = varied(values, real, 24, augmentation)
        if augmentation is Augmentation.none:
            assert found is values
            continue
        spread = values[..., :24].std(-1, keepdim=True)
        noise = (found - values)[..., :24] / spread
        if augmentation is Augmentation.light:
            assert float(noise.std()) == pytest.approx(NOISE, rel=0.05)
            assert torch.equal(found[..., 24:], values[..., 24:])
            assert seen.all()
        else:
            assert float((~seen[..., :24]).float().mean()) == pytest.approx(HIDDEN, rel=0.2)
            assert seen[..., 24:].all()
            mean = values[..., :24].mean(-1, keepdim=True)
            factors = (found[..., 24:] - mean) / (values[..., 24:] - mean)
            torch.testing.assert_close(factors[..., :1].expand(-1, -1, 6), factors, rtol=1e-2, atol=1e-2)
            assert float(factors[..., 0].std()) == pytest.approx(STRETCH, rel=0.2)
            hidden = ~seen[..., 1:24]
            near = (found[..., 1:24] - found[..., :23]).abs() / spread
            assert float(near[hidden].max()) < 10 * NOISE  # the last value before, but for noise


def test_resampling(tmp_path):
    frame = table().drop(index=[50, 51, 52])
    frame = pd.concat([frame, frame.iloc[[10]]]).sample(frac=1, random_state=0)
    with pytest.raises(UserError, match="times are not in order"):
        read(tmp_path, frame)
    mean = read(tmp_path, frame, "data.resample=mean")
    assert len(mean.series.times) == 400
    assert np.isnan(mean.series.values[50:53]).all()
    filled = read(tmp_path, frame, "data.resample=fill")
    assert (filled.series.values[50:53] == filled.series.values[49]).all()
    coarse = read(tmp_path, table(), "data.resample=mean", "data.frequency=2h")
    assert len(coarse.series.times) == 200
    assert coarse.series.values[0, 0] == pytest.approx(table()["load"][:2].mean())


@pytest.mark.parametrize("period", [7, 24, 168])
def test_the_period_is_found(period):
    steps = np.arange(2000)
    wave = (
        np.sin(2 * np.pi * steps / period) + 0.5 * (steps % period == 0) + np.random.default_rng(0).normal(0, 0.1, 2000)
    )
    assert find_period(wave[:, None]) == period


@pytest.mark.parametrize(
    ("change", "words", "message"),
    [
        (
            lambda t: t.head(40),
            [],
            r"40 rows are too few: train lacks 2 rows .* Needed are 30 rows of train and 6 each",
        ),
        (
            lambda t: t.assign(load=["x" if i == 4 else 1.0 for i in range(400)]),
            ["data.targets=[load]"],
            "'x' in row 5 of column load",
        ),
        (lambda t: t.assign(load=np.nan), [], "column load has no value in the training rows"),
        (lambda t: t.assign(date=t["date"].where(t.index != 9, t["date"][8])), [], "stands there twice"),
        (lambda t: t.drop(index=range(20, 23)), [], "rows are usually 0 days 01:00:00 apart, but 1 are not"),
        (lambda t: t, ["data.targets=[lod]"], "has no column lod; there are date, load, price"),
        (lambda t: t.drop(columns="date"), [], "has no column of times"),
        (lambda t: t[["date"]], [], "no column of numbers"),
        (lambda t: t, ["data.split=[0.9,0.2]"], "must leave something for test"),
        (lambda t: t, ["data.split=[soon,later]"], "no share, row or date"),
        (lambda t: t, ["data.resample=mean", "data.frequency=hourly"], "write 15min, 1h"),
        (lambda t: t, ["data.resample=mean", "data.frequency=0h"], "write 15min, 1h"),
        (lambda t: t, ["data.frequency=1h"], "add data.resample=mean or fill"),
        (lambda t: t, ["data.targets=[load,price]", "data.known=[load]"], "load: a column is one of"),
        (lambda t: t, ["data.targets=[]"], "name a column"),
        (lambda t: t, ["data.rows=-5"], "must be 1 or more"),
        (lambda t: t, ["data.split=[0.7,0.1,0.2]"], "two shares, of train and val"),
        (lambda t: t, ["data.period=300"], "280 training rows allow at most 273"),
        (lambda t: t.assign(load=t["load"][:280], price=t["price"][:280]), [], "val has no measured value"),
        (lambda t: t.assign(date=range(400)), [], "the numbers of column date are no times"),
        (lambda t: t.assign(date=t["date"].where(t.index != 6)), [], "no time in row 7 of column date"),
        (lambda t: t.assign(date="2024-01-01"), ["data.resample=mean"], "all rows are of 2024-01-01"),
    ],
)
def test_errors_say_what_to_do(tmp_path, change, words, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, change(table()), *words)


def test_a_series_that_does_not_change_is_only_centred(tmp_path):
    data = read(tmp_path, table(flat=3.0))
    assert "flat does not change" in " ".join(data.notes)
    assert np.isfinite(data.values).all()
