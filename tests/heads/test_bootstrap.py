"""How sure scores are: intervals of metrics, and of differences on the same examples."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.signal import lfilter

from mla_train.heads.base import columns_of, rows_of
from mla_train.heads.bootstrap import affordable, block_places, bounds_of, drawn_metrics, drawn_places
from mla_train.heads.text_metrics import ROUGE, TRANSLATION, TextMetrics
from mla_train.training.confidence import compare_to_baseline, is_better
from tests.helpers import build_forecaster, hourly_table


class Means:
    """A head whose one metric is a mean."""

    kind, spec, draws_sums = "other", None, False
    monitor, directions = "mean", {"mean": "max"}

    def metrics(self, predictions):
        return {"mean": float(np.mean(predictions["value"]))}

    def metrics_of_draws(self, predictions, draws):
        return columns_of([self.metrics(rows_of(predictions, places)) for places in draws])


def made(values, **columns):
    return {"value": np.asarray(values, dtype=float), **columns}


def test_the_interval_of_a_mean_is_that_of_statistics():
    values = np.random.default_rng(0).normal(size=400)
    low, high = bounds_of(drawn_metrics(Means(), made(values), 2000))["mean"]
    half = stats.sem(values) * 1.96
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.15 * half)


def test_classes_keep_their_size_groups_and_blocks_stay_whole():
    head = SimpleNamespace(kind="classification", spec=None)
    label = np.array([0] * 95 + [1] * 5)
    for places in drawn_places(head, {"label": label}, 20):
        assert np.bincount(label[places]).tolist() == [95, 5]
    group = np.repeat(np.arange(10), 4)
    for places in drawn_places(head, {"label": np.zeros(40, int), "group": group}, 5):
        assert (np.bincount(group[places]) % 4 == 0).all()
    windows = SimpleNamespace(kind="forecast", spec=SimpleNamespace(horizon=8))
    for places in drawn_places(windows, {"forecast": np.zeros(240)}, 5):
        blocks = places.reshape(-1, 24)
        assert ((blocks - blocks[:, :1]) % 240 == np.arange(24)).all()
    assert affordable(SimpleNamespace(draws_sums=True, **vars(windows)), {"forecast": np.zeros(39)}) == 0


def test_blocks_of_windows_know_how_much_their_errors_resemble_each_other():
    chance, horizon = np.random.default_rng(0), 24
    means, said = [], []
    for _ in range(100):
        steps = chance.normal(size=2400 + horizon) ** 2  # errors of steps; of windows the means over a horizon
        windows = np.convolve(steps, np.ones(horizon) / horizon, "valid")
        means.append(windows.mean())
        said.append(np.std([windows[block_places(len(windows), horizon, chance)].mean() for _ in range(100)]))
    assert 0.85 < np.mean(said) / np.std(means) < 1.15


def test_single_steps_are_drawn_as_blocks_since_days_resemble_their_neighbours():
    chance = np.random.default_rng(0)
    head, draws = SimpleNamespace(kind="forecast", spec=SimpleNamespace(horizon=1)), {"forecast": np.zeros(1000)}
    means, said, single = [], [], []
    for seed in range(100):
        errors = lfilter([1], [1, -0.3], chance.normal(size=1100))[100:]
        means.append(errors.mean())
        said.append(np.std([errors[places].mean() for places in drawn_places(head, draws, 100, seed)]))
        single.append(stats.sem(errors))
    assert 0.85 < np.mean(said) / np.std(means) < 1.15
    assert np.mean(single) < 0.8 * np.mean(said)


def test_a_difference_is_surer_than_both_scores():
    chance = np.random.default_rng(0)
    hard = chance.normal(size=300)  # which examples are hard is the same for both
    model, baseline = made(hard + 0.1 + 0.01 * chance.normal(size=300)), made(hard)
    compared = compare_to_baseline(Means(), model, {"good": baseline, "bad": made(hard - 1)})
    assert compared["baseline"] == "good"
    assert 0.09 < compared["low"] < compared["difference"] < compared["high"] < 0.11
    low, high = bounds_of(drawn_metrics(Means(), model))["mean"]
    assert high - low > 10 * (compared["high"] - compared["low"])
    assert compare_to_baseline(Means(), model, {}) is None


def test_better_is_more_than_a_standard_error():
    chance = np.random.default_rng(0)
    values, noise = chance.normal(size=100), chance.normal(size=100)
    noise -= noise.mean()
    error = noise.std() / 10  # of the mean of a hundred
    for gain, expected in ((2 * error, True), (0.5 * error, False), (-2 * error, False)):
        assert is_better(Means(), made(values + noise + gain), made(values))[0] is expected
    assert not is_better(Means(), made(values), made(values))[0]


def test_probabilities_decide_where_few_answers_do_not():
    class Answers:
        kind, monitor, directions, spec = "classification", "accuracy", {"accuracy": "max", "brier": "min"}, None

        def metrics(self, predictions):
            return {name: values.mean() for name, values in predictions.items() if name != "label"}

        def metrics_of_draws(self, predictions, draws):
            rows = [self.metrics({name: values[places] for name, values in predictions.items()}) for places in draws]
            return {name: np.array([row[name] for row in rows]) for name in rows[0]}

    def answers(accuracy, brier):
        return {"label": np.array([0, 1] * 8), "accuracy": np.array(accuracy), "brier": np.array(brier)}

    head, right = Answers(), [1.0] * 12 + [0.0] * 4
    unsure, sure = np.linspace(0.2, 0.3, 16), np.linspace(0.05, 0.2, 16)
    assert not is_better(head, answers(right, sure), answers(right, unsure))[0]
    better, by = is_better(head, answers(right, sure), answers(right, unsure), "brier")
    assert better
    assert by["metric"] == "brier"
    assert not is_better(head, answers(right, unsure), answers(right, sure), "brier")[0]
    worse = [1.0] * 11 + [0.0] * 5
    assert not is_better(head, answers(worse, sure), answers(right, unsure), "brier")[0]
    assert is_better(head, answers([1.0] * 16, unsure), answers(right, sure), "brier")[1]["metric"] == "accuracy"


@pytest.mark.parametrize(("count", "draws"), [(10_000, 1000), (300_000, 300), (1_000_000, 100), (5_000_000, 0)])
def test_many_examples_have_fewer_draws_or_none(count, draws):
    assert affordable(Means(), made(np.zeros(count))) == draws


def test_text_metrics_of_draws_are_those_of_the_drawn_texts():
    texts = ["the cat sat on the mat", "a dog", "two birds in a tree", "one fish"] * 3
    references = ["the cat sat on a mat", "a dog", "two birds in the tree", "no fish"] * 3
    others = [["the cat is on the mat"], [], ["birds in a tree"], []] * 3
    metrics = TextMetrics("en", False, [*TRANSLATION, *ROUGE])
    draws = [np.random.default_rng(seed).integers(0, 12, 12) for seed in range(4)]
    for places, computed in zip(draws, metrics.of_draws(texts, references, others, draws), strict=True):
        chosen = [[column[place] for place in places] for column in (texts, references, others)]
        assert computed == pytest.approx(metrics(*chosen), abs=1e-9)


def test_forecast_metrics_of_draws_are_those_of_the_drawn_windows(tmp_path):
    _, _, model = build_forecaster(tmp_path, hourly_table())
    head = model.head
    chance, shape = np.random.default_rng(0), (20, len(head.spec.names), head.spec.horizon)
    predictions = {
        "forecast": chance.normal(size=shape),
        "future": chance.normal(size=shape),
        "real": chance.random(shape) > 0.2,
        "quantiles": np.sort(chance.normal(size=(*shape, len(head.levels))), -1),
    }
    draws = [chance.integers(0, 20, 20) for _ in range(3)]
    computed = head.metrics_of_draws(predictions, draws)
    for number, places in enumerate(draws):
        expected = head.metrics(rows_of(predictions, places))
        assert {name: values[number] for name, values in computed.items()} == pytest.approx(expected)


def test_few_groups_give_no_interval():
    """One file of text would be drawn again and again, and the interval be a point."""
    for groups, draws in ((1, 0), (4, 0), (5, 1000)):
        columns = made(np.arange(40), group=np.arange(40) % groups)
        assert affordable(Means(), columns) == draws
