"""Sentences to their translations. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(__name__, {"Translation": "task", "read_cldr_phrases": "cldr", "read_pair_files": "files"})
