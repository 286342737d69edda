"""Metrics of classes are those of scikit-learn; a threshold is the best one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    matthews_corrcoef,
    roc_auc_score,
)

from mla_train.heads.class_metrics import (
    above_threshold,
    areas_under_curves,
    best_threshold,
    count_metrics,
    in_parts,
    ranking_metrics,
    single,
)

numbers = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@pytest.mark.filterwarnings("ignore")
@given(numbers)
def test_counts_are_those_of_scikit_learn(pairs):
    label, predicted = np.array(pairs).T
    assert single(count_metrics(label, predicted)) == pytest.approx(
        {
            "accuracy": accuracy_score(label, predicted),
            "macro_f1": f1_score(label, predicted, average="macro", zero_division=0),
            "weighted_f1": f1_score(label, predicted, average="weighted", zero_division=0),
            "balanced_accuracy": balanced_accuracy_score(label, predicted),
            "mcc": matthews_corrcoef(label, predicted),
        }
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 8)), min_size=2, max_size=60), st.integers(0, 1))
def test_areas_of_two_classes_with_ties_are_those_of_scikit_learn(rows, positive):
    label, scores = np.array(rows).T  # 2 is a class that train lacks
    probability = np.stack([1 - scores / 8, scores / 8], 1)
    hits = label == positive
    if hits.all() or not hits.any():
        assert single(ranking_metrics(label, probability, positive)) == {"auroc": 0.5, "average_precision": 0.5}
        return
    areas = single(ranking_metrics(label, probability, positive))
    assert areas["auroc"] == pytest.approx(roc_auc_score(hits, probability[:, positive]))
    assert areas["average_precision"] == pytest.approx(average_precision_score(hits, probability[:, positive]))


def test_areas_of_several_classes_are_means_over_those_that_occur():
    generator = np.random.default_rng(0)
    label, probability = generator.integers(0, 3, 200), generator.dirichlet(np.ones(4), 200).astype(np.float32)
    areas = single(ranking_metrics(label, probability, 0))
    each = [
        (roc_auc_score(label == i, p), average_precision_score(label == i, p)) for i, p in enumerate(probability.T[:3])
    ]
    assert tuple(areas.values()) == pytest.approx(np.mean(each, 0))


@given(st.integers(1, 40), st.integers(2, 4), st.integers(0, 5))
def test_a_weight_counts_as_often_as_the_example_was_drawn(examples, classes, seed):
    chance = np.random.default_rng(seed)
    label, predicted = chance.integers(0, classes, (2, examples))
    probability = chance.dirichlet(np.ones(classes), examples).round(1)
    draws = [chance.integers(0, examples, examples) for _ in range(5)]
    parts = list(in_parts(iter(draws), examples, most=2 * examples))
    assert [len(part) for part in parts] == [2, 2, 1]
    weights = np.concatenate(parts)
    for name, values in count_metrics(label, predicted, weights).items():
        expected = [single(count_metrics(label[places], predicted[places]))[name] for places in draws]
        assert values == pytest.approx(expected), name
    for name, values in ranking_metrics(label, probability, 1, weights).items():
        expected = [single(ranking_metrics(label[places], probability[places], 1))[name] for places in draws]
        assert values == pytest.approx(expected), name
    assert np.isnan(areas_under_curves(probability[:, 0], np.zeros(examples, bool), weights)).all()


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=1, max_size=40), st.integers(0, 1))
def test_no_other_threshold_has_a_higher_f1(rows, positive):
    hits, scores = np.array([hit for hit, _ in rows]), np.array([score for _, score in rows]) / 10
    probability = np.zeros((len(rows), 2), dtype=np.float32)
    probability[:, positive], probability[:, 1 - positive] = scores, 1 - scores
    threshold = best_threshold(probability[:, positive], hits)

    def f1(threshold):
        return f1_score(hits, above_threshold(probability, positive, threshold) == positive, zero_division=0)

    assert f1(threshold) == pytest.approx(max(map(f1, np.linspace(-0.05, 0.95, 11))) if hits.any() else 0)
    # Rounding changes no prediction.
    assert np.abs(probability[:, positive] - threshold).min() > 0.01 or not hits.any() or threshold == 0
