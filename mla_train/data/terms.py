"""Texts as sparse vectors of weighted terms: words, pairs of words and pieces of words (TF-IDF, by scikit-learn)."""

import json
from collections.abc import Sequence

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer

# Pieces of words of more text than this would take minutes and gigabytes.
MOST_CHARACTERS = 10_000_000

KINDS = {
    # Signs count as words: a question mark tells much.
    "words": dict(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]"),
    "pieces": dict(ngram_range=(1, 5), analyzer="char_wb"),
}


class Terms:
    """Which terms count and how much.

    Args:
        vectorizers: One for each kind of term.
    """

    def __init__(self, vectorizers: dict[str, TfidfVectorizer]) -> None:
        self.vectorizers = vectorizers

    @classmethod
    def learn(cls, texts: Sequence[str], most: int) -> "Terms":
        """Takes the most frequent terms that occur in two texts at least.

        Args:
            texts: Of the training split alone.
            most: Terms of each kind.
        """
        kinds = KINDS if sum(map(len, texts)) <= MOST_CHARACTERS else {"words": KINDS["words"]}
        vectorizers = {}
        for kind, options in kinds.items():
            vectorizer = TfidfVectorizer(min_df=2, max_features=most, sublinear_tf=True, dtype=np.float32, **options)
            try:
                vectorizer.fit(texts)
            except ValueError:  # nothing occurs twice
                vectorizer.set_params(min_df=1).fit(texts)
            vectorizers[kind] = vectorizer
        return cls(vectorizers)

    def matrix(self, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
        """Weights of the terms of each text, `(texts, terms)`; each kind has length one."""
        return scipy.sparse.hstack([v.transform(texts) for v in self.vectorizers.values()]).tocsr()

    def to_json(self) -> str:
        """All that `from_json` needs."""
        return json.dumps(
            {
                kind: {"terms": v.get_feature_names_out().tolist(), "idf": [round(float(w), 6) for w in v.idf_]}
                for kind, v in self.vectorizers.items()
            },
            ensure_ascii=False,
        )

    @classmethod
    def from_json(cls, text: str) -> "Terms":
        """The terms of a trained model."""
        vectorizers = {}
        for kind, kept in json.loads(text).items():
            vectorizer = TfidfVectorizer(vocabulary=kept["terms"], sublinear_tf=True, dtype=np.float32, **KINDS[kind])
            vectorizer.idf_ = np.array(kept["idf"])
            vectorizers[kind] = vectorizer
        return cls(vectorizers)
