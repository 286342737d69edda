"""How sure the scores of a run are: their intervals, and the difference to the best baseline with its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mla_train.heads import Head, Predictions
from mla_train.heads.bootstrap import LEVELS, affordable, bounds_of, drawn_metrics
from mla_train.heads.calibration import at_best_temperature

DECIDING_DRAWS = 200


def score_intervals(head: Head, predictions: Predictions) -> dict[str, list[float]]:
    """Ends of the 95 % interval of each metric over examples; fewer draws, or none, where the metrics take long."""
    drawn = drawn_metrics(head, predictions, affordable(head, predictions))
    return {name: list(ends) for name, ends in bounds_of(drawn).items()}


def compare_to_baseline(
    head: Head, predictions: Predictions, baselines: Mapping[str, Predictions]
) -> dict[str, Any] | None:
    """The difference to the baseline that has the best score by the head's monitor, on the same examples.

    The best is the best on these examples: of several baselines that is the hardest to beat.

    Args:
        head: Head of the model.
        predictions: Predictions of the model for a split.
        baselines: Predictions of each baseline for the same examples.

    Returns:
        Name of the baseline, metric, difference (model minus baseline), and the ends of its 95 % interval, which are None
        where draws take too long; None without a baseline that has the metric.
    """
    metric = head.monitor
    scores = {name: head.metrics(columns).get(metric) for name, columns in baselines.items()}
    known = {name: score for name, score in scores.items() if score is not None and np.isfinite(score)}
    if not known:
        return None
    best = (max if head.directions[metric] == "max" else min)(known, key=lambda name: known[name])
    difference = head.metrics(predictions)[metric] - known[best]
    low, high = difference_interval(head, predictions, baselines[best], metric)
    return {"baseline": best, "metric": metric, "difference": difference, "low": low, "high": high}


def is_better(
    head: Head, predictions: Predictions, others: Predictions, finer: str | None = None
) -> tuple[bool, dict[str, Any]]:
    """Whether predictions are better than others by more than one standard error of the paired difference.

    Args:
        head: Head that made the predictions.
        predictions: Predictions of a split.
        others: Other predictions of the same split.
        finer: Metric of probabilities that decides, too, where the monitor is not worse: a few answers say less than these.
            Those of both are calibrated before.

    Returns:
        The answer; the metric that gave it, the gain in it, positive where they are better, and its standard error.
    """
    if finer in head.directions and "probability" in predictions:
        predictions, others = (
            each | {"probability": at_best_temperature(each["probability"], each["label"])}
            for each in (predictions, others)
        )
    scores, scores_of_others = head.metrics(predictions), head.metrics(others)
    drawn, drawn_of_others = (drawn_metrics(head, each, DECIDING_DRAWS) for each in (predictions, others))

    def gained(metric: str) -> dict[str, Any]:
        sign = 1 if head.directions[metric] == "max" else -1
        error = float((drawn[metric] - drawn_of_others[metric]).std())
        return {"metric": metric, "gain": sign * (scores[metric] - scores_of_others[metric]), "standard_error": error}

    by_monitor = gained(head.monitor)
    if finer in scores and 0 <= by_monitor["gain"] <= by_monitor["standard_error"]:
        by_finer = gained(finer)
        if by_finer["gain"] > by_finer["standard_error"]:
            return True, by_finer
    return by_monitor["gain"] > by_monitor["standard_error"], by_monitor


def difference_interval(
    head: Head, predictions: Predictions, others: Predictions, metric: str
) -> tuple[float | None, float | None]:
    """Ends of the 95 % interval of a metric of some predictions minus that of others, over the same draws of examples."""
    drawn = drawn_differences(head, predictions, others, metric)
    if not len(drawn):
        return None, None
    low, high = np.quantile(drawn, LEVELS)
    return float(low), float(high)


def drawn_differences(head: Head, predictions: Predictions, others: Predictions, metric: str) -> np.ndarray:
    """A metric of some predictions minus that of others in each draw, `(draws,)`; empty where draws take too long."""
    others = others | {name: predictions[name] for name in ("group", "now") if name in predictions}  # the same draws
    draws = min(affordable(head, each) for each in (predictions, others))
    drawn, drawn_of_others = (drawn_metrics(head, each, draws) for each in (predictions, others))
    if metric not in drawn or metric not in drawn_of_others:
        return np.zeros(0)
    return drawn[metric] - drawn_of_others[metric]
