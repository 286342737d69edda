"""Linear models of each modality, and of all: what a network has to beat."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from mla_train.data.cache import cached
from tasks.multimodal_sentiment.columns import Column, Images, MultimodalSplit, Texts

PIXELS = 16
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)
PARTS = ("train", "val", "test")


def linear_models(parts: dict[str, MultimodalSplit], regression: bool) -> dict[str, np.ndarray]:
    """Predictions for test of a linear model of the texts, the pictures, the features, and of all of them.

    What is missing counts as an empty text, and as the mean of pictures and features. The strength of the penalty is the
    one that is best on val.

    Args:
        parts: train, val and test.
        regression: Whether labels are numbers.

    Returns:
        By name; class numbers or numbers, `(examples,)`.
    """
    tables: dict[str, list[list[Any]]] = {}
    for name, column in parts["train"].columns.items():
        columns = [parts[part].columns[name] for part in PARTS]
        kind = "text" if isinstance(column, Texts) else "image" if isinstance(column, Images) else "features"
        tables.setdefault(kind, []).append(_table(columns, [parts[part].lacks(name) for part in PARTS]))
    joined = {kind: [_join(found) for found in zip(*several, strict=True)] for kind, several in tables.items()}
    labels = [parts[part].labels for part in ("train", "val")]
    found = {f"linear_{kind}": cached(best_linear)(*table, *labels, regression) for kind, table in joined.items()}
    if len(joined) > 1:
        everything = [_join(of_part) for of_part in zip(*joined.values(), strict=True)]
        found["linear_all"] = cached(best_linear)(*everything, *labels, regression)
    return found


def best_linear(
    train: Any, val: Any, test: Any, train_labels: np.ndarray, val_labels: np.ndarray, regression: bool
) -> np.ndarray:
    """Logistic or ridge regression whose penalty is best on val.

    Args:
        train: `(examples, columns)`, as are val and test.
        val: Chooses the penalty.
        test: To be predicted.
        train_labels: `(examples,)`.
        val_labels: `(examples,)`.
        regression: Whether labels are numbers.
    """
    best, least = np.empty(0), np.inf
    for strength in STRENGTHS:
        model: Any = Ridge(1 / strength) if regression else LogisticRegression(C=strength, max_iter=300, tol=1e-3)
        model.fit(train, train_labels)
        error = np.mean(np.abs(model.predict(val) - val_labels)) if regression else 1 - model.score(val, val_labels)
        if error < least:
            best, least = model.predict(test), float(error)
    return best


def _table(columns: Sequence[Column], lacks: Sequence[np.ndarray]) -> list[Any]:
    """Train, val and test as rows of numbers of about the same size."""
    if isinstance(columns[0], Texts):
        texts = [column.texts for column in columns if isinstance(column, Texts)]
        vectorizers = [
            TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]"),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2),
        ]
        for vectorizer in vectorizers:
            vectorizer.fit(texts[0])
        return [scipy.sparse.hstack([v.transform(some) for v in vectorizers]).tocsr() for some in texts]
    rows = [_numbers(column) for column in columns]
    scaler = StandardScaler().fit(rows[0][~lacks[0]])
    # As long as a text's vector, so that one penalty suits both.
    width = np.sqrt(rows[0].shape[1])
    return [np.where(lack[:, None], 0, scaler.transform(row)) / width for row, lack in zip(rows, lacks, strict=True)]


def _numbers(column: Column) -> np.ndarray:
    """Pictures of 16 x 16 pixels, or the mean of features over their steps."""
    if isinstance(column, Images):
        small = [F.adaptive_avg_pool2d(part.float(), PIXELS) for part in column.images.split(1000)]
        return torch.cat(small).flatten(1).numpy()
    assert not isinstance(column, Texts)
    width = next(value.shape[1] for value in column.values if len(value))
    return np.stack([value.mean(0) if len(value) else np.zeros(width) for value in column.values])


def _join(tables: Sequence[Any]) -> Any:
    if any(scipy.sparse.issparse(table) for table in tables):
        return scipy.sparse.hstack([scipy.sparse.csr_matrix(table) for table in tables]).tocsr()
    return np.concatenate(tables, 1)
