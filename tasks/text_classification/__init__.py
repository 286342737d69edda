"""Text to class, classes or number. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__, {"TextClassification": "task", "read_language_id": "language_id", "read_texts": "files"}
)
