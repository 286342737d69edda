"""Recording to class, classes or number. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {
        "SpeechClassification": "task",
        "read_synthetic": "synthetic",
        "read_folder": "folder",
        "read_table": "table",
    },
)
