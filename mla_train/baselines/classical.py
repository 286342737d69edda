"""Linear baselines of texts, whole series, and several inputs."""

from collections.abc import Callable
from functools import cache, partial

from mla_train.baselines.base import Baselines
from mla_train.baselines.linear import Table, linear_baseline, methods_of
from mla_train.baselines.tables import join, number_tables, statistics_tables, text_tables
from mla_train.dataset import Dataset


def text_baselines(data: Dataset) -> Baselines:
    """Linear models of the network's TF-IDF features."""
    (name,) = data.spec.inputs
    return _all_methods(data, cache(partial(text_tables, data, name)))


def series_baselines(data: Dataset) -> Baselines:
    """A linear model of simple statistics of each channel."""
    (name,) = data.spec.inputs
    return {"linear": partial(linear_baseline, "linear", cache(partial(statistics_tables, data, name)), data)}


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
