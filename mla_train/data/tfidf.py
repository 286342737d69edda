"""Texts as sparse vectors of TF-IDF features: words, pairs of words and pieces of words.

scikit-learn learns the vocabulary. A text is weighted here, with the same numbers: importing scikit-learn would take half of
the time that a first prediction takes.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, pairwise

import numpy as np
import scipy.sparse

from mla_train.data.texts import in_pieces
from mla_train.errors import UserError

# Pieces of words of more text than this would take minutes and gigabytes.
MAX_CHARACTERS = 10_000_000
LONGEST_PIECE = 5
MOST_WORDS, LONGEST_WORD = 100_000, 50  # whose pieces are kept


def words(text: str) -> Iterator[str]:
    """Words and pairs of them. Punctuation marks count as words: a question mark is a strong feature."""
    last: list[str] = []
    for piece in in_pieces(text.lower()):
        tokens = [*last, *re.findall(r"\w+|[^\w\s]", piece)]
        yield from tokens[len(last) :]
        yield from map(" ".join, pairwise(tokens))
        last = tokens[-1:]


def pieces(text: str) -> Iterator[str]:
    """Up to five consecutive characters of a word with a space on both sides; a shorter word is one piece."""
    for word in chain.from_iterable(map(str.split, in_pieces(text.lower()))):
        word = f" {word} "
        for size in range(1, min(LONGEST_PIECE, len(word)) + 1):
            for start in range(len(word) - size + 1):
                yield word[start : start + size]


KINDS: dict[str, Callable[[str], Iterator[str]]] = {"words": words, "pieces": pieces}


class TfidfFeatures:
    """Vocabularies of n-grams with their inverse document frequencies, one of each of some `KINDS`.

    Args:
        terms: Terms of each kind, in the order of their numbers.
        idf: Inverse document frequency of each term, `(terms,)`, for each kind.
    """

    def __init__(self, terms: dict[str, list[str]], idf: dict[str, np.ndarray]) -> None:
        self.terms, self.idf = terms, idf
        self.numbers = {kind: {term: number for number, term in enumerate(each)} for kind, each in terms.items()}
        self._pieces: dict[str, list[int]] = {}

    def __len__(self) -> int:
        return sum(map(len, self.terms.values()))

    @classmethod
    def learn(cls, texts: Sequence[str], max_features: int) -> "TfidfFeatures":
        """Takes the most frequent n-grams that occur in at least two texts, at most `max_features` of each kind."""
        from sklearn.feature_extraction.text import TfidfVectorizer

        terms, idf = {}, {}
        for kind in KINDS if sum(map(len, texts)) <= MAX_CHARACTERS else ["words"]:
            vectorizer = TfidfVectorizer(analyzer=KINDS[kind], min_df=2, max_features=max_features, dtype=np.float32)
            try:
                vectorizer.fit(texts)
            except ValueError:  # nothing occurs twice
                vectorizer.set_params(min_df=1).fit(texts)
            terms[kind] = vectorizer.get_feature_names_out().tolist()
            idf[kind] = vectorizer.idf_.astype(np.float32)
        return cls(terms, idf)

    def matrix(self, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
        """TF-IDF weights of each text, `(texts, features)`; each kind of n-gram has length one."""
        return scipy.sparse.hstack([self._matrix(kind, texts) for kind in self.terms]).tocsr()

    def _count(self, kind: str, text: str) -> Counter[int]:
        """How often each term occurs in a text, by its number; the pieces of a word are looked up once."""
        numbers, counted = self.numbers[kind], Counter[int]()
        if kind != "pieces":
            return Counter(numbers[term] for term in KINDS[kind](text) if term in numbers)
        for part in in_pieces(text.lower()):
            term_numbers = list[int]()
            for word in part.split():
                own = self._pieces.get(word)
                if own is None:
                    own = [numbers[piece] for piece in pieces(word) if piece in numbers]
                    if len(self._pieces) < MOST_WORDS and len(word) <= LONGEST_WORD:
                        self._pieces[word] = own
                term_numbers += own
            counted.update(term_numbers)
        return counted

    def _matrix(self, kind: str, texts: Sequence[str]) -> scipy.sparse.csr_matrix:
        numbers, columns, counts, ends = self.numbers[kind], [], [], [0]
        for text in texts:
            counted = self._count(kind, text)
            row = sorted(counted)
            columns += row
            counts += [counted[column] for column in row]
            ends.append(len(columns))
        weights = (np.log(np.array(counts, np.float32)) + 1) * self.idf[kind][np.array(columns, np.int64)]
        squares = np.concatenate([[0.0], np.cumsum((weights * weights).astype(np.float64))])
        lengths = np.sqrt(np.diff(squares[ends]))
        weights = (weights / np.repeat(lengths, np.diff(ends))).astype(np.float32)
        return scipy.sparse.csr_matrix((weights, columns, ends), (len(texts), len(numbers)))

    def to_json(self) -> str:
        """All that `from_json` needs; weights are written as the shortest decimals that give the same float32."""
        stored = {
            kind: {"terms": terms, "idf": [float(str(weight)) for weight in self.idf[kind]]}
            for kind, terms in self.terms.items()
        }
        return json.dumps(stored, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str, size: int | None = None) -> "TfidfFeatures":
        """The features of a trained model.

        Args:
            text: JSON from `to_json`, which may come from a stranger.
            size: Number of features that there must be; None takes any.

        Raises:
            UserError: It is something else, or holds another number of features.
        """
        try:
            stored = json.loads(text)
            features = cls(
                {kind: [str(term) for term in each["terms"]] for kind, each in stored.items()},
                {kind: np.array(each["idf"], dtype=np.float32) for kind, each in stored.items()},
            )
            fits = all(features.idf[kind].shape == (len(features.terms[kind]),) for kind in features.idf)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise UserError(f"the TF-IDF features of the model cannot be read: {error!r}") from error
        if not fits or size not in (None, len(features)) or not features.terms.keys() <= KINDS.keys():
            raise UserError(f"the TF-IDF features of the model are {len(features):,}, and not those of its spec")
        return features
