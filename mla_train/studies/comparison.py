"""The numbers of a comparison: scores of variants, paired differences between them, and significance tests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isnan, nan, sqrt
from statistics import mean, median, stdev
from typing import Any

from scipy import stats

from mla_train.training.scores import (
    Score,
    kept_start,
    kept_starts_sentence,
    margin_over_seeds,
    read_score,
    signed,
    standing_of,
    written,
)

CONFIDENCE = 0.95
SIGNIFICANCE_LEVEL = 0.05


@dataclass(frozen=True)
class VariantResults:
    """Results of the runs of a variant.

    Attributes:
        name: Name of the variant.
        parameters: Number of parameters of its network.
        runs: Seed to contents of results.json.
        failed: Seed to the last line that a failed run printed.
        inference: Examples a second in prediction; None if not timed.
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
        """Bytes that decoding caches for each token."""
        return next((results["model"]["cache_bytes_per_token"] for results in self.runs.values()), None)


@dataclass(frozen=True)
class Difference:
    """A variant minus the first one, in pairs of the same seed.

    Attributes:
        pairs: Difference of each pair.
        p: P-value of a paired t-test, corrected for the number of variants; None where a test is not possible.
        uncorrected_p: The same before it is corrected, which belongs to the interval.
        folds: Number of folds, if pairs are folds, whose training splits overlap; 0 where they are seeds.
    """

    pairs: tuple[float, ...]
    p: float | None = None
    uncorrected_p: float | None = None
    folds: int = 0

    @property
    def mean(self) -> float:
        """Mean over the pairs."""
        return mean(self.pairs)

    @property
    def margin(self) -> float | None:
        """Half the width of the confidence interval of the mean; None with a single pair, or where all pairs are equal."""
        return half_interval(self.pairs, self.folds)

    @property
    def significant(self) -> bool:
        """Whether it is significant."""
        return self.p is not None and self.p < SIGNIFICANCE_LEVEL


LEARNING = "data.train_examples"
"""Key that gives variants other numbers of training examples: those of one number are compared with each other."""


@dataclass(frozen=True)
class Comparison:
    """Variants that were trained and scored alike.

    Attributes:
        compared: Keys in which they differ.
        seeds: Number of seeds that were asked for.
        variants: Variants, of which the others are compared to the first.
        folds: Number of folds of which runs are one each, perhaps several times; 0 where they are seeds.
        warnings: Sentences that say why runs may not be compared.
    """

    compared: str
    seeds: int
    variants: Sequence[VariantResults]
    folds: int = 0
    warnings: Sequence[str] = ()

    @property
    def unit(self) -> str:
        """In what the runs of a variant differ."""
        return "fold" if self.folds else "seed"

    @property
    def first(self) -> VariantResults:
        """Variant that the others are compared to."""
        return self.variants[0]

    @property
    def curves(self) -> dict[str, list[VariantResults]]:
        """Variants that differ in the number of training examples alone, by what else is compared; empty where it is not."""
        return self._grouped(lambda values, place: ", ".join(values[:place] + values[place + 1 :]) or "model")

    def reference(self, variant: VariantResults) -> VariantResults:
        """Variant that another is compared to: the first, of those with as many training examples where these differ."""
        sizes = self._grouped(lambda values, place: values[place])
        return next((group[0] for group in sizes.values() if variant in group), self.first)

    def _grouped(self, key: Callable[[list[str], int], str]) -> dict[str, list[VariantResults]]:
        keys, groups = self.compared.split(", "), dict[str, list[VariantResults]]()
        if LEARNING not in keys:
            return {}
        for variant in self.variants:
            values = variant.name.split(", ")
            if len(values) != len(keys):  # a value with a comma
                return {}
            groups.setdefault(key(values, keys.index(LEARNING)), []).append(variant)
        return groups

    @property
    def any_results(self) -> Mapping[str, Any] | None:
        """Results of one run; all runs agree in task, data and metric."""
        return next((results for variant in self.variants for results in variant.runs.values()), None)

    @property
    def any_score(self) -> Score | None:
        """Score of one run, with the metric and the baseline that is best by its mean over all runs."""
        if self.any_results is None:
            return None
        score = read_score(self.any_results)
        runs = [results for variant in self.variants for results in variant.runs.values()]
        names = [name for name in runs[0]["baselines"] if all(name in results["baselines"] for results in runs)]
        if score.baseline is None or not names:
            return score
        means = {name: mean(results["baselines"][name].get(score.metric, nan) for results in runs) for name in names}
        known = {name: value for name, value in means.items() if not isnan(value)}
        best = (max if score.higher_is_better else min)(known, key=lambda name: known[name])
        return replace(score, baseline=best, baseline_value=known[best])

    def against_baseline(self, variant: VariantResults) -> tuple[float, float | None] | None:
        """Mean gain of a variant over the best baseline, and half its 95 % interval; None without runs or baseline.

        Over folds the interval is that of their paired differences; over seeds that of `margin_over_seeds`.
        """
        score = self.any_score
        if score is None or score.baseline is None or not variant.runs:
            return None
        sign = 1 if score.higher_is_better else -1
        gains = [
            sign * (results["metrics"]["test"][score.metric] - results["baselines"][score.baseline][score.metric])
            for results in variant.runs.values()
        ]
        if self.folds:
            return mean(gains), half_interval(gains, self.folds)
        scores = list(variant.scores.values())
        is_same = all(each.baseline == score.baseline for each in scores)
        return mean(gains), margin_over_seeds(scores) if is_same else None

    @property
    def differences(self) -> dict[str, Difference]:
        """Name of each variant to its difference to its reference, where it is another and has a seed in common with it."""
        others = {
            variant.name: paired(reference.scores, variant.scores, self.folds)
            for variant in self.variants
            if (reference := self.reference(variant)) is not variant
        }
        present = {name: difference for name, difference in others.items() if difference is not None}
        tested = [name for name, difference in present.items() if difference.p is not None]
        corrected = holm([present[name].p or 0.0 for name in tested])
        return present | {
            name: replace(present[name], p=p, uncorrected_p=present[name].p)
            for name, p in zip(tested, corrected, strict=True)
        }


def half_interval(values: Sequence[float], folds: int = 0) -> float | None:
    """Half the width of the confidence interval of a mean, by Student's t; None where all values are equal."""
    if not _has_spread(values):
        return None
    count = len(values)
    error = stdev(values) / sqrt(count) * _overlap(count, folds)
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1)) * error


def _overlap(runs: int, folds: int) -> float:
    """Factor of the standard error of a mean over runs of folds, whose training splits overlap (Nadeau and Bengio 2003).

    A test split has 1 / (folds - 1) of the examples of its training split. Over seeds the factor is 1.
    """
    return sqrt(1 + runs / (folds - 1)) if folds else 1.0


def _has_spread(values: Sequence[float]) -> bool:
    """Whether values differ by more than rounding."""
    return len(values) > 1 and stdev(values) > 1e-9 * max(abs(value) for value in values)


def paired(first: Mapping[int, Score], other: Mapping[int, Score], folds: int = 0) -> Difference | None:
    """Differences of two variants in the seeds that both have, with an uncorrected p-value; None without such seeds."""
    common = [seed for seed in first if seed in other]
    if not common:
        return None
    values, reference = [other[seed].value for seed in common], [first[seed].value for seed in common]
    pairs = tuple(a - b for a, b in zip(values, reference, strict=True))
    if not _has_spread(pairs):
        return Difference(pairs, folds=folds)
    test = stats.ttest_rel(values, reference)
    p = float(test.pvalue)
    if folds:
        p = float(2 * stats.t.sf(abs(test.statistic) / _overlap(len(pairs), folds), len(pairs) - 1))
    return Difference(pairs, None if isnan(p) else p, folds=folds)


def holm(ps: Sequence[float]) -> list[float]:
    """Corrects p-values for their number (Holm 1979): the smallest is multiplied by all, the next by one fewer, ..."""
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = largest
    return corrected


def conclusion(comparison: Comparison) -> str:
    """The result in sentences."""
    score = comparison.any_score
    if score is None:
        return "No run finished: there is nothing to compare."
    means = [] if len(comparison.variants) > 1 or not comparison.folds else [_mean_over_folds(comparison, score)]
    against = [*_against_first(comparison, score.higher_is_better), *_against_baseline(comparison, score)]
    names = [kept_start(results) for variant in comparison.variants for results in variant.runs.values()]
    kept = kept_starts_sentence(names, "runs", "compares the networks")
    return " ".join([*comparison.warnings, *means, *against, *[kept] * bool(kept)])


def _mean_over_folds(comparison: Comparison, score: Score) -> str:
    values = comparison.first.values
    margin = half_interval(values, comparison.folds)
    interval = (
        ""
        if margin is None
        else f", 95 % interval {written(mean(values) - margin)} to {written(mean(values) + margin)}"
    )
    return f"{score.metric} {spread(values)} over {len(values)} folds{interval}."


def _against_first(comparison: Comparison, higher: bool) -> list[str]:
    differences = comparison.differences
    if not comparison.first.runs:
        return [f"{comparison.first.name}, which the others are compared to, has no finished run."]
    if len(comparison.variants) == 1:
        return []
    if comparison.seeds == 1:
        return ["A single seed cannot be tested for significance: use seeds=3 or more."]
    sentences: list[str] = []
    not_significant: dict[tuple[int, str], list[str]] = {}
    for variant in comparison.variants:
        reference = comparison.reference(variant)
        if reference is variant:
            continue
        first = reference.name
        difference = differences.get(variant.name)
        if difference is None or len(difference.pairs) == 1:
            sentences.append(f"{variant.name} has too few finished runs for a test.")
        elif difference.significant:
            better = "better" if (difference.mean > 0) == higher else "worse"
            sentences.append(
                f"{variant.name} is {better} than {first} by {written(abs(difference.mean))} ({_p(difference)})."
            )
        elif difference.p is None:
            sentences.append(_without_spread(variant.name, first, difference, comparison.unit))
        else:
            not_significant.setdefault((len(difference.pairs), first), []).append(f"{variant.name} ({_p(difference)})")
    for (seeds, first), names in not_significant.items():
        sentences.append(f"{listed(names)}: not significantly different from {first} ({seeds} {comparison.unit}s).")
    return sentences


def _without_spread(name: str, first: str, difference: Difference, unit: str) -> str:
    if abs(difference.mean) < 1e-9:
        return f"{name} and {first} have the same score with each {unit}."
    return f"{name} differs from {first} by {signed(difference.mean)} with every {unit}, which cannot be tested."


def _against_baseline(comparison: Comparison, score: Score) -> list[str]:
    if score.baseline is None:
        return []
    standings: dict[str, list[str]] = {}
    for variant in comparison.variants:
        against = comparison.against_baseline(variant)
        if against is not None:
            standings.setdefault(standing_of(*against), []).append(variant.name)
    value = (
        "" if comparison.curves else f" ({written(score.baseline_value)})"
    )  # it has others of other numbers of examples
    baseline = f"the best baseline, {score.baseline}{value}"
    return [
        f"{listed(names)} {'is' if len(names) == 1 else 'are'} {standing} {baseline}."
        for standing, names in standings.items()
    ]


def _p(difference: Difference) -> str:
    return f"p {p_value(difference.p)}" if (difference.p or 0) < 0.001 else f"p = {p_value(difference.p)}"


def p_value(p: float | None) -> str:
    """A p-value as text."""
    if p is None:
        return ""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def listed(names: Sequence[str]) -> str:
    """Names as "a, b and c"."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation as text."""
    if not values:
        return ""
    return written(mean(values)) + (f" ± {written(stdev(values))}" if len(values) > 1 else "")
