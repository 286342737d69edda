"""Exponential smoothing and Theta of statsforecast, fitted to the past of each window; where that package is installed."""

import time
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from mla_train.baselines import Baseline, Baselines, Limit
from mla_train.heads import Predictions
from mla_train.modalities.series.windows import WindowColumn

MODELS = {"theta": "AutoTheta", "ets": "AutoETS"}
LONGEST_CYCLE = 24  # steps: the models are made for quarters, months and hours
TRIED = 8  # series from which the time of all is estimated


def statistical_baselines(test: WindowColumn, period: int) -> Baselines:
    """Classical models of single series; none where statsforecast is not installed."""
    if find_spec("statsforecast") is None:
        return {}
    cycle = period if period <= LONGEST_CYCLE and 2 * period <= test.look_back else 1
    return {name: partial(_forecast, model, test, cycle) for name, model in MODELS.items()}


def _forecast(model: str, test: WindowColumn, cycle: int, limit: Limit) -> Baseline | None:
    """Forecasts of all windows; None where all of them would take longer than there is time."""
    if limit.quick:
        return None
    past, future = test.windows()
    series = past.reshape(-1, test.look_back).astype(np.float64)
    one = _model(model, cycle)
    one(series[0], test.horizon)  # compiles
    start = time.monotonic()
    for each in series[:: max(1, len(series) // TRIED)][:TRIED]:
        one(each, test.horizon)
    if (time.monotonic() - start) / TRIED * len(series) > limit.seconds_left:
        return None
    forecast = np.stack([one(each, test.horizon) for each in series]).reshape(future.shape)
    return Baseline({}, labelled(test, forecast), {"cycle": cycle})


def labelled(windows: WindowColumn, forecast: np.ndarray) -> Predictions:
    """Forecasts `(windows, series, horizon)` with what came."""
    return {
        "forecast": forecast, "future": windows.windows()[1], "real": windows.real_future(), "now": windows.now,
    }  # fmt: skip


def _model(name: str, cycle: int) -> Any:
    """A function from a series to so many next steps."""
    from statsforecast import models  # imports for half a minute the first time

    fitted = getattr(models, name)(season_length=cycle)
    return lambda past, horizon: fitted.forecast(y=past, h=horizon)["mean"]
