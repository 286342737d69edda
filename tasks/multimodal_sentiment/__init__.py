"""Text, image and features to class or number. Nothing heavy is imported before it is asked for."""

from mla_train.lazy import lazy_names

__getattr__ = lazy_names(
    __name__,
    {
        "MultimodalSentiment": "task",
        "read_texts_and_images": "table",
        "read_kaomoji": "kaomoji",
        "read_feature_table": "feature_table",
    },
)
