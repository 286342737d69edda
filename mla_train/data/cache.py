"""A cache on disk for results that take time to compute."""

import os
import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import joblib


def cached(function: Callable[..., Any], ignore: Sequence[str] = ()) -> Callable[..., Any]:
    """Caches results by the content of arguments and the code of the function; $MLA_TRAIN_CACHE names the folder.

    Args:
        function: Function whose results are cached.
        ignore: Names of arguments for which others speak, such as those of files beside their times.
    """
    folder = os.environ.get("MLA_TRAIN_CACHE", Path.home() / ".cache" / "mla_train")
    remembered = joblib.Memory(folder, verbose=0).cache(function, ignore=list(ignore))

    @wraps(function)
    def call(*arguments: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # joblib warns that large arguments take time
            return remembered(*arguments)

    return call
