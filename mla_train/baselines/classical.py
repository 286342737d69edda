"""Linear baselines of texts, whole series, and several inputs."""

from collections.abc import Callable
from functools import cache, partial

from mla_train.baselines.base import Baseline, Baselines, Limit
from mla_train.baselines.linear import Table, linear_baseline, methods_of
from mla_train.baselines.tables import (
    convolution_tables,
    join,
    number_tables,
    statistics_tables,
    step_tables,
    text_tables,
)
from mla_train.dataset import Dataset

MOST_PAIRS = 1e8  # of a training example and another whose distance is computed


def text_baselines(data: Dataset) -> Baselines:
    """Linear models of the network's TF-IDF features."""
    (name,) = data.spec.inputs
    return _all_methods(data, cache(partial(text_tables, data, name)))


def series_baselines(data: Dataset) -> Baselines:
    """Linear models of simple statistics of each channel and of fixed convolutions; the nearest training example."""
    (name,) = data.spec.inputs
    tables = {"linear": statistics_tables, "minirocket": convolution_tables}
    return {
        "nearest": partial(nearest, cache(partial(step_tables, data, name)), data),
        **{
            baseline: partial(linear_baseline, "linear", cache(partial(table, data, name)), data)
            for baseline, table in tables.items()
        },
    }


def nearest(tables: Callable[[], list[Table]], data: Dataset, limit: Limit) -> Baseline | None:
    """The answer of the training example whose steps are nearest."""
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    if len(data.train) * (len(data.val) + len(data.test)) > MOST_PAIRS:
        return None
    train, val, test = tables()
    model = (KNeighborsRegressor if data.spec.head.kind == "regression" else KNeighborsClassifier)(1)
    model.fit(train, data.train.targets)
    of_val, of_test = (
        {"label": getattr(data, split).targets, "predicted": model.predict(table)}
        for split, table in (("val", val), ("test", test))
    )
    return Baseline(of_val, of_test)


def multimodal_baselines(data: Dataset) -> Baselines:
    """Linear models of each kind of input, and of all of them.

    What is missing counts as an empty text, and as the mean of images and features.
    """
    by_kind: dict[str, list[Callable[[], list[Table]]]] = {}
    for name, modality in data.spec.inputs.items():
        tables = text_tables if modality.kind == "text" else number_tables
        by_kind.setdefault(modality.kind, []).append(cache(partial(tables, data, name)))
    joined = {f"linear_{kind}": cache(partial(_joined, several)) for kind, several in by_kind.items()}
    if len(joined) > 1:
        joined["linear_all"] = cache(partial(_joined, list(joined.values())))
    return {name: partial(linear_baseline, "linear", tables, data) for name, tables in joined.items()}


def _joined(several: list[Callable[[], list[Table]]]) -> list[Table]:
    return join(tables() for tables in several)


def _all_methods(data: Dataset, tables: Callable[[], list[Table]]) -> Baselines:
    methods = methods_of(data.spec.head.kind)
    return {method: partial(linear_baseline, method, tables, data) for method in methods}
