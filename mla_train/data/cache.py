"""A cache on disk for results that take time to compute."""

import os
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import joblib


def cached(function: Callable[..., Any]) -> Callable[..., Any]:
    """Caches results by the content of arguments and the code of the function; $MLA_TRAIN_CACHE names the folder."""
    folder = os.environ.get("MLA_TRAIN_CACHE", Path.home() / ".cache" / "mla_train")
    remembered = joblib.Memory(folder, verbose=0).cache(function)

    @wraps(function)
    def call(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # joblib warns that large arguments take time
            return remembered(*arguments)

    return call
