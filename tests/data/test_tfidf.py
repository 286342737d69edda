"""TF-IDF terms: what is kept, and that a saved model finds the same ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from mla_train.data import tfidf
from mla_train.data.tfidf import TfidfFeatures

TEXTS = ["What is a cat ?", "what is a dog", "Où est le chat ?", "Wo ist die Katze?", "is it a cat"]


def width(known):
    assert known.matrix(["x"]).shape[1] == len(known)
    return len(known)


def test_words_are_weighted_as_by_scikit_learn():
    known = TfidfFeatures.learn(TEXTS, 1000)
    reference = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]", min_df=2, sublinear_tf=True)
    expected = reference.fit(TEXTS).transform(["is a cat ? ?", "nothing"]).toarray()
    found = known.matrix(["is a cat ? ?", "nothing"]).toarray()
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-5)
    assert "?" in known.terms["words"]
    assert "is a" in known.terms["words"]
    assert " ca" in known.terms["pieces"]


@given(st.lists(st.text("aB ?.é\tß-", max_size=12), min_size=1, max_size=4))
def test_pieces_and_words_are_weighted_as_by_scikit_learn_to_the_bit(texts):
    known = TfidfFeatures.learn(TEXTS, 1000)
    options = {
        "words": dict(ngram_range=(1, 2), token_pattern=r"(?u)\w+|[^\w\s]"),
        "pieces": dict(ngram_range=(1, 5), analyzer="char_wb"),
    }
    blocks = []
    for kind, terms in known.terms.items():
        reference = TfidfVectorizer(vocabulary=terms, sublinear_tf=True, dtype=np.float32, **options[kind])
        reference.idf_ = known.idf[kind]
        blocks.append(reference.transform(texts).toarray())
    np.testing.assert_array_equal(known.matrix(texts).toarray(), np.concatenate(blocks, 1))


def test_a_saved_vocabulary_finds_the_same_terms():
    known = TfidfFeatures.learn(TEXTS, 50)
    again = TfidfFeatures.from_json(known.to_json())
    assert width(again) == width(known) > 50
    np.testing.assert_array_equal(again.matrix(TEXTS).toarray(), known.matrix(TEXTS).toarray())


def test_at_most_so_many_terms_of_each_kind_and_those_that_occur_twice():
    assert width(TfidfFeatures.learn(TEXTS, 3)) == 6
    assert "dog" not in TfidfFeatures.learn(TEXTS, 1000).terms["words"]


def test_texts_without_repetition_still_have_terms():
    assert width(TfidfFeatures.learn(["one", "two"], 10)) > 0


@pytest.mark.parametrize(("limit", "kinds"), [(10, {"words"}), (1000, {"words", "pieces"})])
def test_pieces_are_left_out_of_large_texts(limit, kinds, monkeypatch):
    monkeypatch.setattr(tfidf, "MAX_CHARACTERS", limit)
    assert TfidfFeatures.learn(TEXTS, 10).terms.keys() == kinds
