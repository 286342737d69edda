"""The whole task: its parts, its scores, and a run at the command line."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

import mla_train
from mla_train.baselines import Limit, compute
from mla_train.errors import UserError
from mla_train.heads import Forecast
from mla_train.heads.bootstrap import drawn_places
from mla_train.heads.forecast_metrics import coverage, errors_by_series, forecast_metrics
from mla_train.heads.forecast_spec import ForecastSpec
from mla_train.modalities.series import ridge, windows
from mla_train.task import build_task
from tasks.forecasting import baselines
from tasks.forecasting.task import best_start, is_worse
from tests.helpers import build_forecaster, check_report, config, train
from tests.helpers import hourly_table as table

SIZES = ["encoder.dim=16", "encoder.num_heads=2"]


def build(folder, frame, *words):
    """Data, network and windows of a small forecaster, as it is before training."""
    task, data, model = build_forecaster(folder, frame, *words)
    columns = {split: getattr(data, split).columns["series"] for split in ("train", "val", "test")}
    return SimpleNamespace(task=task, data=data, model=model, **columns)


@pytest.fixture
def built(tmp_path):
    return lambda *words: build(tmp_path, table(), *words)


def batch_of(run, places, split="test"):
    part = getattr(run.data, split)
    return run.data.collate([part[i] for i in places], training=False)


@torch.no_grad()
def forecasts(run):
    return run.model(batch_of(run, range(len(run.test))))[0].numpy()


def series(batch):
    return batch.inputs["series"]


def test_it_begins_as_the_ridge(built):
    run = built("task.cycle=false")
    expected = baselines.linear(ridge.fit(run.train.pairs(), run.val.pairs()), run.test)
    np.testing.assert_allclose(forecasts(run), expected, rtol=1e-3, atol=1e-4)


def test_it_begins_as_the_ridge_of_what_the_cycle_leaves(built):
    run = built()
    future = run.test.windows()[1]
    error = np.mean((forecasts(run) - future) ** 2)
    assert error < 0.05 * np.mean((baselines.repeat_last(run.test) - future) ** 2)


@pytest.mark.parametrize("words", [[], ["task.cycle=false"], ["task.ridge=false"]])
def test_it_begins_as_the_simple_forecast_that_is_best_on_val(words, built):
    run = built(*words)
    name, weight, profile = best_start(run.data, run.model.embeddings["series"])
    assert name in ("cycle and ridge", "ridge", "seasonal_naive", "cycle")
    assert (profile is None) == (name in ("ridge", "seasonal_naive"))
    future = run.val.windows()[1]
    error = np.mean((run.model(batch_of(run, range(len(run.val)), "val"))[0].detach().numpy() - future) ** 2)
    others = [np.mean((baselines.seasonal_naive(run.val, 24) - future) ** 2)] if not words else []
    plain = ridge.fit(run.train.pairs(), run.val.pairs())
    others += [np.mean((baselines.linear(plain, run.val) - future) ** 2)] if weight is not None else []
    assert all(error <= other * 1.02 for other in others)  # a simpler one may be a little worse


def test_noise_that_repeats_begins_as_the_value_a_cycle_before(tmp_path):
    chance = np.random.default_rng(0)  # each day is like the day before, and unlike those long ago
    days = np.cumsum(chance.normal(size=(30, 24)) * [[0.3]] * 24, 0) + chance.normal(size=24)
    frame = pd.DataFrame({"date": pd.date_range("2024-01-01", periods=720, freq="h"), "load": days.ravel()})
    run = build(tmp_path, frame, "data.look_back=24", "data.horizon=6", "data.period=24")
    past, future = run.val.windows()
    naive = ridge.seasonal_naive(24, 6, 24)
    np.testing.assert_allclose(past @ naive, baselines.seasonal_naive(run.val, 24))
    errors = ridge.squared_errors(naive, [(past, future)], [run.val.real_future()])
    np.testing.assert_allclose(errors, ((past @ naive - future) ** 2).sum((1, 2)), rtol=1e-5)
    assert best_start(run.data, run.model.embeddings["series"])[0] == "seasonal_naive"


def test_a_start_is_worse_by_more_than_chance():
    chance = np.random.default_rng(0).normal(size=240)
    assert not is_worse(chance - chance.mean() + 0.001, horizon=1)
    assert is_worse(chance - chance.mean() + 0.2, horizon=1)
    assert not is_worse(
        np.repeat(chance[:10], 24) - chance[:10].mean() + 0.2, horizon=24
    )  # ten blocks say less than 240
    assert is_worse(chance[:3], horizon=24)  # one block says nothing: the best is taken


def test_without_a_start_training_begins_at_nothing(built):
    run = built("task.start=none")
    assert not run.model.embeddings["series"].side_paths["ridge"]().any()
    assert np.abs(forecasts(run) - run.test.windows()[0].mean(-1, keepdims=True)).max() < 1e-5


def test_quantiles_hold_their_share_of_val_after_calibration(built):
    run = built()
    head, batch = run.model.head, batch_of(run, range(len(run.val)), "val")
    with torch.no_grad():
        features, outputs = run.model.evaluate(batch)
        before = head.labels(batch) | head.predict(outputs, features, batch)
        assert head.calibrate(before)
        features, outputs = run.model.evaluate(batch)
        after = head.labels(batch) | head.predict(outputs, features, batch)
    np.testing.assert_array_equal(before["forecast"], after["forecast"])
    for level, share in coverage(after, head.levels).items():
        assert share == pytest.approx(float(level), abs=0.05)
    assert (np.diff(after["quantiles"], axis=-1) >= 0).all()
    again = Forecast(run.task.config, head.spec, run.model.embeddings)  # a stored spec gives the same shift
    torch.testing.assert_close(again.quantile_shift, head.quantile_shift)


def test_quantiles_begin_as_those_of_the_errors_in_training(tmp_path):
    frame = table()
    frame["load"] += np.random.default_rng(0).normal(0, 3, len(frame))
    run = build(tmp_path, frame, "data.targets=[load]")
    batch = batch_of(run, range(len(run.train)), "train")
    found = coverage(run.model.predict(batch) | run.model.head.labels(batch), [0.1, 0.5, 0.9])
    assert found == pytest.approx({"0.1": 0.1, "0.5": 0.5, "0.9": 0.9}, abs=0.02)  # some cross, and are put in order


@pytest.mark.parametrize(
    "words",
    [
        ["task.ridge=false"],
        ["task.use_encoder=false"],
        ["task.side_paths=false"],
        ["task.calendar=false", "task.cycle=false"],
        ["task.channels=mixing"],
        ["task.patch=5"],
        ["task.quantiles=[]"],
        ["task.loss=mae", "attention=mha"],
        ["task.loss=huber", "task.quantiles=[0.5]"],
        ["data.known=[load]"],
        ["regularization.augmentation=strong"],
    ],
)
def test_every_choice_learns_something(built, words):
    run = built(*words)
    batch = batch_of(run, range(32), "train")
    batch.targets.values += series(batch).past.mean(-1, keepdim=True) ** 2  # which no linear path knows
    optimizer = torch.optim.Adam(run.model.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        total, count = run.model.train().head.loss(run.model(batch), batch)
        (total / count).backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(total / count))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    "words", [[], ["task.calendar=false"], ["task.patch=5"], ["data.known=[]", "task.quantiles=[]"]]
)
def test_a_step_is_written_by_its_place_and_by_its_own_vector(built, words):
    """The patched product is that of each step with the token of its patch."""
    run = built(*words)
    embedding, head = run.model.embeddings["series"], run.model.head
    batch, seen = batch_of(run, range(4)), {}
    head.write.register_forward_hook(lambda _, read, out: seen.update(place=out))
    head.write_step.register_forward_hook(lambda _, read, out: seen.update(asked=out))
    embedding.step.register_forward_hook(lambda _, read, out: seen.update(step=out))
    with torch.no_grad():
        head.gate.fill_(1)
        (features,) = run.model.encode(batch).values()
        added, moved = head.corrections(features.tokens, features.context.steps)
    levels = 1 + moved.size(-1)
    for step in range(6):
        token, place = divmod(step, head.patch)
        by_place = seen["place"][:, :, token].unflatten(-1, (head.patch, levels))[:, :, place]
        asked = seen["asked"][:, :, token].unflatten(-1, (head.step_dim, levels))
        by_step = torch.einsum("bcwl,bcw->bcl", asked, seen["step"][:, :, step]) / head.step_dim**0.5
        both = torch.cat([added[:, :, step, None], moved[:, :, step]], -1)
        torch.testing.assert_close(both, by_place + by_step)


@torch.no_grad()
def test_gaps_reach_the_encoder_alone(tmp_path):
    frame = table()
    frame.loc[40:44, "load"] = np.nan
    run = build(tmp_path, frame)
    batch = batch_of(run, [0])
    before = run.model(batch)[0]
    series(batch).real[..., 3] = False
    torch.testing.assert_close(run.model(batch)[0], before)
    run.model.head.gate.fill_(1)
    with_gap = run.model(batch)[0]
    series(batch).real[..., 3] = True
    assert not torch.allclose(run.model(batch)[0], with_gap)


def test_divergence_of_two_passes_is_that_of_normal_distributions(built):
    run = built()
    batch = batch_of(run, range(3))
    one, other = (torch.randn(3, 2, 6) for _ in range(2))
    normal, kl = torch.distributions.Normal, torch.distributions.kl_divergence
    expected = (kl(normal(one, 1.0), normal(other, 1.0)) + kl(normal(other, 1.0), normal(one, 1.0))).sum() / 4
    found = run.model.head.r_drop_loss((one, None), (other, None), batch)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


@torch.no_grad()
@pytest.mark.parametrize(("channels", "same"), [("independent", True), ("mixing", False)])
def test_independent_series_do_not_see_each_other_and_mixed_ones_do(built, channels, same):
    run = built(f"task.channels={channels}")
    run.model.head.gate.fill_(1)
    batch = batch_of(run, range(4))
    before = run.model(batch)[0]
    series(batch).past[:, 1] += torch.randn(4, 24)
    after = run.model(batch)[0]
    assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6) is same
    assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)


@torch.no_grad()
def test_known_covariates_reach_the_forecast_and_observed_ones_only_from_the_past(tmp_path):
    frame = table(holiday=np.random.default_rng(0).integers(0, 2, 400), wind=np.random.default_rng(1).normal(size=400))
    run = build(tmp_path, frame, "data.known=[holiday]", "data.observed=[wind]")
    run.model.head.gate.fill_(1)
    batch = batch_of(run, [0])
    assert (series(batch).known.shape, series(batch).observed.shape) == ((1, 1, 30, 5), (1, 1, 24, 1))
    before = run.model(batch)[0]
    series(batch).known[:, 0, -1, 4] += 1
    assert not torch.allclose(run.model(batch)[0], before)


def test_scores_are_those_of_scikit_learn(built):
    spec = built().data.spec.target
    generator = np.random.default_rng(0)
    future = generator.normal(size=(9, 2, 6))
    forecast = future + generator.normal(size=future.shape)
    quantiles = np.sort(forecast[..., None] + generator.normal(size=(*future.shape, 2)), -1)
    real = generator.random(future.shape) < 0.8
    predictions = {"forecast": forecast, "future": future, "real": real, "quantiles": quantiles}
    found = forecast_metrics(predictions, spec, [0.2, 0.8])
    assert found["mse"] == pytest.approx(mean_squared_error(future[real], forecast[real]))
    assert not any(name in found for name in ("mse_original", "mae_original", "rmse_original"))  # of different units
    losses = []
    for number, (name, mean, std) in enumerate(zip(spec.names, spec.mean, spec.std, strict=True)):
        one = {key: values[:, [number]] for key, values in predictions.items()}
        alone = ForecastSpec([name], 6, 1, [mean], [std], [spec.naive_error[number]])
        metrics, measured = forecast_metrics(one, alone, [0.2, 0.8]), one["real"]
        y, f = (one["future"] * std + mean)[measured], (one["forecast"] * std + mean)[measured]
        assert metrics["mae_original"] == pytest.approx(mean_absolute_error(y, f))
        assert metrics["rmse_original"] == pytest.approx(mean_squared_error(y, f) ** 0.5)
        row = errors_by_series(predictions, spec)[name]
        assert row == pytest.approx({key: metrics[key] for key in row}, rel=1e-5)
        for i, level in enumerate([0.2, 0.8]):
            loss = mean_pinball_loss(y, (one["quantiles"][..., i] * std + mean)[measured], alpha=level)
            losses.append(2 * loss * len(y) / np.abs(y).sum())
    assert found["wql"] == pytest.approx(np.mean(losses))
    assert coverage(predictions, [0.2, 0.8])["0.2"] == pytest.approx((future <= quantiles[..., 0])[real].mean())
    perfect = forecast_metrics({"forecast": future, "future": future, "real": real}, spec, [])
    assert all(value == 0 for value in perfect.values())


@torch.no_grad()
def test_quantiles_rise_and_are_not_below_zero_where_no_training_value_is(tmp_path):
    run = build(tmp_path, table(count=np.arange(400) % 24 // 12 * 3.0))
    head = run.model.head
    assert dict(zip(head.spec.names, head.spec.nonnegative, strict=True)) == {
        "load": False, "price": False, "count": True
    }  # fmt: skip
    point = torch.full((1, 3, 6), -9.0)
    quantiles = point.unsqueeze(-1) + torch.linspace(1, -1, len(head.levels))
    predictions = head.read_outputs((point, quantiles))
    assert (np.diff(predictions["quantiles"]) >= 0).all()
    assert (predictions["forecast"] == -9).all()  # the point forecast stays what the network says
    (record,) = head.decode(predictions)
    for steps in record["quantiles"].values():
        assert steps["count"] == [0.0] * 6
        assert max(steps["load"]) < 0
    head.spec.nonnegative = []  # a model of an earlier version
    assert (head.read_outputs((point, quantiles))["quantiles"] < 0).all()


def test_a_series_that_repeats_itself_does_not_drown_the_others(tmp_path):
    frame = table(flat=12345678.9, day=np.arange(400) % 24)
    run = build(tmp_path, frame, "data.targets=[load,price,flat,day]")
    spec = run.data.spec.target
    assert spec.naive_error[2:] == [1.0, 1.0]
    assert spec.std[2] == 1.0
    values = run.test.windows()[1] + 0.1
    found = forecast_metrics({"forecast": values, "future": values - 0.1, "real": np.ones_like(values, bool)}, spec, [])
    assert found["mase"] < 100


def test_baselines_look_only_back(tmp_path):
    frame = table()
    changed = frame.copy()
    changed.loc[350:, ["load", "price"]] = 99.0
    runs = [build(tmp_path, content) for content in (frame, changed)]
    computed = (compute(baselines.forecast_baselines(run.data), Limit()) for run in runs)
    one, two = ({name: each.test["forecast"] for name, each in found.items()} for found in computed)
    assert one.keys() == {"repeat_last", "seasonal_naive", "seasonal_profile", "ridge", "boosting"}
    for name in one:
        assert one[name].shape == (75, 2, 6)
        np.testing.assert_array_equal(one[name][:31], two[name][:31])
    np.testing.assert_array_equal(one["seasonal_naive"][0, :, 3], runs[0].test.series.values[320 + 3 - 24])


def test_the_end_of_a_file_is_read_as_the_training_data_was(tmp_path):
    frame = table(holiday=np.arange(400) % 7 == 0, wind=np.random.default_rng(0).normal(size=400))
    frame["holiday"] = frame["holiday"].astype(int)
    run = build(tmp_path, frame, "data.known=[holiday]", "data.observed=[wind]")
    file = tmp_path / "end.csv"
    known = frame[:356].copy()
    known.loc[350:, ["load", "price", "wind"]] = None
    known.to_csv(file, index=False)
    modality = run.data.spec.inputs["series"]
    read, window = modality.collate(modality.preprocess([file])), series(batch_of(run, [30]))
    assert run.test[30].now == 350
    for name in ("past", "real", "known", "observed", "phase", "padding"):
        torch.testing.assert_close(getattr(read, name), getattr(window, name))
    frame[:350].to_csv(file, index=False)
    with pytest.raises(UserError, match="holiday is known ahead, but has no value in 6"):
        modality.preprocess([file])
    frame[:350:2].to_csv(file, index=False)
    with pytest.raises(UserError, match="2h apart"):
        modality.preprocess([file])


def test_a_run_on_a_table_of_ones_own(tmp_path):
    table().to_csv(tmp_path / "load.csv", index=False)
    words = ["task=forecasting", "data=series_csv", "data.path=load.csv", "data.look_back=48", "data.horizon=12"]
    train(*words, *SIZES, "epochs=2", "run_dir=run", cwd=tmp_path, pages=True)
    run = tmp_path / "run"
    results = json.loads((run / "results.json").read_text())
    assert set(results["baselines"]) == {"repeat_last", "seasonal_naive", "seasonal_profile", "ridge", "boosting"}
    assert results["metrics"]["test"]["mse"] < results["baselines"]["repeat_last"]["mse"]
    assert results["details"]["coverage"].keys() == {"0.1", "0.5", "0.9"}
    assert len(results["details"]["mse_by_step"]) == 12
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 2 * -(-69 // 12)
    assert rows[0]["from"] == "2024-01-14 08:00:00"
    assert rows[0]["measured"][0] == pytest.approx(table()["load"][320], rel=1e-4)
    check_report(run, "mse (std²) ↓", "By series", "mae (series)", "Worst mistakes", "series over series")
    assert "mse_original" not in results["metrics"]["test"]  # of two units
    assert results["details"]["per_series"].keys() == {"load", "price"}
    assert {path.name for path in (run / "figures").glob("*.png")} == {
        "forecasts.png", "errors.png", "attention.png", "curves.png",
    }  # fmt: skip
    (record,) = mla_train.load(run).predict([str(tmp_path / "load.csv")])
    assert record["prediction"].keys() == {"load", "price"}
    assert len(record["quantiles"]["0.9"]["load"]) == 12


def test_a_start_that_training_makes_worse_is_kept(tmp_path):
    table().to_csv(tmp_path / "load.csv", index=False)
    words = ["task=forecasting", "data=series_csv", "data.path=load.csv", "data.look_back=48", "data.horizon=12"]
    words += [*SIZES, "lr=10", "epochs=1", "regularization.ema_decay=0", "regularization.early_stopping=0"]
    train(*words, "run_dir=run", cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["monitor"]["epoch"] == 0
    assert results["monitor"]["best"] == pytest.approx(results["metrics"]["val"]["mse"])
    assert not mla_train.load(tmp_path / "run").network.head.gate.any()
    first, second = (row for row in csv.DictReader((tmp_path / "run" / "metrics.csv").open()) if row["val/mse"])
    assert float(first["val/mse"]) == pytest.approx(results["metrics"]["val"]["mse"])
    assert first["step"] == "0"
    assert float(second["val/mse"]) > float(first["val/mse"])


def test_the_bundled_traffic():
    pytest.importorskip("autots")
    data = build_task(config("task=forecasting")).load_data()
    train, val, test = (split.columns["series"] for split in (data.train, data.val, data.test))
    assert list(map(len, (train, val, test))) == [12073, 1729, 3481]
    spec = data.spec.inputs["series"].spec
    assert (spec.period, spec.num_known, len(spec.observed), spec.frequency) == (168, 5, 4, "h")
    future = test.windows()[1]
    assert np.mean((baselines.seasonal_naive(test, 168) - future) ** 2) == pytest.approx(0.0775, abs=1e-3)
    assert np.mean((baselines.linear(ridge.fit(train.pairs(), val.pairs()), test) - future) ** 2) == pytest.approx(
        0.0585, abs=1e-3
    )


def test_of_many_windows_every_nth_is_scored(built):
    whole, thin = built(), built("data.most_values=400")
    step = thin.test.step
    assert step > 1
    assert thin.test.horizon % step == 0
    assert len(thin.test) * thin.test.horizon * thin.test.series.values.shape[1] <= 400
    assert (thin.train.step, thin.train.count) == (1, whole.train.count)
    assert "most_values" not in "".join(whole.data.notes)
    assert any(f"one in {step} (data.most_values=400)" in note for note in thin.data.notes)
    for split in ("val", "test"):
        all_of, some = getattr(whole, split), getattr(thin, split)
        step = some.step
        for everyone, part in zip(
            (*all_of.windows(), all_of.real_future()), (*some.windows(), some.real_future()), strict=True
        ):
            np.testing.assert_array_equal(everyone[::step], part)
        np.testing.assert_array_equal(all_of.places(7)[::step], some.places(7))
        np.testing.assert_array_equal(all_of.now[::step], [some[place].now for place in range(len(some))])
        second = some.select(np.arange(1, len(some)))
        np.testing.assert_array_equal(second.windows()[0], some.windows()[0][1:])
    for name, baseline in baselines.forecast_baselines(thin.data).items():
        of_all = baselines.forecast_baselines(whole.data)[name](Limit())
        some = baseline(Limit())
        assert some.test["forecast"].shape == some.test["future"].shape
        if name in ("repeat_last", "seasonal_naive", "seasonal_profile"):
            np.testing.assert_allclose(some.test["forecast"], of_all.test["forecast"][:: thin.test.step], rtol=1e-6)


def test_windows_are_read_in_pieces(built, monkeypatch):
    run = built()
    expected = ridge.moments([run.train.windows()])
    monkeypatch.setattr(windows, "PIECE_NUMBERS", 2500)
    assert len(list(run.train.pieces())) > 5
    for found, whole in zip(ridge.moments(run.train.pairs()), expected, strict=True):
        np.testing.assert_allclose(found, whole, rtol=1e-9)


def test_blocks_of_thinned_windows_hold_three_horizons():
    head = SimpleNamespace(spec=SimpleNamespace(horizon=24), kind="forecast", draws_sums=True)
    for step in (1, 8):
        predictions = {"forecast": np.zeros((600, 1, 24)), "now": 50 + step * np.arange(600)}
        (places,) = drawn_places(head, predictions, 1)
        lengths = np.diff(np.flatnonzero(np.diff(np.concatenate([[-5], places, [-5]])) != 1))
        assert lengths.max() >= 72 // step
        assert np.median(lengths) == 72 // step


def test_trees_that_would_forecast_for_long_are_left_out(built, monkeypatch):
    monkeypatch.setattr(baselines, "LEAST_SECONDS", 0.0)
    baseline = baselines.forecast_baselines(built("data.horizon=7").data)["boosting"]
    assert baseline(Limit(1e-9)) is None
