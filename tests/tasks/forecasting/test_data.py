"""Tables of all kinds become windows; nothing of the future leaks into what is read or fitted."""

import numpy as np
import pandas as pd
import pytest
import torch

from mla_train.config import Augmentation
from mla_train.errors import UserError
from mla_train.modalities.series import ridge
from mla_train.modalities.series.augment import HIDDEN, NOISE, STRETCH, vary_windows
from mla_train.modalities.series.cycle import find_periods
from mla_train.modalities.series.windows import cycle_profile
from mla_train.task import build_task
from mla_train.window_dataset import borders
from tests.helpers import forecasting_config
from tests.helpers import hourly_table as table


def built(data, config):
    """The network of a data set, as it is before training."""
    torch.manual_seed(0)
    task = build_task(config)
    model = task.build_model(data.spec).eval()
    task.init_from_data(model, data)
    return model


def read(folder, frame, *words, **how):
    return build_task(forecasting_config(folder, frame, *words, **how)).load_data()


def column(data, split="test"):
    return getattr(data, split).columns["series"]


def batch_of(data, places, split="test"):
    part = getattr(data, split)
    return data.collate([part[i] for i in places], training=False)


def truth(data):
    """The raw table."""
    return column(data).series.table


def spec(data):
    return data.spec.inputs["series"].spec


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
    assert spec(data).names == ["load", "price"]
    assert spec(data).period == 24
    assert truth(data).times[25] == pd.Timestamp("2024-01-02 01:00")
    assert list(map(len, (data.train, data.val, data.test))) == [280 - 30 + 1, 40 - 6 + 1, 80 - 6 + 1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_times_as_numbers(tmp_path, unit):
    frame = table()
    frame["date"] = (frame["date"] - pd.Timestamp(0)) // pd.Timedelta(1, unit)
    data = read(tmp_path, frame)
    assert truth(data).times[1] == pd.Timestamp("2024-01-01 01:00")


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
    assert truth(data).times[-1] == pd.Timestamp(last)
    assert truth(data).times.is_monotonic_increasing


def test_a_change_of_the_clock(tmp_path):
    frame = table()
    local = pd.date_range("2024-03-25", periods=400, freq="1h", tz="Europe/Berlin")
    frame["date"] = [time.isoformat() for time in local]
    data = read(tmp_path, frame)
    assert truth(data).times[0] == pd.Timestamp("2024-03-24 23:00")


@pytest.mark.parametrize(
    ("frequency", "dropped"),
    [("MS", 5), ("ME", 5), ("YS-JAN", 5), ("QS-JAN", 5), ("QE-MAR", 7), ("B", 7), ("W-WED", 5)],
)
def test_a_missing_month_week_or_working_day_is_a_gap(tmp_path, frequency, dropped):
    rows = 200
    frame = table(rows)
    frame["date"] = pd.date_range("2000-01-01", periods=rows, freq=frequency)
    words = ["data.look_back=12", "data.period=12"]
    for how in ("refuse", "mean"):
        data = read(tmp_path, frame.drop(index=dropped), *words, f"data.resample={how}")
        np.testing.assert_array_equal(truth(data).times, frame["date"])
        assert np.isnan(truth(data).values[dropped]).all()
        assert int((~column(data).series.real).sum()) == 2
        assert spec(data).frequency.split("-")[0] == frequency.split("-")[0]
        assert any(frequency in note and "gaps" in note for note in data.notes)


def test_what_is_measured_alone_is_counted(tmp_path):
    """Filled values are no truth for the cycle, nor for what MASE divides by."""
    frame, chance = table(), np.random.default_rng(0)
    frame["load"] = chance.normal(size=400) + 10 * (np.arange(400) % 24 == 0)
    gappy = frame.copy()
    gappy.loc[chance.random(400) < 0.6, "load"] = np.nan
    whole, partly = (read(tmp_path, content, "data.period=24").spec.target.naive_error for content in (frame, gappy))
    assert partly[0] * spec(read(tmp_path, gappy)).std[0] == pytest.approx(
        whole[0] * spec(read(tmp_path, frame)).std[0], rel=0.25
    )
    data = read(tmp_path, gappy, "data.period=24")
    measured = gappy["load"][:280][(np.arange(280) % 24 == 0)].mean()
    assert cycle_profile(column(data).series, 280, 24)[0, 0] * spec(data).std[0] + spec(data).mean[0] == pytest.approx(
        measured, rel=1e-4
    )


def test_a_window_that_falls_into_a_gap_teaches_nothing(tmp_path):
    frame = table()
    frame.loc[60:120, ["load", "price"]] = np.nan
    data = read(tmp_path, frame)
    model = built(data, forecasting_config(tmp_path, frame)).train()
    batch = data.collate([data.train[50]], training=True)
    assert not batch.targets.real.any()
    total, count = model.head.loss(model(batch), batch)
    (total / count).backward()
    assert (float(total), int(count)) == (0, 1)
    assert all(float(p.grad.abs().sum()) == 0 for p in model.parameters() if p.grad is not None)


def test_each_test_row_is_scored_by_as_many_windows_as_there_are(tmp_path):
    data = read(tmp_path, table())
    batch = batch_of(data, range(len(data.test)))
    assert batch.index.tolist() == list(range(75))
    scaled = (truth(data).values - spec(data).mean) / spec(data).std
    for place in (0, 40, 74):
        row = 320 + place
        np.testing.assert_allclose(batch.targets.values[place].T, scaled[row : row + 6], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(batch.inputs["series"].past[place].T, scaled[row - 24 : row], rtol=1e-4, atol=1e-5)
        assert batch.inputs["series"].phase[place] == (row - 24) % 24
    assert (column(data, "val").first, column(data, "val").end) == (280, 320)


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("[0.5,0.25]", (200, 300, 400)),
        ("[200,250]", (200, 250, 400)),
        ("[200,250,300]", (200, 250, 300)),
        ("[2024-01-08,2024-01-12]", (168, 264, 400)),
        ("['2024-01-08T00:00:00Z','2024-01-12T01:00:00+01:00']", (168, 264, 400)),
    ],
)
def test_borders_as_shares_rows_or_dates(tmp_path, split, rows):
    config = forecasting_config(tmp_path, table(), f"data.split={split}")
    assert borders(config.data.split, pd.DatetimeIndex(table()["date"])) == rows


def test_covariates_are_not_forecast(tmp_path):
    frame = table(holiday=np.arange(400) % 7 == 0, wind=np.arange(400.0), note="x")
    frame["holiday"] = frame["holiday"].astype(int)
    data = read(tmp_path, frame, "data.known=[holiday]", "data.observed=[wind]")
    assert spec(data).names == ["load", "price"]
    assert (spec(data).num_known, spec(data).observed) == (5, ["wind"])
    assert "note is not numeric and not forecast" in " ".join(data.notes)
    assert spec(read(tmp_path, frame, "data.targets=[price]")).names == ["price"]


def test_gaps_are_filled_from_the_past_and_not_scored(tmp_path):
    frame = table()
    frame.loc[330:332, "load"] = np.nan
    frame.loc[0, "price"] = np.nan
    data = read(tmp_path, frame)
    assert "4 missing values" in " ".join(data.notes)
    assert column(data).series.values[331, 0] == column(data).series.values[329, 0]
    assert column(data).series.values[0, 1] == 0
    batch = batch_of(data, range(len(data.test)))
    assert int((~batch.targets.real).sum()) == 3 * 6
    assert spec(data).gaps  # row 0 of price
    model = built(data, forecasting_config(tmp_path, frame))
    total, count = model.head.loss(model(batch), batch)
    assert count == 75 * 2 * 6 - 18
    assert torch.isfinite(total)


def test_changing_the_future_changes_neither_what_is_fitted_nor_what_is_read(tmp_path):
    """Rows of val and test leave scaler, cycle and ridge alone; rows after a window's past leave its forecast alone."""
    frame = table()
    changed = frame.copy()
    changed.loc[350:, ["load", "price"]] = np.random.default_rng(0).normal(100, 50, (50, 2))
    data = [read(tmp_path, content) for content in (frame, changed)]
    models = [built(each, forecasting_config(tmp_path, frame)) for each in data]
    assert spec(data[0]) == spec(data[1])
    for name, value in models[0].state_dict().items():
        assert torch.equal(value, models[1].state_dict()[name]), name
    with torch.no_grad():
        models[0].head.gate.fill_(0.5)
    same, other = ([models[0](batch_of(each, places))[0] for each in data] for places in (range(31), range(31, 36)))
    assert torch.equal(*same)  # windows whose past ends before row 351
    assert not torch.equal(*other)


def test_changing_val_and_test_changes_neither_scaler_nor_cycle_nor_the_ridge_of_a_strength(tmp_path):
    """Validation rows choose strength and centre of the ridge, and nothing else."""
    frame = table()
    changed = frame.copy()
    changed.loc[280:, ["load", "price"]] = np.random.default_rng(0).normal(100, 50, (120, 2))
    one, other = read(tmp_path, frame), read(tmp_path, changed)
    assert spec(one) == spec(other)
    profiles = [cycle_profile(column(data).series, column(data, "train").end, 24) for data in (one, other)]
    np.testing.assert_array_equal(*profiles)
    fits = [ridge.moments(column(data, "train").pairs()) for data in (one, other)]
    for first, second in zip(*fits, strict=True):
        np.testing.assert_array_equal(first, second)


def test_variation_of_windows():
    values, real = torch.randn(500, 2, 30).cumsum(-1), torch.ones(500, 2, 30, dtype=torch.bool)
    torch.manual_seed(0)
    for augmentation in Augmentation:
        past, future, seen = vary_windows(values[..., :24], values[..., 24:], real[..., :24], augmentation)
        found = torch.cat([past, future], -1)
        if augmentation is Augmentation.none:
            assert torch.equal(found, values)
            continue
        spread = values[..., :24].std(-1, keepdim=True)
        noise = (found - values)[..., :24] / spread
        if augmentation is Augmentation.light:
            assert float(noise.std()) == pytest.approx(NOISE, rel=0.05)
            assert torch.equal(found[..., 24:], values[..., 24:])
            assert seen.all()
        else:
            assert float((~seen[..., :24]).float().mean()) == pytest.approx(HIDDEN, rel=0.2)
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
    assert len(truth(mean).times) == 400
    assert np.isnan(truth(mean).values[50:53]).all()
    filled = read(tmp_path, frame, "data.resample=fill")
    assert (truth(filled).values[50:53] == truth(filled).values[49]).all()
    coarse = read(tmp_path, table(), "data.resample=mean", "data.frequency=2h")
    assert len(truth(coarse).times) == 200
    assert truth(coarse).values[0, 0] == pytest.approx(table()["load"][:2].mean())


@pytest.mark.parametrize("period", [7, 24, 168])
def test_the_period_is_found(period):
    steps = np.arange(2000)
    wave = (
        np.sin(2 * np.pi * steps / period) + 0.5 * (steps % period == 0) + np.random.default_rng(0).normal(0, 0.1, 2000)
    )
    assert find_periods(wave[:, None])[0] == period


@pytest.mark.parametrize("period", [12, 24, 52])
def test_the_period_under_a_trend(tmp_path, period):
    """Neither a line nor a random walk moves it to a shorter one."""
    steps = np.arange(12 * period)
    wave = np.sin(2 * np.pi * steps / period)
    walk = np.random.default_rng(0).normal(0, 0.1, len(steps)).cumsum()
    for level in (steps, 0.05 * steps, walk):
        assert find_periods((level + wave)[:, None])[0] == period


def test_the_next_likely_period_is_named(tmp_path):
    frame = table(2000)
    frame["load"] += 2 * (np.arange(2000) % 168 >= 120)
    data = read(tmp_path, frame, "data.targets=[load]")
    assert spec(data).period == 168
    assert "168 steps long (data.period); next in likelihood: 24" in " ".join(data.notes)


def test_no_period_is_a_guess():
    chance = np.random.default_rng(0)
    for noise in (
        chance.normal(size=(600, 1)),
        chance.normal(size=(600, 1)).cumsum(0),
        np.zeros((600, 1)),
        np.ones((5, 1)),
    ):
        assert find_periods(noise) == [24 if len(noise) > 5 else 2]


def test_the_period_of_months_that_rise(tmp_path):
    months = pd.date_range("2000-01-01", periods=240, freq="MS")
    steps = np.arange(240)
    frame = pd.DataFrame({"month": months, "y": 100 + steps + 20 * np.sin(2 * np.pi * steps / 12)})
    data = read(tmp_path, frame, "data.horizon=12")
    assert spec(data).period == 12
    assert "the cycle is 12 steps long (data.period)" in " ".join(data.notes)


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
            "column load: 'x' in line 6 is no number",
        ),
        (lambda t: t.assign(load=np.nan), ["data.targets=[load]"], "column load has no value in the training rows"),
        (
            lambda t: t.assign(date=t["date"].where(t.index != 9, t["date"][8])),
            [],
            r"a.csv line 11: duplicate time .*data\.resample=mean",
        ),
        (
            lambda t: t.drop(index=range(20, 60)),
            [],
            "rows are usually an hour apart, but 1 is not; .*data.resample=mean",
        ),
        (
            lambda t: t,
            ["data.targets=[lod]"],
            "has no column lod; there are date, load, price. Name the right one with data.targets=",
        ),
        (
            lambda t: t,
            ["data.series_column=store"],
            "there are date, load, price. Name the right one with data.series_column=",
        ),
        (lambda t: t.drop(columns="date"), [], "has no column of times"),
        (lambda t: t[["date"]], [], "no column of numbers"),
        (lambda t: t, ["data.split=[0.9,0.2]"], "must leave something for test"),
        (lambda t: t, ["data.split=[soon,later]"], "no share, row or date"),
        (lambda t: t, ["data.resample=mean", "data.frequency=hourly"], "write 15min, 1h"),
        (lambda t: t, ["data.resample=mean", "data.frequency=0h"], "write 15min, 1h"),
        (lambda t: t, ["data.frequency=1h"], "add data.resample=mean, sum"),
        (lambda t: t, ["data.targets=[load,price]", "data.known=[load]"], "load: a column is one of"),
        (lambda t: t, ["data.targets=[]"], "name a column"),
        (lambda t: t, ["data.rows=-5"], "must be 1 or more"),
        (lambda t: t, ["data.split=[0.7,0.1,0.2]"], "two shares, of train and val"),
        (lambda t: t, ["data.period=300"], "280 training rows allow at most 273"),
        (lambda t: t.assign(load=t["load"][:280], price=t["price"][:280]), [], "val has no measured value"),
        (lambda t: t.assign(date=range(400)), [], r"column date: the numbers are no times.*data\.time_format="),
        (lambda t: t.assign(date=t["date"].where(t.index != 6)), [], "line 8: there is no time in column date"),
        (lambda t: t.assign(date="2024-01-01"), ["data.resample=mean"], "all rows are of 2024-01-01"),
        (
            lambda t: t,
            ["data.resample=mean", "data.frequency=1s"],
            "400 rows would become 1,436,401 .* data.frequency=h",
        ),
        (
            lambda t: t.assign(date=pd.date_range("2000-01-15", periods=400, freq="MS") + pd.Timedelta(days=14)),
            ["data.look_back=12"],
            "a month apart, but neither on first days .* data.resample=mean data.frequency=MS",
        ),
    ],
)
def test_errors_say_what_to_do(tmp_path, change, words, message):
    with pytest.raises(UserError, match=message):
        read(tmp_path, change(table()), *words)


def test_a_series_that_does_not_change_is_only_centred(tmp_path):
    data = read(tmp_path, table(flat=3.0), "data.targets=[load,price,flat]")
    assert "flat does not change" in " ".join(data.notes)
    assert np.isfinite(column(data).series.values).all()


def test_few_windows_to_learn_by_heart(tmp_path):
    data = read(tmp_path, table())
    few = data.overfit(8)
    assert [few.count(split) for split in ("train", "val", "test")] == [8, 8, 8]
    known, tested = batch_of(data, range(8), "train"), batch_of(few, range(8))
    assert torch.equal(known.inputs["series"].past, tested.inputs["series"].past)
    assert torch.equal(known.targets.values, tested.targets.values)
    assert len(column(few).windows()[0]) == 8


@pytest.mark.parametrize(("factor", "offset"), [(1e-11, 0), (1, 1.7e10), (1e100, 0)])
def test_units_of_measure_change_nothing(tmp_path, factor, offset):
    """A price of 1e-9 and a meter of 1e8 are scaled as any series, and a constant is one in any unit."""
    frame = table(flat=0.1)
    words = ["data.targets=[load,price,flat]"]
    usual = read(tmp_path, frame, *words)
    changed = read(tmp_path, frame.set_index("date").mul(factor).add(offset).reset_index(), *words)
    np.testing.assert_allclose(
        column(changed).series.values, column(usual).series.values, atol=1e-2 if offset else 1e-5
    )
    assert "flat does not change" in " ".join(changed.notes)
    assert "load" not in " ".join(note for note in changed.notes if "does not change" in note)
