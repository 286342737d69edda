"""The closed form is what a solver finds, and the numbers of the literature come out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Solver

from mla_train.modalities.series import ridge
from mla_train.task import build_task
from tests.helpers import config


def windows(count, channels=2, look_back=12, horizon=5, seed=0):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count + look_back + horizon - 1, channels)).cumsum(0)
    cut = np.lib.stride_tricks.sliding_window_view(values, look_back + horizon, axis=0)
    return cut[..., :look_back], cut[..., look_back:]


def measured_from(past, name, period=4):
    """What a centre makes of past and future, written out."""
    if name == "last":
        return past[..., -1:], past[..., -1:]
    if name == "mean":
        return past.mean(-1, keepdims=True), past.mean(-1, keepdims=True)
    places = np.arange(past.shape[-1] + 5) % period
    means = np.stack([past[..., places[: past.shape[-1]] == place].mean(-1) for place in range(period)], -1)
    return means[..., places[: past.shape[-1]]], means[..., places[past.shape[-1] :]]


def solved(train, val, name, memory, strength):
    """Forecast of a ridge by scikit-learn: a prior that fades is the plain one on inputs that are made smaller."""
    of_past, of_future = measured_from(train[0], name)
    fading = np.ones(12) if memory is None else np.exp(-np.arange(12)[::-1] / (2 * memory))
    x, y = ((train[0] - of_past) * fading).reshape(-1, 12), (train[1] - of_future).reshape(-1, 5)
    solver = Solver(alpha=strength, fit_intercept=False).fit(x, y)
    of_past, of_future = measured_from(val[0], name)
    return solver.predict(((val[0] - of_past) * fading).reshape(-1, 12)).reshape(val[1].shape) + of_future


@pytest.mark.parametrize("period", [None, 4])
def test_the_best_on_validation_windows_of_what_a_solver_finds(period):
    train, val = windows(120), windows(80, seed=1)
    strengths = (0.1, 10.0, 1000.0)
    found = ridge.fit([train], [val], period, strengths)
    choices = [
        (name, memory, strength)
        for name in ("last", "mean", "season")[: 2 if period is None else 3]
        for memory in {None, period}
        for strength in strengths
    ]
    errors = {choice: np.mean((solved(train, val, *choice) - val[1]) ** 2) for choice in choices}
    plain = min((c for c in choices if c[0] != "season" and c[1] is None), key=errors.get)
    best = min(choices, key=errors.get)
    best = best if errors[best] < 0.99 * errors[plain] else plain
    assert (found.centre, found.memory, found.strength) == best
    np.testing.assert_allclose(found(val[0]), solved(train, val, *best), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("period", [None, 4])
@pytest.mark.parametrize("strength", [0.1, 100.0])
def test_levels_are_carried_on(period, strength):
    past, future = windows(100)
    found = ridge.fit([(past, future)], [windows(50, seed=1)], period, (strength,))
    np.testing.assert_allclose(found.weight.sum(0), 1, rtol=1e-9)
    np.testing.assert_allclose(found(past + 3), found(past) + 3, rtol=1e-6)


def test_a_cycle_that_changes_from_window_to_window_is_known_from_few_windows():
    generator = np.random.default_rng(0)
    days = generator.normal(size=(410, 2, 4))
    windows = np.tile(days, 5)[..., :17] + 0.3 * generator.normal(size=(410, 2, 17))
    train, val, test = ((part[..., :12], part[..., 12:]) for part in np.split(windows, [10, 210]))
    found, plain = ridge.fit([train], [val], 4), ridge.fit([train], [val])
    assert found.centre == "season"
    errors = [np.mean((one(test[0]) - test[1]) ** 2) for one in (found, plain)]
    assert errors[0] < 0.13 < errors[1]  # .09 is the noise of the future, .03 that of three days


def test_a_past_shorter_than_the_cycle_has_no_season():
    assert [name for name, _ in ridge.centres(12, 5, 13)] == ["last", "mean"]


def test_noise_shrinks_to_the_centre():
    generator = np.random.default_rng(0)
    noise = [generator.normal(size=(60, 1, size)) for size in (12, 5, 12, 5)]
    found = ridge.fit([(noise[0], noise[1])], [(noise[2], noise[3])])
    assert found.centre == "mean"
    np.testing.assert_allclose(found.weight, 1 / 12, atol=0.05)


@pytest.mark.parametrize(("look_back", "mse", "mae"), [(512, 0.4006, 0.4217), (96, 0.4382, 0.4277)])
def test_the_ridge_of_etth1_is_that_of_the_literature(shared_data, look_back, mse, mae):
    found = []
    for horizon in (96, 192, 336, 720):
        data = build_task(
            config(
                "task=forecasting", "data=etth1", f"data.path={shared_data / 'forecasting' / 'ETTh1.csv'}",
                f"data.look_back={look_back}", f"data.horizon={horizon}",
            )
        ).load_data()  # fmt: skip
        train, val, test = (split.columns["series"] for split in (data.train, data.val, data.test))
        assert len(test) == 2880 - horizon + 1
        past, future = test.windows()
        error = ridge.fit(train.pairs(), val.pairs())(past) - future
        found.append(((error**2).mean(), np.abs(error).mean()))
    np.testing.assert_allclose(np.mean(found, 0), (mse, mae), atol=1e-4)
