"""Generated texts without a network: those of the most similar training text."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mla_train.data.cache import cached
from mla_train.dataset import Dataset, Split
from mla_train.heads import Predictions

MAX_CELLS = 20_000_000  # similarities that are held at a time


def text_predictions(split: Split, texts: Sequence[str]) -> Predictions:
    """Texts as predictions for a split, beside its references."""
    labels = {
        "label": [target.text for target in split.targets],
        "other_labels": [target.others for target in split.targets],
    }
    return labels | {"predicted": texts}


def nearest_targets(data: Dataset, name: str, unit: str) -> list[list[str]]:
    """For each example of val and of test the target of the most similar training example, by one text input.

    Args:
        data: Data with generated texts as targets.
        name: Name of the input.
        unit: What texts are compared by, see `nearest_texts`.
    """
    known = data.train.columns[name].texts
    places = [cached(nearest_texts)(split.columns[name].texts, known, unit) for split in (data.val, data.test)]
    return [[data.train.targets[place].text for place in each] for each in places]


def nearest_texts(texts: list[str], known: list[str], unit: str) -> np.ndarray:
    """Place of the known text that is most similar to each text, by TF-IDF.

    Args:
        texts: Texts.
        known: Texts to choose from.
        unit: What is counted: "pieces" of words, of two to four characters, or "words" and pairs of them.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer  # a model that writes does not need it

    sizes: dict[str, dict[str, Any]] = {
        "pieces": {"analyzer": "char_wb", "ngram_range": (2, 4)},
        "words": {"ngram_range": (1, 2)},
    }
    vectorizer = TfidfVectorizer(min_df=2, sublinear_tf=True, dtype=np.float32, **sizes[unit])
    try:
        table = vectorizer.fit_transform(known)
    except ValueError:  # nothing occurs twice
        table = vectorizer.set_params(min_df=1).fit_transform(known)
    asked = vectorizer.transform(texts)
    rows = max(1, MAX_CELLS // table.shape[0])
    nearest = [(asked[row : row + rows] @ table.T).toarray().argmax(1) for row in range(0, asked.shape[0], rows)]
    return np.concatenate(nearest)
