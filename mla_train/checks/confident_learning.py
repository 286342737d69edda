"""Labels that are probably wrong, by confident learning (Northcutt et al. 2021, arXiv 1911.00068).

An example counts as an error where models that were not trained on it predict another class with more confidence than that
class has on average; as many examples of each class are suspected, those with the least probable label. The probabilities come from fast linear models and neighbours, joined by a model that is
trained out of fold, too: it learns which classes are confused anyway.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from mla_train.config import TokenizerKind
from mla_train.data.choose_tokens import choose_tokens

FOLDS = 5
MOST_SUSPECTED = 0.25  # share of examples; beyond it the models do not know the classes
CHARACTERS = 30_000  # features of four characters
COMPONENTS = 32


@dataclass
class LabelErrors:
    """Suspected examples, the most suspicious first.

    Attributes:
        places: Places of the examples, `(suspected,)`.
        labels: Class number that each probably has, `(suspected,)`.
        scores: One minus the probability of the given label, `(suspected,)`.
    """

    places: np.ndarray
    labels: np.ndarray
    scores: np.ndarray


def find_label_errors(texts: Sequence[list[str]], tables: Sequence[np.ndarray], labels: np.ndarray) -> LabelErrors:
    """Suspected labels.

    Args:
        texts: Texts of each input that has texts; an empty one is missing.
        tables: Numbers of each other input, `(examples, columns)`.
        labels: Given class numbers, `(examples,)`.
    """
    models = [model for some in texts for model in _text_models(some)]
    models += [model for table in tables for model in _number_models(table)]
    return confident_errors(out_of_fold(models, labels), labels)


def confident_errors(probabilities: np.ndarray, labels: np.ndarray) -> LabelErrors:
    """As many examples of each class as the confident joint counts errors in it, the least probable labels first.

    Args:
        probabilities: Out-of-fold probabilities, `(examples, classes)`.
        labels: Given class numbers, `(examples,)`.
    """
    own = probabilities[np.arange(len(labels)), labels]
    classes = range(probabilities.shape[1])
    threshold = np.array([own[labels == each].mean() if (labels == each).any() else np.inf for each in classes])
    confident = np.where(probabilities >= threshold, probabilities, -1)
    counted, likeliest = confident.max(1) >= 0, confident.argmax(1)
    suspected = []
    for each in classes:
        places = np.flatnonzero(labels == each)
        confident_labels = likeliest[places][counted[places]]
        share = (confident_labels != each).mean() if len(confident_labels) else 0.0
        suspected.append(places[np.argsort(own[places], kind="stable")][: round(share * len(places))])
    places = np.concatenate(suspected)
    others = probabilities[places].copy()
    others[np.arange(len(places)), labels[places]] = -1
    wrong = others.max(1) > own[places]
    places, others = places[wrong], others[wrong].argmax(1)
    order = np.argsort(own[places], kind="stable")
    return LabelErrors(places[order], others[order], 1 - own[places[order]])


def out_of_fold(models: Sequence[tuple[Any, Callable[[], Any]]], labels: np.ndarray) -> np.ndarray:
    """Probabilities of classes `(examples, classes)` by models that were not trained on the example.

    Args:
        models: Features `(examples, features)` and a function that makes a classifier for them.
        labels: Class numbers, `(examples,)`.
    """
    from sklearn.linear_model import LogisticRegression

    steps = FOLDS * (len(models) + (len(models) > 1))
    with tqdm(total=steps, desc="looking for label errors", unit="model", leave=False, disable=None) as bar:
        columns = [_cross_predict(features, make, labels, bar) for features, make in models]
        if len(columns) == 1:
            return columns[0]
        logs = np.log(np.concatenate(columns, axis=1) + 1e-3)
        return _cross_predict(logs, lambda: LogisticRegression(max_iter=300), labels, bar)


def _cross_predict(features: Any, make: Callable[[], Any], labels: np.ndarray, bar: Any) -> np.ndarray:
    from sklearn.model_selection import StratifiedKFold

    probabilities = np.zeros((len(labels), labels.max() + 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes with fewer examples than folds, of an optimizer that is stopped
        for train, rest in StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(features, labels):
            model = make().fit(features[train], labels[train])
            probabilities[rest[:, None], model.classes_] = model.predict_proba(features[rest])
            bar.update()
    return probabilities


def _text_models(texts: list[str]) -> list[tuple[Any, Callable[[], Any]]]:
    """Linear models of words and of four characters, and naive Bayes of words and pairs of them."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB

    units: dict[str, Any] = {"token_pattern": r"(?u)\w+|[^\w\s]"}
    if choose_tokens(texts, min_frequency=2, lowercase=True)[0] is TokenizerKind.char:
        units = {"analyzer": "char"}
    words = TfidfVectorizer(**units, sublinear_tf=True)
    pairs = TfidfVectorizer(**units, sublinear_tf=True, ngram_range=(1, 2))
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(4, 4), sublinear_tf=True, max_features=CHARACTERS)
    kinds: list[tuple[Any, Callable[[], Any]]] = [
        (words, lambda: LogisticRegression(C=3, max_iter=100, tol=1e-3)),
        (pairs, lambda: MultinomialNB(alpha=0.2)),
        (characters, lambda: LogisticRegression(C=5, max_iter=100, tol=1e-3)),
    ]
    models = []
    for vectorizer, make in kinds:
        for fewest in (2, 1):
            try:
                models.append((vectorizer.set_params(min_df=fewest).fit_transform(texts), make))
                break
            except ValueError:  # nothing occurs so often
                continue
    return models


def _number_models(table: np.ndarray) -> list[tuple[Any, Callable[[], Any]]]:
    """A linear model of all columns, and neighbours by their principal components."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    centred = table - table.mean(0)
    components = min(COMPONENTS, *table.shape)
    neighbours = min(10, len(table) // FOLDS)
    return [
        (centred / (centred.std(0) + 1e-6), lambda: LogisticRegression(C=0.1, max_iter=200, tol=1e-3)),
        (
            PCA(components, random_state=0).fit_transform(centred),
            lambda: KNeighborsClassifier(neighbours, weights="distance"),
        ),
    ]
