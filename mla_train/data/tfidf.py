"""Texts as sparse vectors of TF-IDF features: words, pairs of words and pieces of words, by scikit-learn."""

import json
from collections.abc import Sequence

import numpy as np
import scipy.sparse
from sklearn.feature_extraction.text import TfidfVectorizer

# Pieces of words of more text than this would take minutes and gigabytes.
MAX_CHARACTERS = 10_000_000

COMMON = dict(sublinear_tf=True, dtype=np.float32)
KINDS = {
    # Punctuation marks count as words: a question mark is a strong feature.
    "words": dict(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]"),
    "pieces": dict(ngram_range=(1, 5), analyzer="char_wb"),
}


class TfidfFeatures:
    """Vocabularies of n-grams with their inverse document frequencies, one of each kind of n-gram."""

    def __init__(self, vectorizers: dict[str, TfidfVectorizer]) -> None:
        self.vectorizers = vectorizers

    @classmethod
    def learn(cls, texts: Sequence[str], max_features: int) -> "TfidfFeatures":
        """Takes the most frequent n-grams that occur in at least two texts, at most `max_features` of each kind."""
        kinds = KINDS if sum(map(len, texts)) <= MAX_CHARACTERS else {"words": KINDS["words"]}
        vectorizers = {}
        for kind, options in kinds.items():
            vectorizer = TfidfVectorizer(min_df=2, max_features=max_features, **COMMON, **options)
            try:
                vectorizer.fit(texts)
            except ValueError:  # nothing occurs twice
                vectorizer.set_params(min_df=1).fit(texts)
            vectorizers[kind] = vectorizer
        return cls(vectorizers)

    def matrix(self, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
        """TF-IDF weights of each text, `(texts, features)`; each kind of n-gram has length one."""
        return scipy.sparse.hstack([v.transform(texts) for v in self.vectorizers.values()]).tocsr()

    def to_json(self) -> str:
        """All that `from_json` needs; weights are written as the shortest decimals that give the same float32."""
        stored = {}
        for kind, vectorizer in self.vectorizers.items():
            idf = [float(str(weight)) for weight in vectorizer.idf_.astype(np.float32)]
            stored[kind] = {"terms": vectorizer.get_feature_names_out().tolist(), "idf": idf}
        return json.dumps(stored, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TfidfFeatures":
        """The features of a trained model."""
        vectorizers = {}
        for kind, stored in json.loads(text).items():
            vectorizer = TfidfVectorizer(vocabulary=stored["terms"], **COMMON, **KINDS[kind])
            vectorizer.idf_ = np.array(stored["idf"], dtype=np.float32)
            vectorizers[kind] = vectorizer
        return cls(vectorizers)
