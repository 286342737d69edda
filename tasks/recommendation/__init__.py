"""Histories of items to the item that comes next. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__, {"Recommendation": "task", "read_movielens": "movielens", "read_event_files": "event_files"}
)
