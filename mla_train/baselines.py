"""Simple models that a network has to beat, by scikit-learn, on the same splits.

scikit-learn and SciPy are imported where a baseline is computed: loading a task to predict must not take their second.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mla_train.data.cache import cached
from mla_train.data.splits import SPLITS
from mla_train.dataset import Dataset
from mla_train.heads import Predictions
from mla_train.heads.class_metrics import above_threshold, best_threshold

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
    return _linear("linear", text_tables([column.texts for column in _columns(data, name)]), data, (1.0, 10.0))


def image_linear(data: Dataset) -> dict[str, Predictions]:
    """A linear model of standardized pixels."""
    (name,) = data.spec.inputs
    images = [column.images for column in _columns(data, name)]
    if max(images[0].shape[-2:]) > IMAGE_SIDE:
        images = [_shrink(split, IMAGE_SIDE).to(torch.uint8) for split in images]
    pixels = [split.flatten(1).numpy().astype(np.float32) for split in images]
    return _linear("linear", [_standardize(pixels, pixels[0])], data, (1.0,))


def series_linear(data: Dataset) -> dict[str, Predictions]:
    """A linear model of simple statistics of each channel; val chooses the penalty."""
    from mla_train.modalities.series.statistics import summarize

    ((name, modality),) = data.spec.inputs.items()
    batches = [modality.collate([column[i] for i in range(len(column))]) for column in _columns(data, name)]
    tables = [summarize(tensors.past, tensors.real).numpy() for tensors in batches]
    return _linear("linear", [_standardize(tables, tables[0])], data, STRENGTHS)


def multimodal_linear(data: Dataset) -> dict[str, Predictions]:
    """Linear models of the texts, the images, the features, and of all of them.

    What is missing counts as an empty text, and as the mean of images and features.
    """
    by_kind: dict[str, list[list[Table]]] = {}
    for name, modality in data.spec.inputs.items():
        columns = _columns(data, name)
        tables = text_tables([c.texts for c in columns])[-1] if modality.kind == "text" else _number_tables(columns)
        by_kind.setdefault(modality.kind, []).append(tables)
    joined = {f"linear_{kind}": _join(several) for kind, several in by_kind.items()}
    if len(joined) > 1:
        joined["linear_all"] = _join(joined.values())
    models: dict[str, Predictions] = {}
    for name, tables in joined.items():
        models |= _linear(name, [tables], data, STRENGTHS)
    return models


def _columns(data: Dataset, name: str) -> list[Any]:
    """An input of train, val and test."""
    return [getattr(data, split).columns[name] for split in SPLITS]


def _linear(
    name: str, candidates: Sequence[Sequence[Table]], data: Dataset, strengths: Sequence[float]
) -> dict[str, Predictions]:
    train, val, test = (getattr(data, split).targets for split in SPLITS)
    kind, spec = data.spec.head.kind, data.spec.target
    positive = spec.positive if kind == "classification" and len(spec.classes) == 2 and spec.is_imbalanced else None
    return {name: {"label": test} | cached(best_linear)(candidates, train, val, kind, strengths, positive)}


def best_linear(
    candidates: Sequence[Sequence[Table]],
    train_labels: np.ndarray,
    val_labels: np.ndarray,
    kind: str,
    strengths: Sequence[float],
    positive: int | None = None,
) -> Predictions:
    """Predictions for test of the linear model that is best on val, with the probabilities of classes.

    Args:
        candidates: Features to choose from, each of train, val and test.
        train_labels: Class numbers, numbers, or `(examples, labels)`.
        val_labels: The same of the validation split.
        kind: Kind of answer: classification, regression or multilabel.
        strengths: Inverse strengths of the L2 penalty to choose from.
        positive: The rare one of two classes, whose F1 on val then chooses model and threshold; None chooses by accuracy.
    """
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.multiclass import OneVsRestClassifier

    best: Predictions = {}
    best_score = -np.inf
    for train, val, test in candidates:
        for strength in strengths:
            # The gradients of a rare class are small from the first step on.
            tolerance = 1e-3 if positive is None else 1e-6
            model: Any = LogisticRegression(C=strength, max_iter=300, tol=tolerance)
            if kind == "regression":
                model = Ridge(1 / strength)
            elif kind == "multilabel":
                model = OneVsRestClassifier(model)
            model.fit(train, train_labels)
            if len(strengths) * len(candidates) == 1 and positive is None:
                return _answers(model, test, kind)
            on_val, threshold = _answers(model, val, kind), None
            if positive is not None:
                threshold = best_threshold(on_val["probability"][:, positive], val_labels == positive)
                on_val = _answers(model, val, kind, positive, threshold)
            score = _score(kind, val_labels, on_val["predicted"], positive)
            if score > best_score:
                best, best_score = _answers(model, test, kind, positive, threshold), score
    return best


def _answers(
    model: Any, table: Table, kind: str, positive: int | None = None, threshold: float | None = None
) -> Predictions:
    """Predictions of a linear model; those of two classes by a threshold if one is given."""
    if kind != "classification":
        return {"predicted": model.predict(table)}
    probability = model.predict_proba(table)
    if positive is None or threshold is None:
        return {"predicted": model.predict(table), "probability": probability}
    return {"predicted": above_threshold(probability, positive, threshold), "probability": probability}


def _score(kind: str, labels: np.ndarray, predicted: np.ndarray, positive: int | None) -> float:
    from sklearn.metrics import f1_score

    if positive is not None:
        return float(f1_score(labels == positive, predicted == positive, zero_division=0))
    if kind == "regression":
        return -float(np.abs(predicted - labels).mean())
    if kind == "multilabel":
        return float(f1_score(labels, predicted, average="micro", zero_division=0))
    return float((labels == predicted).mean())


def text_tables(texts: Sequence[list[str]]) -> list[list[Table]]:
    """TF-IDF of words, of pieces of words, and of both, for the texts of train, val and test; signs count as words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from mla_train.data.tfidf import MAX_CHARACTERS

    vectorizers = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|[^\w\s]")]
    if sum(map(len, texts[0])) <= MAX_CHARACTERS:
        vectorizers.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2))
    tables: list[list[Table]] = []
    for vectorizer in vectorizers:
        vectorizer.fit(texts[0])
        tables.append([vectorizer.transform(split) for split in texts])
    return [*tables, _join(tables)] if len(tables) > 1 else tables


def _number_tables(columns: Sequence[Any]) -> list[Table]:
    """Images or features as rows of numbers, of about the length of a text's vector so that one penalty suits all."""
    missing = [column.is_missing() for column in columns]
    rows = [_numbers(column) for column in columns]
    tables = _standardize(rows, rows[0][~missing[0]])
    width = np.sqrt(rows[0].shape[1])
    return [np.where(lack[:, None], 0, table) / width for table, lack in zip(tables, missing, strict=True)]


def _numbers(column: Any) -> np.ndarray:
    """Small images, or the mean of features over their steps."""
    if hasattr(column, "images"):
        return _shrink(column.images, IMAGE_SIDE_BESIDE_OTHERS).flatten(1).numpy()
    width = next(value.shape[1] for value in column.values if len(value))
    return np.stack([value.mean(0) if len(value) else np.zeros(width) for value in column.values])


def _shrink(images: Tensor, side: int) -> Tensor:
    return torch.cat([F.adaptive_avg_pool2d(some.float(), side) for some in images.split(1000)])


def _standardize(tables: Sequence[np.ndarray], train: np.ndarray) -> list[np.ndarray]:
    """Tables with the mean 0 and the standard deviation 1 of some training rows."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train)
    return [scaler.transform(table) for table in tables]


def _join(tables: Iterable[Sequence[Table]]) -> list[Table]:
    """Several tables of train, val and test side by side."""
    from scipy.sparse import hstack, issparse

    splits = list(zip(*tables, strict=True))
    is_sparse = any(issparse(table) for table in splits[0])
    return [hstack(split, format="csr") if is_sparse else np.concatenate(split, 1) for split in splits]
