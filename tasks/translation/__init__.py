"""What does a sentence mean in another language? Nothing heavy is imported before it is asked for."""

from typing import Any

HOMES = {"TranslationTask": "task", "CldrPhrasesData": "cldr", "PairFilesData": "files"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
