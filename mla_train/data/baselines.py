"""What a model has to beat, computed by scikit-learn on the same split, and remembered between runs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def cache_folder() -> Path:
    """Where results are kept that cost time and can be computed again: $MLA_TRAIN_CACHE or ~/.cache/mla_train."""
    return Path(os.environ.get("MLA_TRAIN_CACHE", Path.home() / ".cache" / "mla_train"))


def cached(function: Callable[..., Any]) -> Callable[..., Any]:
    """Remembers results on disk by the content of the arguments and the code of the function."""
    return joblib.Memory(cache_folder() / "baselines", verbose=0).cache(function)


def majority(train_labels: np.ndarray, size: int) -> np.ndarray:
    """The most frequent class of the training split, `size` times."""
    return np.full(size, np.bincount(train_labels).argmax())


def logistic_regression(train: np.ndarray, labels: np.ndarray, test: np.ndarray, c: float = 1.0) -> np.ndarray:
    """Predictions of a logistic regression on standardised features.

    Args:
        train: `(examples, features)`.
        labels: Class of each training example.
        test: `(examples, features)`.
        c: Inverse strength of the L2 penalty.
    """
    model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=200, tol=1e-3))
    return model.fit(train.astype(np.float32), labels).predict(test.astype(np.float32))
