"""Image to class, classes or number. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {
        "ImageClassification": "task",
        "read_table": "table",
        "read_digits": "named",
        "read_torchvision": "named",
        "read_folder": "folder",
        "read_medmnist": "medmnist",
    },
)
