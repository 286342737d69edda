"""What do a text, a picture and what goes with them feel like? Nothing heavy is imported before it is asked for."""

from typing import Any

HOMES = {
    "MultimodalSentimentTask": "task",
    "KaomojiData": "kaomoji",
    "TextImageFilesData": "files",
    "FeatureTableData": "feature_table",
}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
