"""The table at the end of a run."""

import pytest

from mla_train.training.results import show
from tests.helpers import example_results


@pytest.mark.parametrize(
    ("mode", "score", "interval", "difference", "verdict"),
    [
        ("max", 0.9, None, None, "Not tested against the best baseline, linear: accuracy 0.9000 against 0.8000, +0.1000."),
        ("max", 0.7, None, None, "Not tested against the best baseline, linear: accuracy 0.7000 against 0.8000, -0.1000."),
        ("max", 0.8, None, None, "Level with the best baseline, linear: accuracy 0.8000 against 0.8000, +0.0000."),
        ("min", 0.9, None, None, "Not tested against the best baseline, linear: accuracy 0.9000 against 0.8000, +0.1000."),
        ("min", 0.7, [0.6, 0.79], None, "Not tested against the best baseline, linear"),
        # The interval of the score says nothing of the difference: both models make many of the same mistakes.
        ("max", 0.9, [0.75, 0.95], [0.02, 0.18], "Ahead of the best baseline, linear: accuracy 0.9000 against 0.8000, +0.1000 (95 % interval +0.0200 to +0.1800)."),
        ("min", 0.9, [0.75, 0.95], [0.02, 0.18], "Behind the best baseline, linear"),
        ("max", 0.9, [0.85, 0.95], [-0.01, 0.21], "Level with the best baseline, linear"),
    ],
)  # fmt: skip
def test_the_model_is_compared_to_the_best_baseline(mode, score, interval, difference, verdict, tmp_path, capsys):
    baselines = {"linear": {"accuracy": 0.8}, "majority": {"accuracy": 0.5 if mode == "max" else 1.5}}
    results = {**example_results(mode=mode, score=score, baselines=baselines), "debug": []}
    if difference:
        low, high = difference
        results["comparison"] = {"baseline": "linear", "metric": "accuracy", "low": low, "high": high}
    show(results | {"intervals": {"accuracy": interval} if interval else {}}, tmp_path)
    printed = capsys.readouterr().out
    assert verdict in printed
    is_above = score > 0.8 if mode == "max" else score < 0.8
    assert ("Try: " in printed) == ("Ahead" not in verdict and not ("Not tested" in verdict and is_above))


@pytest.mark.parametrize(
    ("epoch", "start", "remedy"),
    [
        (9, None, "train longer (epochs=)"),
        (2, None, "regularization=strong"),
        (6, None, "scripts/sweep.py"),
        (0, {"kept": True, "name": "linear_svm", "gain": 0.01, "standard_error": 0.02}, "on more data"),
        (0, {"kept": True, "name": "linear_svm", "gain": -0.01, "standard_error": 0.02}, "learn slower (lr=)"),
        (
            0,
            {"kept": True, "name": "linear_svm", "gain": -0.0000001, "standard_error": 0.0},
            "left the start as it was",
        ),
    ],
)
def test_a_run_that_is_behind_says_what_to_try(epoch, start, remedy, tmp_path, capsys):
    results = {**example_results(score=0.7), "debug": [], "epochs": 9, "start": start}
    results["monitor"]["epoch"] = epoch
    show(results, tmp_path)
    printed = capsys.readouterr().out
    assert remedy in printed
    assert ("The start (linear_svm) is the model" in printed) == bool(start)


def test_nothing_is_to_try_where_nothing_is_better(tmp_path, capsys):
    show({**example_results(score=1.0, baselines={"linear": {"accuracy": 1.0}}), "debug": []}, tmp_path)
    assert "Try: " not in capsys.readouterr().out


def test_intervals_stand_below_the_scores(tmp_path, capsys):
    show({**example_results(), "debug": [], "intervals": {"accuracy": [0.85, 0.94]}}, tmp_path)
    printed = capsys.readouterr().out
    assert "0.8500" in printed
    assert "0.9400" in printed


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
