"""The whole task: its parts, its scores, and a run at the command line."""

import csv
import json

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error

from mla_train.training.build import build_data, build_task
from mla_train.training.model_folder import load_model
from tasks.forecasting import baselines
from tasks.forecasting.scores import coverage, scores
from tests.helpers import config, train
from tests.tasks.forecasting.test_data import read, table

SIZES = ["encoder.dim=16", "encoder.num_heads=2"]


@pytest.fixture
def built(tmp_path):
    def build(*words):
        data = read(tmp_path, table(), *SIZES, *words)
        torch.manual_seed(0)
        task = build_task(data.config, data.facts).eval()
        task.begin(data)
        return data, task

    return build


def forecasts(data, task, part="test"):
    split = getattr(data, part)
    with torch.no_grad():
        return task(data.collate([split[i] for i in range(len(split))], training=False))[0].numpy()


def test_it_begins_as_the_ridge(built):
    data, task = built("task.cycle=false")
    np.testing.assert_allclose(forecasts(data, task), baselines.linear(data), rtol=1e-3, atol=1e-4)


def test_it_begins_as_the_ridge_of_what_the_cycle_leaves(built):
    data, task = built()
    error = np.mean((forecasts(data, task) - data.windows("test")[1]) ** 2)
    assert error < 0.05 * np.mean((baselines.repeat_last(data) - data.windows("test")[1]) ** 2)


def test_quantiles_begin_as_those_of_the_errors_in_training(tmp_path):
    frame = table()
    frame["load"] += np.random.default_rng(0).normal(0, 3, len(frame))
    data = read(tmp_path, frame, *SIZES, "data.targets=[load]")
    task = build_task(data.config, data.facts).eval()
    task.begin(data)
    batch = data.collate([data.train[i] for i in range(len(data.train))], training=False)
    found = coverage(task.predict(task(batch), batch), [0.1, 0.5, 0.9])
    assert found == pytest.approx({"0.1": 0.1, "0.5": 0.5, "0.9": 0.9}, abs=0.02)  # some cross, and are put in order


@pytest.mark.parametrize(
    "words",
    [
        ["task.linear=false"],
        ["task.residual=false"],
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
    data, task = built(*words)
    batch = data.collate([data.train[i] for i in range(32)], training=False)
    batch.future = batch.future + batch.past.mean(-1, keepdim=True) ** 2  # which no linear path knows
    optimizer = torch.optim.Adam(task.parameters(), 1e-2)
    losses = []
    for _ in range(15):
        total, count = task.train().loss(task(batch), batch)
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
    data, task = built(*words)
    part = task.network.residual
    batch = data.collate([data.test[i] for i in range(4)], training=False)
    seen = {}
    part.write.register_forward_hook(lambda _, read, out: seen.update(place=out, read=read[0]))
    part.write_step.register_forward_hook(lambda _, read, out: seen.update(asked=out))
    part.step.register_forward_hook(lambda _, read, out: seen.update(step=out))
    with torch.no_grad():
        part.gate.fill_(1)
        added, moved = part(task.network.closed_form(batch), batch)
    levels = 1 + moved.size(-1)
    for step in range(6):
        token, place = divmod(step, part.patch)
        by_place = seen["place"][:, :, token].unflatten(-1, (part.patch, levels))[:, :, place]
        asked = seen["asked"][:, :, token].unflatten(-1, (part.width, levels))
        by_step = torch.einsum("bcwl,bcw->bcl", asked, seen["step"][:, :, step]) / part.width**0.5
        both = torch.cat([added[:, :, step, None], moved[:, :, step]], -1)
        torch.testing.assert_close(both, by_place + by_step)


def test_gaps_are_told_to_the_encoder_alone(tmp_path):
    frame = table()
    frame.loc[40:44, "load"] = np.nan
    data = read(tmp_path, frame, *SIZES)
    task = build_task(data.config, data.facts).eval()
    task.begin(data)
    batch = data.collate([data.test[0]], training=False)
    before = task(batch)[0]
    batch.real[..., 3] = False
    torch.testing.assert_close(task(batch)[0], before)
    with torch.no_grad():
        task.network.residual.gate.fill_(1)
    told = task(batch)[0]
    batch.real[..., 3] = True
    assert not torch.allclose(task(batch)[0], told)


def test_divergence_of_two_passes_is_that_of_normal_distributions(built):
    data, task = built()
    batch = data.collate([data.test[i] for i in range(3)], training=False)
    one, other = (torch.randn(3, 2, 6) for _ in range(2))
    normal = torch.distributions.Normal
    kl = torch.distributions.kl_divergence
    expected = (kl(normal(one, 1.0), normal(other, 1.0)) + kl(normal(other, 1.0), normal(one, 1.0))).sum() / 4
    assert float(task.divergence((one, None), (other, None), batch)) == pytest.approx(float(expected), rel=1e-5)


def test_independent_series_do_not_see_each_other_and_mixed_ones_do(built):
    for channels, same in (("independent", True), ("mixing", False)):
        data, task = built(f"task.channels={channels}")
        with torch.no_grad():
            task.network.residual.gate.fill_(1)
        batch = data.collate([data.test[i] for i in range(4)], training=False)
        before = task(batch)[0]
        batch.past[:, 1] += torch.randn(4, 24)
        after = task(batch)[0]
        assert torch.allclose(before[:, 0], after[:, 0], atol=1e-6) is same
        assert not torch.allclose(before[:, 1], after[:, 1], atol=1e-3)


def test_known_covariates_reach_the_forecast_and_observed_ones_only_from_the_past(tmp_path):
    frame = table(holiday=np.random.default_rng(0).integers(0, 2, 400), wind=np.random.default_rng(1).normal(size=400))
    data = read(tmp_path, frame, *SIZES, "data.known=[holiday]", "data.observed=[wind]")
    task = build_task(data.config, data.facts).eval()
    task.begin(data)
    with torch.no_grad():
        task.network.residual.gate.fill_(1)
    batch = data.collate([data.test[0]], training=False)
    assert (batch.known.shape, batch.observed.shape) == ((1, 30, 5), (1, 24, 1))
    before = task(batch)[0]
    batch.known[:, -1, 4] += 1
    assert not torch.allclose(task(batch)[0], before)


def test_scores_are_those_of_scikit_learn(built):
    data, _ = built()
    generator = np.random.default_rng(0)
    future = generator.normal(size=(9, 2, 6))
    forecast = future + generator.normal(size=future.shape)
    quantiles = np.sort(forecast[..., None] + generator.normal(size=(*future.shape, 2)), -1)
    real = generator.random(future.shape) < 0.8
    predictions = {"forecast": forecast, "future": future, "real": real, "quantiles": quantiles}
    found = scores(predictions, data.facts, [0.2, 0.8])
    mean, std = (np.array(x)[:, None] for x in (data.facts.mean, data.facts.std))
    y, f = (future * std + mean)[real], (forecast * std + mean)[real]
    assert found["mse"] == pytest.approx(mean_squared_error(future[real], forecast[real]))
    assert found["mae_original"] == pytest.approx(mean_absolute_error(y, f))
    assert found["rmse_original"] == pytest.approx(mean_squared_error(y, f) ** 0.5)
    losses = [
        2 * mean_pinball_loss(y, (quantiles[..., i] * std + mean)[real], alpha=level) * len(y) / np.abs(y).sum()
        for i, level in enumerate([0.2, 0.8])
    ]
    assert found["wql"] == pytest.approx(np.mean(losses))
    assert coverage(predictions, [0.2, 0.8])["0.2"] == pytest.approx((future <= quantiles[..., 0])[real].mean())
    perfect = scores({"forecast": future, "future": future, "real": real}, data.facts, [])
    assert all(value == 0 for value in perfect.values())


def test_a_series_that_repeats_itself_does_not_drown_the_others(tmp_path):
    data = read(tmp_path, table(flat=12345678.9, day=np.arange(400) % 24))
    assert data.facts.naive_error[2:] == [1.0, 1.0]
    assert data.facts.std[2] == 1.0
    values = data.windows("test")[1] + 0.1
    found = scores({"forecast": values, "future": values - 0.1, "real": np.ones_like(values, bool)}, data.facts, [])
    assert found["mase"] < 100


def test_baselines_look_only_back(tmp_path):
    frame = table()
    data = read(tmp_path, frame)
    changed = frame.copy()
    changed.loc[350:, ["load", "price"]] = 99.0
    other = read(tmp_path, changed)
    for name in ("repeat_last", "seasonal_naive", "seasonal_profile", "linear", "boosting"):
        one, two = (np.asarray(getattr(baselines, name)(d)) for d in (data, other))
        assert one.shape == (75, 2, 6)
        np.testing.assert_array_equal(one[:31], two[:31])
    step = baselines.seasonal_naive(data)[0, :, 3]
    np.testing.assert_array_equal(step, data.values[320 + 3 - 24])


def test_a_run_on_a_table_of_ones_own(tmp_path):
    table().to_csv(tmp_path / "load.csv", index=False)
    words = ["task=forecasting", "data=series_csv", "data.path=load.csv", "data.look_back=48", "data.horizon=12"]
    train(*words, *SIZES, "epochs=2", "run_dir=run", cwd=tmp_path)
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
    assert {path.name for path in (run / "figures").iterdir()} == {
        "forecasts.png", "errors.png", "attention.png", "curves.png",
    }  # fmt: skip
    task = load_model(run)
    assert task.facts.names == ["load", "price"]


def test_a_start_that_training_makes_worse_is_kept(tmp_path):
    table().to_csv(tmp_path / "load.csv", index=False)
    words = ["task=forecasting", "data=series_csv", "data.path=load.csv", "data.look_back=48", "data.horizon=12"]
    words += [*SIZES, "lr=10", "epochs=1", "regularization.ema_decay=0", "regularization.early_stopping=0"]
    train(*words, "run_dir=run", cwd=tmp_path)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["monitor"]["epoch"] == 0
    assert not load_model(tmp_path / "run").network.residual.gate.any()
    first, second = (row for row in csv.DictReader((tmp_path / "run" / "metrics.csv").open()) if row["val/mse"])
    assert float(first["val/mse"]) == pytest.approx(results["metrics"]["val"]["mse"])
    assert first["step"] == "0"
    assert float(second["val/mse"]) > float(first["val/mse"])


def test_the_bundled_traffic(tmp_path):
    pytest.importorskip("autots")
    data = build_data(config("task=forecasting"))
    data.setup()
    assert list(map(len, (data.train, data.val, data.test))) == [12073, 1729, 3481]
    assert (data.facts.period, data.facts.num_known, data.facts.num_observed) == (168, 5, 4)
    future = data.windows("test")[1]
    assert np.mean((baselines.seasonal_naive(data) - future) ** 2) == pytest.approx(0.0775, abs=1e-3)
    assert np.mean((baselines.linear(data) - future) ** 2) == pytest.approx(0.0585, abs=1e-3)
