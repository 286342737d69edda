"""Series to class, classes or number. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, dict.fromkeys(("SeriesClassification", "read_bundled", "read_series"), "task"))
