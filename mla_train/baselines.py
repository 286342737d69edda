"""Simple models that a network has to beat, by scikit-learn, on the same splits.

scikit-learn is imported where a baseline is computed: loading a task to predict must not take its second.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.cache import cached
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.heads import Predictions

IMAGE_SIDE = 32  # pixels a side that a linear model of images reads, at most
IMAGE_SIDE_BESIDE_OTHERS = 16
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)

Table = Any
"""Features of a split as numpy array or sparse matrix, `(examples, features)`."""


def majority_or_mean(data: Dataset) -> dict[str, Predictions]:
    """The most frequent class, the labels that most examples have, or the mean number."""
    train, test = data.train.targets, data.test.targets
    kind = data.spec.head.kind
    if kind == "regression":
        return {"mean": {"label": test, "predicted": np.full(len(test), train.mean())}}
    if kind == "multilabel":
        usual = (train.mean(0) > 0.5).astype(np.float32)
        if not usual.any():
            usual[train.mean(0).argmax()] = 1
        return {"most_frequent": {"label": test, "predicted": np.tile(usual, (len(test), 1))}}
    return {"majority": {"label": test, "predicted": np.full(len(test), np.bincount(train).argmax())}}


def text_linear(data: Dataset) -> dict[str, Predictions]:
    """A linear model of TF-IDF of words, of characters or of both; val chooses among them and the penalty."""
    (name,) = data.spec.inputs
    texts = [getattr(data, split).columns[name].texts for split in SPLITS]
    return _linear("linear", text_tables(texts), data, (1.0, 10.0))


def image_linear(data: Dataset) -> dict[str, Predictions]:
    """A linear model of standardized pixels."""
    (name,) = data.spec.inputs
    pixels = [_pixels(getattr(data, split).columns[name].images, IMAGE_SIDE) for split in SPLITS]
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(pixels[0].astype(np.float32))
    tables = [scaler.transform(part.astype(np.float32)) for part in pixels]
    return _linear("linear", [tables], data, (1.0,))


def series_linear(data: Dataset) -> dict[str, Predictions]:
    """A linear model of simple statistics of each channel; val chooses the penalty."""
    from sklearn.preprocessing import StandardScaler

    from mla_train.modalities.series.statistics import summarize

    ((name, modality),) = data.spec.inputs.items()
    tables = []
    for split in SPLITS:
        column = getattr(data, split).columns[name]
        tensors = modality.collate([column[place] for place in range(len(column))])
        tables.append(summarize(tensors.past, tensors.real).numpy())
    scaler = StandardScaler().fit(tables[0])
    return _linear("linear", [[scaler.transform(table) for table in tables]], data, STRENGTHS)


def multimodal_linear(data: Dataset) -> dict[str, Predictions]:
    """Linear models of the texts, the images, the features, and of all of them.

    What is missing counts as an empty text, and as the mean of images and features.
    """
    by_kind: dict[str, list[list[Table]]] = {}
    for name, modality in data.spec.inputs.items():
        columns = [getattr(data, split).columns[name] for split in SPLITS]
        tables = text_tables([c.texts for c in columns])[-1] if modality.kind == "text" else _number_tables(columns)
        by_kind.setdefault(modality.kind, []).append(tables)
    joined = {kind: [_join(parts) for parts in zip(*several, strict=True)] for kind, several in by_kind.items()}
    models: dict[str, Predictions] = {}
    for kind, tables in joined.items():
        models |= _linear(f"linear_{kind}", [tables], data, STRENGTHS)
    if len(joined) > 1:
        every = [_join(parts) for parts in zip(*joined.values(), strict=True)]
        models |= _linear("linear_all", [every], data, STRENGTHS)
    return models


def _linear(
    name: str, candidates: Sequence[Sequence[Table]], data: Dataset, strengths: Sequence[float]
) -> dict[str, Predictions]:
    labels = [getattr(data, split).targets for split in SPLITS]
    predicted = cached(best_linear)(candidates, labels[0], labels[1], data.spec.head.kind, strengths)
    return {name: {"label": labels[2], "predicted": np.asarray(predicted)}}


def best_linear(
    candidates: Sequence[Sequence[Table]],
    train_labels: np.ndarray,
    val_labels: np.ndarray,
    kind: str,
    strengths: Sequence[float],
) -> np.ndarray:
    """Predictions for test of the linear model that is best on val.

    Args:
        candidates: Features to choose from, each of train, val and test.
        train_labels: Class numbers, numbers, or `(examples, labels)`.
        val_labels: The same of the validation split.
        kind: classification, regression or multilabel.
        strengths: Inverse strengths of the L2 penalty to choose from.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    best, best_score = np.empty(0), -np.inf
    for train, val, test in candidates:
        for strength in strengths:
            model: Any = LogisticRegression(C=strength, max_iter=300, tol=1e-3)
            if kind == "regression":
                model = Ridge(1 / strength)
            elif kind == "multilabel":
                model = OneVsRestClassifier(model)
            model.fit(train, train_labels)
            if len(strengths) * len(candidates) == 1:
                return model.predict(test)
            score = _score(kind, val_labels, model.predict(val))
            if score > best_score:
                best, best_score = model.predict(test), score
    return best


def _score(kind: str, labels: np.ndarray, predicted: np.ndarray) -> float:
    from sklearn.metrics import accuracy_score, f1_score

    if kind == "regression":
        return -float(np.abs(predicted - labels).mean())
    if kind == "multilabel":
        return float(f1_score(labels, predicted, average="micro", zero_division=0))
    return float(accuracy_score(labels, predicted))


def text_tables(texts: Sequence[list[str]]) -> list[list[Table]]:
    """TF-IDF of words, of pieces of words, and of both, for train, val and test; signs count as words.

    Args:
        texts: Texts of train, val and test.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    from mla_train.data.tfidf import MAX_CHARACTERS

    vectorizers = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")]
    if sum(map(len, texts[0])) <= MAX_CHARACTERS:
        vectorizers.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2))
    tables: list[list[Table]] = []
    for vectorizer in vectorizers:
        vectorizer.fit(texts[0])
        tables.append([vectorizer.transform(part) for part in texts])
    if len(tables) > 1:
        tables.append([_join(parts) for parts in zip(*tables, strict=True)])
    return tables


def _number_tables(columns: Sequence[Any]) -> list[Table]:
    """Images or features as rows of numbers, of about the length of a text's vector so that one penalty suits all."""
    from sklearn.preprocessing import StandardScaler

    missing = [column.is_missing() for column in columns]
    rows = [_numbers(column) for column in columns]
    scaler = StandardScaler().fit(rows[0][~missing[0]])
    width = np.sqrt(rows[0].shape[1])
    return [np.where(lack[:, None], 0, scaler.transform(row)) / width for row, lack in zip(rows, missing, strict=True)]


def _numbers(column: Any) -> np.ndarray:
    """Small images, or the mean of features over their steps."""
    if hasattr(column, "images"):
        small = [F.adaptive_avg_pool2d(part.float(), IMAGE_SIDE_BESIDE_OTHERS) for part in column.images.split(1000)]
        return torch.cat(small).flatten(1).numpy()
    width = next(value.shape[1] for value in column.values if len(value))
    return np.stack([value.mean(0) if len(value) else np.zeros(width) for value in column.values])


def _pixels(images: Tensor, side: int) -> np.ndarray:
    """Images as rows of numbers, made smaller where they are large."""
    if max(images.shape[-2:]) > side:
        images = torch.cat([F.adaptive_avg_pool2d(part.float(), side).to(torch.uint8) for part in images.split(1000)])
    return images.flatten(1).numpy()


def _join(tables: Sequence[Table]) -> Table:
    if any(scipy.sparse.issparse(table) for table in tables):
        return scipy.sparse.hstack([scipy.sparse.csr_matrix(table) for table in tables]).tocsr()
    return np.concatenate(tables, 1)
