"""The linear model that a text classifier has to beat."""

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from mla_train.data.terms import MOST_CHARACTERS


def tfidf_logistic_regression(
    train: list[str], train_labels: np.ndarray, val: list[str], val_labels: np.ndarray, test: list[str]
) -> np.ndarray:
    """Logistic regression on TF-IDF of words, of characters or of both, penalised strongly or weakly.

    Args:
        train: Training texts.
        train_labels: Their classes.
        val: Texts that choose the best of the six.
        val_labels: Their classes.
        test: Texts to predict.

    Returns:
        Predicted classes of test, `(examples,)`.
    """
    vectorizers = [TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)]
    if sum(map(len, train)) <= MOST_CHARACTERS:
        vectorizers.append(TfidfVectorizer(analyzer="char_wb", ngram_range=(1, 5), sublinear_tf=True, min_df=2))
    features: list[list[csr_matrix]] = [
        [vectorizer.fit_transform(train), vectorizer.transform(val), vectorizer.transform(test)]
        for vectorizer in vectorizers
    ]
    if len(features) > 1:
        features.append([hstack(parts).tocsr() for parts in zip(*features, strict=True)])
    best, best_score = np.empty(0), -1.0
    for of_train, of_val, of_test in features:
        for strength in (1, 10):
            model = LogisticRegression(C=strength, max_iter=300, tol=1e-3).fit(of_train, train_labels)
            score = model.score(of_val, val_labels)
            if score > best_score:
                best, best_score = model.predict(of_test), score
    return best
