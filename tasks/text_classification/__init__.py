"""Which class does a text belong to? Nothing heavy is imported before it is asked for."""

from typing import Any

HOMES = {"TextClassificationTask": "task", "LanguageIdData": "language_id", "TextFilesData": "files"}


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(name)
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)
