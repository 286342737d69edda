"""The closed form is what a solver finds, and the numbers of the literature come out."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge as Solver

from mla_train.training.build import build_data
from tasks.forecasting import ridge
from tests.helpers import config


def windows(count, channels=2, look_back=12, horizon=5, seed=0):
    generator = np.random.default_rng(seed)
    values = generator.normal(size=(count + look_back + horizon - 1, channels)).cumsum(0)
    cut = np.lib.stride_tricks.sliding_window_view(values, look_back + horizon, axis=0)
    return cut[..., :look_back], cut[..., look_back:]


@pytest.mark.parametrize("strength", [0.1, 100.0])
def test_closed_form_is_what_a_solver_finds(strength):
    past, future = windows(200)
    found = ridge.fit((past, future), windows(50, seed=1), (strength,))
    middle = ridge.centre(past, found.last)
    x, y = (past - middle).reshape(-1, 12), (future - middle).reshape(-1, 5)
    solved = Solver(alpha=strength, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(found.weight, solved.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found(past), solved.predict(x).reshape(future.shape) + middle, rtol=1e-6)


def test_strength_and_centre_are_the_best_on_validation_windows():
    train, val = windows(120), windows(80, seed=1)
    found = ridge.fit(train, val)
    errors = {}
    for last in (True, False):
        for strength in ridge.STRENGTHS:
            middle = ridge.centre(train[0], last)
            x, y = (train[0] - middle).reshape(-1, 12), (train[1] - middle).reshape(-1, 5)
            weight = np.linalg.solve(x.T @ x + strength * np.eye(12), x.T @ y)
            errors[last, strength] = np.mean((ridge.Ridge(weight, last, strength)(val[0]) - val[1]) ** 2)
    assert (found.last, found.strength) == min(errors, key=errors.get)
    assert np.mean((found(val[0]) - val[1]) ** 2) == pytest.approx(min(errors.values()), rel=1e-6)


def test_noise_shrinks_to_the_centre():
    generator = np.random.default_rng(0)
    noise = [generator.normal(size=(60, 1, size)) for size in (12, 5, 12, 5)]
    found = ridge.fit((noise[0], noise[1]), (noise[2], noise[3]))
    assert np.abs(found.weight).max() < 0.05


@pytest.mark.parametrize(("look_back", "mse", "mae"), [(512, 0.4006, 0.4217), (96, 0.4382, 0.4277)])
def test_the_ridge_of_etth1_is_that_of_the_literature(shared_data, look_back, mse, mae):
    found = []
    for horizon in (96, 192, 336, 720):
        data = build_data(
            config(
                "task=forecasting", "data=etth1", f"data.path={shared_data / 'forecasting' / 'ETTh1.csv'}",
                f"data.look_back={look_back}", f"data.horizon={horizon}",
            )
        )  # fmt: skip
        data.setup()
        assert len(data.test) == 2880 - horizon + 1
        past, future = data.windows("test")
        error = ridge.fit(data.windows("train"), data.windows("val"))(past) - future
        found.append(((error**2).mean(), np.abs(error).mean()))
    np.testing.assert_allclose(np.mean(found, 0), (mse, mae), atol=1e-4)
