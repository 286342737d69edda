"""Texts to their summaries. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__, {"Summarization": "task", "read_docstrings": "docstrings", "read_summary_files": "files"}
)
