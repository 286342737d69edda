"""The score of a run in its results.json, and its difference to the best baseline."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from mla_train.config.stored import read_json


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
        difference_interval: Ends of the 95 % interval of the difference to the best baseline on the same examples; None
            where it is not known.
        unit: Unit of the metric.
    """

    metric: str
    value: float
    higher_is_better: bool
    baseline: str | None = None
    baseline_value: float = float("nan")
    interval: tuple[float, float] | None = None
    difference_interval: tuple[float, float] | None = None
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
    def is_level(self) -> bool:
        """Whether the difference may be none: its interval holds zero."""
        if self.gain is None or self.difference_interval is None:
            return self.gain == 0
        low, high = self.difference_interval
        return low <= 0 <= high

    @property
    def standing(self) -> str:
        """Where the run stands to the best baseline, in a word or two; empty without one."""
        if self.gain is None:
            return ""
        if self.gain and self.difference_interval is None:
            return "not tested against"
        return "level with" if self.is_level else "ahead of" if self.gain > 0 else "behind"

    @property
    def verdict(self) -> str:
        """The score beside the best baseline, as a sentence."""
        unit = f" {self.unit}" if self.unit else ""
        score = f"{self.metric} {written(self.value)}"
        if self.difference is None:
            return f"{score}{unit}; there is no baseline to compare with."
        difference = signed(self.difference)
        if self.difference_interval is not None:
            low, high = map(signed, self.difference_interval)
            difference += f" (95 % interval {low} to {high})"
        return (
            f"{self.standing.capitalize()} the best baseline, {self.baseline}: {score} against "
            f"{written(self.baseline_value)}{unit}, {difference}."
        )


def read_score(results: Mapping[str, Any]) -> Score:
    """The score in the contents of results.json."""
    metric = results["monitor"]["name"].removeprefix("val/")
    higher = results["monitor"]["mode"] == "max"
    split = scored_split(results)
    value, unit = results["metrics"][split][metric], results.get("units", {}).get(metric, "")
    if split == "val":
        interval = tuple(results.get("val_intervals", {}).get(metric, ())) or None
        return Score(f"val/{metric}", value, higher, interval=interval, unit=unit)
    interval = tuple(results.get("intervals", {}).get(metric, ())) or None
    baselines = {name: scores[metric] for name, scores in results["baselines"].items() if metric in scores}
    if not baselines:
        return Score(metric, value, higher, interval=interval, unit=unit)
    best = (max if higher else min)(baselines, key=lambda name: baselines[name])
    compared = results.get("comparison") or {}
    is_known = (compared.get("baseline"), compared.get("metric")) == (best, metric) and compared["low"] is not None
    ends = (compared["low"], compared["high"]) if is_known else None
    return Score(metric, value, higher, best, baselines[best], interval, ends, unit)


def are_scores(scores: Any) -> bool:
    """Whether something in results.json is numbers by name."""
    return isinstance(scores, dict) and all(
        isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 63) for value in scores.values()
    )


def margin_over_seeds(scores: Sequence[Score]) -> float | None:
    """Half the 95 % interval of the mean difference to the best baseline, over test examples and seeds.

    Args:
        scores: Score of each seed, on the same test examples.

    Returns:
        None where one of them is not known, or where seeds differ in their best baseline.
    """
    halves = [(s.difference_interval[1] - s.difference_interval[0]) / 2 for s in scores if s.difference_interval]
    if not halves or len(halves) < len(scores) or len({score.baseline for score in scores}) > 1:
        return None
    if len(scores) == 1:
        return halves[0]
    from scipy.stats import t

    of_seeds = float(t.ppf(0.975, len(scores) - 1)) * stdev(score.gain or 0.0 for score in scores) / sqrt(len(scores))
    return sqrt(
        mean(halves) ** 2 + of_seeds**2
    )  # seeds share the test examples: their mean is no surer of these than one


def standing_of(gain: float, margin: float | None) -> str:
    """Where a gain over the best baseline stands by half its 95 % interval, in a word or two."""
    if margin is None:
        return "not tested against"
    return "level with" if abs(gain) <= margin else "ahead of" if gain > 0 else "behind"


def advice(results: Mapping[str, Any]) -> str:
    """What to try where a run is not ahead of the best baseline; empty where it is, or where there is none."""
    score, monitor = read_score(results), results["monitor"]
    if score.gain is None or score.standing == "ahead of" or (score.difference_interval is None and score.gain > 0):
        return ""
    if score.value == 1 and score.higher_is_better:
        return ""  # nothing is better
    epochs, epoch = results.get("epochs", 0), monitor["epoch"]
    if kept_start(results) and round(results["start"]["gain"], 4) == 0:
        return "Try: training left the start as it was on val, so train longer (epochs=) or faster (lr=)."
    if kept_start(results) and results["start"]["gain"] < 0:
        return "Try: training made the start worse on val, so learn slower (lr=) or regularize more (regularization=strong)."
    if kept_start(results):
        return "Try: training bettered the start a little on val, so train longer (epochs=) or on more data."
    if epochs and epoch == epochs:
        return "Try: the model is that of the last epoch, so train longer (epochs=)."
    if epochs and epoch <= epochs / 3:
        return "Try: an early epoch was the best on val, so regularize more (regularization=strong), or learn slower (lr=)."
    return "Try: a search of the usual options (scripts/sweep.py, same words); or use the baseline, which is cheaper."


def kept_start(results: Mapping[str, Any]) -> str:
    """Name of the simple model as which a run began, where it is the model as training did not better it; else empty."""
    begun = results.get("start") or {}
    return str(begun["name"]) if begun.get("kept") else ""


def read_kept_start(path: str | Path) -> str:
    """The same of a run folder, or of the folder `model` in it; empty where there is no results.json that tells it."""
    folder = Path(path)
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError):
        return kept_start(read_json((folder.parent if folder.name == "model" else folder) / "results.json"))
    return ""


def kept_start_sentence(results: Mapping[str, Any]) -> str:
    """That the start is the model, and by how much training changed it; empty where it is not."""
    name, begun = kept_start(results), results.get("start") or {}
    if not name:
        return ""
    return (
        f"The start ({name}) is the model: training did not better it on val by more than one standard error "
        f"({signed(begun['gain'])} +- {written(begun['standard_error'])}; task.start=none trains without it)."
    )


def attention_of_kept_start(name: str) -> str:
    """What attention maps show where the start of this name is the model."""
    return (
        f"The start ({name}) is the model: attention maps are of an encoder that this run did not train and whose part in "
        "the answer is zero, so they explain nothing of it."
    )


def kept_starts_sentence(names: Iterable[str], runs: str, remedy: str) -> str:
    """How many runs of a study kept their start; empty where none did.

    Args:
        names: Result of `kept_start` for each finished run.
        runs: Plural of what the study calls a run.
        remedy: What `task.start=none` does instead.
    """
    all_names = list(names)
    kept = [name for name in all_names if name]
    if not kept:
        return ""
    return (
        f"{len(kept)} of {len(all_names)} {runs} kept the simple model as which they begin ({', '.join(sorted({*kept}))}), so that "
        f"neither attention nor training had an effect in them; task.start=none {remedy}."
    )


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
