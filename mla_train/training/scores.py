"""The score of a run in its results.json, and its difference to the best baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """The score of a run on its test split, by the metric that chose its checkpoint.

    Attributes:
        metric: Name of the metric; with the prefix `val/` where test was not evaluated.
        value: Score of the run.
        higher_is_better: Whether a higher score is better.
        baseline: Name of the best baseline; None where there is none.
        baseline_value: Score of that baseline.
        interval: Ends of the 95 % interval of the score over test examples; None where it is not known.
        unit: Unit of the metric.
    """

    metric: str
    value: float
    higher_is_better: bool
    baseline: str | None = None
    baseline_value: float = float("nan")
    interval: tuple[float, float] | None = None
    unit: str = ""

    @property
    def difference(self) -> float | None:
        """Score minus best baseline."""
        return None if self.baseline is None else self.value - self.baseline_value

    @property
    def gain(self) -> float | None:
        """The difference, positive where the run is better."""
        if self.difference is None:
            return None
        return self.difference if self.higher_is_better else -self.difference

    @property
    def is_tied(self) -> bool:
        """Whether the best baseline has the same score, or one inside the interval."""
        if self.gain is None:
            return False
        low, high = self.interval or (self.value, self.value)
        return self.gain == 0 or low <= self.baseline_value <= high

    @property
    def verdict(self) -> str:
        """The score beside the best baseline, as a sentence."""
        unit = f" {self.unit}" if self.unit else ""
        score = f"{self.metric} {written(self.value)}"
        if self.gain is None:
            return f"{score}{unit}; there is no baseline to compare with."
        relation = "Tied with" if self.is_tied else "Better than" if self.gain > 0 else "Worse than"
        inside = ""
        if self.is_tied and self.interval and self.gain:
            low, high = map(written, self.interval)
            inside = f", inside the 95 % interval from {low} to {high}"
        compared = f"{score} against {written(self.baseline_value)}{unit}{inside}"
        return f"{relation} the best baseline, {self.baseline}: {compared}."


def read_score(results: Mapping[str, Any]) -> Score:
    """The score in the contents of results.json."""
    metric = results["monitor"]["name"].removeprefix("val/")
    higher = results["monitor"]["mode"] == "max"
    split = scored_split(results)
    value, unit = results["metrics"][split][metric], results.get("units", {}).get(metric, "")
    if split == "val":
        return Score(f"val/{metric}", value, higher, unit=unit)
    interval = tuple(results["intervals"][metric]) if metric in results.get("intervals", {}) else None
    baselines = {name: scores[metric] for name, scores in results["baselines"].items() if metric in scores}
    if not baselines:
        return Score(metric, value, higher, interval=interval, unit=unit)
    best = (max if higher else min)(baselines, key=lambda name: baselines[name])
    return Score(metric, value, higher, best, baselines[best], interval, unit)


def scored_split(results: Mapping[str, Any]) -> str:
    """The split of the scores: val where test was not evaluated."""
    return "test" if "test" in results["metrics"] else "val"


def written(value: float) -> str:
    """A score with four decimals, or two from 10 on."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def signed(value: float) -> str:
    """A difference with its sign and four decimals, or two from 10 on."""
    value = round(value, 4) + 0.0  # no -0.0000
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+,.2f}"
