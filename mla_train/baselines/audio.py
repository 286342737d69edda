"""Baselines of recordings: linear models and a support vector machine on coarse spectrograms."""

from functools import cache, partial

from mla_train.baselines.base import Baselines
from mla_train.baselines.images import support_vectors
from mla_train.baselines.linear import linear_baseline
from mla_train.baselines.tables import spectrogram_tables
from mla_train.dataset import Dataset


def audio_baselines(data: Dataset) -> Baselines:
    """A linear model, and of classes a support vector machine with radial kernel."""
    (name,) = data.spec.inputs
    tables = cache(partial(spectrogram_tables, data, name))
    baselines: Baselines = {"linear": partial(linear_baseline, "linear", tables, data)}
    if data.spec.head.kind == "classification":
        baselines["rbf_svm"] = partial(support_vectors, tables, data)
    return baselines
