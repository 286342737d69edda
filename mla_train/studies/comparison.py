"""The numbers of a comparison: scores of arms, what pairs of the same seed differ by, and whether that can be chance."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, sqrt
from statistics import mean, median, stdev
from typing import Any

from scipy import stats

from mla_train.training.scores import Score, read_score, signed, written

CONFIDENCE = 0.95
LEVEL = 0.05
"""The p-value below which a difference is called one."""


@dataclass(frozen=True)
class ArmResults:
    """What the runs of an arm left.

    Attributes:
        name: Of the arm.
        parameters: Of its network.
        runs: Seed to what results.json holds.
        failed: Seed to what a failed run printed last.
        inference: Examples a second that its model answers; None where it was not timed.
    """

    name: str
    parameters: int
    runs: Mapping[int, Mapping[str, Any]]
    failed: Mapping[int, str] = field(default_factory=dict)
    inference: float | None = None

    @property
    def scores(self) -> dict[int, Score]:
        """Seed to score."""
        return {seed: read_score(results) for seed, results in self.runs.items()}

    @property
    def values(self) -> list[float]:
        """Scores on test, one a seed."""
        return [score.value for score in self.scores.values()]

    @property
    def training(self) -> float | None:
        """Training examples a second, the median over seeds."""
        speeds = [results["speed"]["examples_per_second"] for results in self.runs.values()]
        return median(speeds) if speeds else None

    @property
    def cache(self) -> int | None:
        """Bytes that decoding keeps for each token."""
        return next((results["model"]["cache_bytes_per_token"] for results in self.runs.values()), None)


@dataclass(frozen=True)
class Difference:
    """What an arm has more than the first one, in pairs of the same seed.

    Attributes:
        pairs: Differences.
        p: Of a paired t-test, corrected for the number of arms; None where there is nothing to test.
    """

    pairs: tuple[float, ...]
    p: float | None = None

    @property
    def mean(self) -> float:
        """Of the pairs."""
        return mean(self.pairs)

    @property
    def margin(self) -> float | None:
        """Half the width of the mean's confidence interval; None with a single pair, or where all pairs are equal."""
        return half_interval(self.pairs)

    @property
    def significant(self) -> bool:
        """Whether it is more than chance explains."""
        return self.p is not None and self.p < LEVEL


@dataclass(frozen=True)
class Comparison:
    """Arms that were trained and scored alike.

    Attributes:
        compared: Keys in which they differ.
        seeds: How many each was to have.
        arms: The first is what others are compared to.
    """

    compared: str
    seeds: int
    arms: Sequence[ArmResults]

    @property
    def first(self) -> ArmResults:
        """What others are compared to."""
        return self.arms[0]

    @property
    def any_results(self) -> Mapping[str, Any] | None:
        """results.json of some run; all agree in task, data and metric."""
        return next((results for arm in self.arms for results in arm.runs.values()), None)

    @property
    def any_score(self) -> Score | None:
        """The score of that run, which names metric and best baseline."""
        return None if self.any_results is None else read_score(self.any_results)

    @property
    def differences(self) -> dict[str, Difference]:
        """Name of each further arm to its difference, where it has a seed in common with the first."""
        found = {arm.name: paired(self.first.scores, arm.scores) for arm in self.arms[1:]}
        present = {name: difference for name, difference in found.items() if difference is not None}
        tested = [name for name, difference in present.items() if difference.p is not None]
        corrected = holm([present[name].p or 0.0 for name in tested])
        return present | {name: Difference(present[name].pairs, p) for name, p in zip(tested, corrected, strict=True)}


def half_interval(values: Sequence[float]) -> float | None:
    """Half the width of the confidence interval of a mean, by Student's t; None where values show no spread."""
    if not _has_spread(values):
        return None
    count = len(values)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * stdev(values) / sqrt(count)


def _has_spread(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding."""
    return len(values) > 1 and stdev(values) > 1e-9 * max(abs(value) for value in values)


def paired(first: Mapping[int, Score], other: Mapping[int, Score]) -> Difference | None:
    """Differences of two arms in the seeds that both have, with an uncorrected p-value; None without such seeds."""
    common = [seed for seed in first if seed in other]
    if not common:
        return None
    ours, theirs = [other[seed].value for seed in common], [first[seed].value for seed in common]
    pairs = tuple(a - b for a, b in zip(ours, theirs, strict=True))
    if not _has_spread(pairs):
        return Difference(pairs)
    p = float(stats.ttest_rel(ours, theirs).pvalue)
    return Difference(pairs, None if isnan(p) else p)


def holm(ps: Sequence[float]) -> list[float]:
    """Corrects p-values for their number (Holm 1979): the smallest is multiplied by all, the next by one fewer, ..."""
    corrected, largest = [0.0] * len(ps), 0.0
    for place, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, min(1.0, (len(ps) - place) * ps[index]))
        corrected[index] = largest
    return corrected


def conclusion(comparison: Comparison) -> str:
    """What was found, in sentences."""
    score = comparison.any_score
    if score is None:
        return "No run finished, so there is nothing to compare."
    return " ".join([*_against_first(comparison, score.higher_is_better), *_against_baseline(comparison, score)])


def _against_first(comparison: Comparison, higher: bool) -> list[str]:
    first, differences = comparison.first.name, comparison.differences
    if not comparison.first.runs:
        return [f"{first}, which the others were to be compared to, has no finished run."]
    if comparison.seeds == 1:
        return ["One seed does not tell a difference from chance, so nothing was tested: say seeds=3 or more."]
    said: list[str] = []
    undecided: dict[int, list[str]] = {}
    for arm in comparison.arms[1:]:
        difference = differences.get(arm.name)
        if difference is None or len(difference.pairs) == 1:
            said.append(f"{arm.name} has too few finished runs for a test.")
        elif difference.significant:
            better = "better" if (difference.mean > 0) == higher else "worse"
            said.append(f"{arm.name} is {better} than {first} by {written(abs(difference.mean))} ({_p(difference)}).")
        elif difference.p is None:
            said.append(_without_spread(arm.name, first, difference))
        else:
            undecided.setdefault(len(difference.pairs), []).append(f"{arm.name} ({_p(difference)})")
    for seeds, names in undecided.items():
        said.append(f"{listed(names)}: no difference to {first} that {seeds} seeds could show.")
    return said


def _without_spread(name: str, first: str, difference: Difference) -> str:
    if abs(difference.mean) < 1e-9:
        return f"{name} and {first} score the same with each seed."
    return (
        f"{name} differs from {first} by {signed(difference.mean)} with each seed alike, which leaves nothing to test."
    )


def _against_baseline(comparison: Comparison, score: Score) -> list[str]:
    if score.baseline is None:
        return []
    sign = 1 if score.higher_is_better else -1
    scored = [arm for arm in comparison.arms if arm.runs]
    above = [arm.name for arm in scored if sign * (mean(arm.values) - score.baseline_value) > 0]
    said = f"the best baseline, {score.baseline} ({written(score.baseline_value)})"
    if len(above) == len(scored):
        return [f"{'All' if len(above) > 1 else above[0]} beat{'s' * (len(above) == 1)} {said}."]
    if not above:
        return [f"{'None beats' if len(scored) > 1 else f'{scored[0].name} does not beat'} {said}."]
    return [f"{listed(above)} beat{'s' * (len(above) == 1)} {said}, and the others do not."]


def _p(difference: Difference) -> str:
    return f"p {p_value(difference.p)}" if (difference.p or 0) < 0.001 else f"p = {p_value(difference.p)}"


def p_value(p: float | None) -> str:
    """As it is written in tables."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def listed(names: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    if not values:
        return ""
    return written(mean(values)) + (f" ± {written(stdev(values))}" if len(values) > 1 else "")
