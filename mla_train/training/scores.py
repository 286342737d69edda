"""What results.json says of a run: its score, and by how much that beats the best baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Score:
    """The score of a run on its test split, by the metric that chose its checkpoint.

    Attributes:
        metric: Its name; `val/` stands before it where test was not looked at.
        value: What the run has.
        higher_is_better: Whether more is better.
        baseline: Name of the best baseline; None where there is none.
        baseline_value: What that one has.
    """

    metric: str
    value: float
    higher_is_better: bool
    baseline: str | None = None
    baseline_value: float = float("nan")

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


def read_score(results: Mapping[str, Any]) -> Score:
    """The score that results.json holds.

    Raises:
        KeyError: It holds none.
    """
    metric = results["monitor"]["name"].removeprefix("val/")
    higher = results["monitor"]["mode"] == "max"
    split = scored_split(results)
    value = results["metrics"][split][metric]
    if split == "val":
        return Score(f"val/{metric}", value, higher)
    baselines = {name: scores[metric] for name, scores in results["baselines"].items() if metric in scores}
    if not baselines:
        return Score(metric, value, higher)
    best = (max if higher else min)(baselines, key=lambda name: baselines[name])
    return Score(metric, value, higher, best, baselines[best])


def scored_split(results: Mapping[str, Any]) -> str:
    """The split that scores are of: val where test was not looked at."""
    return "test" if "test" in results["metrics"] else "val"


def written(value: float) -> str:
    """Four digits after the point; two where that is enough."""
    return f"{value:.4f}" if abs(value) < 10 else f"{value:,.2f}"


def signed(value: float) -> str:
    """The same with its sign."""
    value = round(value, 4) + 0.0  # no -0.0000
    return f"{value:+.4f}" if abs(value) < 10 else f"{value:+,.2f}"
