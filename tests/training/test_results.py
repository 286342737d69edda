"""The table at the end of a run."""

import numpy as np
import pytest

from mla_train.training import results as results_file
from mla_train.training.results import show
from tests.helpers import example_results


@pytest.mark.parametrize(
    ("mode", "score", "interval", "verdict"),
    [
        ("max", 0.9, None, "Better than the best baseline, linear: accuracy 0.9000 against 0.8000."),
        ("max", 0.7, None, "Worse than the best baseline, linear: accuracy 0.7000 against 0.8000."),
        ("max", 0.8, None, "Tied with the best baseline, linear: accuracy 0.8000 against 0.8000."),
        ("min", 0.9, None, "Worse than the best baseline, linear: accuracy 0.9000 against 0.8000."),
        ("min", 0.7, [0.6, 0.79], "Better than the best baseline, linear: accuracy 0.7000 against 0.8000."),
        (
            "max",
            0.9,
            [0.75, 0.95],
            "Tied with the best baseline, linear: accuracy 0.9000 against 0.8000, inside the 95 % interval",
        ),
        (
            "max",
            0.7,
            [0.6, 0.8],
            "Tied with the best baseline, linear: accuracy 0.7000 against 0.8000, inside the 95 % interval",
        ),
    ],
)
def test_the_model_is_compared_to_the_best_baseline(mode, score, interval, verdict, tmp_path, capsys):
    baselines = {"linear": {"accuracy": 0.8}, "majority": {"accuracy": 0.5 if mode == "max" else 1.5}}
    results = {**example_results(mode=mode, score=score, baselines=baselines), "debug": []}
    show(results | {"intervals": {"accuracy": interval} if interval else {}}, tmp_path)
    assert verdict in capsys.readouterr().out


def test_units_stand_with_their_metrics(tmp_path, capsys):
    results = {**example_results("mse", "min", 0.2, {"ridge": {"mse": 0.3}}), "debug": []}
    show(results | {"units": {"mse": "std²"}, "units_note": "std: standard deviations of the training rows"}, tmp_path)
    printed = capsys.readouterr().out
    assert "std², ↓ better" in printed
    assert "std: standard deviations of the training rows" in printed
    assert "mse 0.2000 against 0.3000 std²" in printed


def test_classes_that_are_never_predicted_are_named(tmp_path, capsys):
    details = {"never_predicted": ["danger"], "per_class": {"danger": {"support": 6.0}}}
    show({**example_results(), "debug": [], "details": details}, tmp_path)
    assert "never predicted: danger (6 of test)" in capsys.readouterr().out


def test_without_a_baseline_there_is_no_verdict(tmp_path, capsys):
    show({**example_results(baselines={}), "debug": []}, tmp_path)
    assert "best baseline" not in capsys.readouterr().out


def test_dear_metrics_have_fewer_draws_or_no_interval(monkeypatch):
    monkeypatch.setattr(results_file, "INTERVAL_SECONDS", 1.0)
    clock, seconds = [0.0], 0.0

    class Head:
        spec, costly_column = None, "probability"

        def metrics(self, predictions):
            clock[0] += seconds
            metrics = {"mean": float(np.mean(predictions["value"])), "bad": float("nan")}
            if "probability" in predictions:
                clock[0] += 0.1
                metrics["area"] = metrics["mean"]
            return metrics

    monkeypatch.setattr(results_file.time, "perf_counter", lambda: clock[0])
    draws = []
    intervals = results_file.intervals
    monkeypatch.setattr(results_file, "intervals", lambda *words: draws.append(words[-1]) or intervals(*words))
    predictions = {"index": np.arange(50), "value": np.random.default_rng(0).normal(size=50)}
    for seconds in (0.001, 0.005, 0.1):
        bounds = results_file.score_intervals(Head(), predictions)
        assert set(bounds) == ({"mean"} if seconds < 0.1 else set())
    assert draws == [300, 100]
    seconds = 0.001  # metrics that are costly lose their interval, and the others keep it
    assert set(results_file.score_intervals(Head(), predictions | {"probability": np.zeros(50)})) == {"mean"}
