"""Data sets of texts: the bundled languages, own files, public sets."""

import numpy as np
import pytest

from mla_train.errors import UserError
from mla_train.modalities.text import preprocess
from tasks.text_classification.language_id import LANGUAGES
from tests.helpers import load, write_jsonl

WORDS = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "sad"]}


def rows(count, start=0):
    return [
        {"text": f"{WORDS[label][i % 3]} film number {i}", "label": label}
        for i in range(start, start + count)
        for label in WORDS
    ]


def files(*words):
    return load("task=text_classification", "data=text_files", *words)


def test_own_files_end_to_end(tmp_path):
    """Cleaned, without repeats, cut and said so, in the order of the file."""
    content = [*rows(50), {"text": "  \t ", "label": "good"}, *rows(2), rows(1)[0] | {"label": "bad"}]
    data = files(f"data.train={write_jsonl(tmp_path / 'mine.jsonl', content)}")
    assert [note.split(":")[0] for note in data.notes] == [
        "left out 1 examples of train without text",
        "1 examples of train occur with more than one label; all are kept",
        "left out 4 repeated examples of train",
        "no test split is given",
        "no val split is given",
    ]
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 101
    assert data.spec.target.classes == ["bad", "good"]
    assert data.train.names[0].startswith(f"{tmp_path / 'mine.jsonl'} line ")


def test_long_texts_are_cut_and_counted(tmp_path):
    content = [*rows(30), {"text": "long " * 20_000, "label": "good"}]
    file = write_jsonl(tmp_path / "a.jsonl", content)
    data = files(f"data.train={file}", "data.max_length=50", "regularization=none")
    assert any("cut 1 texts off at 50 tokens" in note for note in data.notes)
    assert max(data.lengths(split).max() for split in ("train", "val", "test")) == 50


def test_texts_are_tokenized_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    file = write_jsonl(tmp_path / "a.jsonl", rows(30))
    first = files(f"data.train={file}")
    monkeypatch.setattr(preprocess, "learn_tokenizer", None)
    again = files(f"data.train={file}")
    assert again.spec.to_dict() == first.spec.to_dict()
    assert (again.train.columns["text"].tfidf != first.train.columns["text"].tfidf).nnz == 0
    write_jsonl(file, rows(31))
    with pytest.raises(TypeError):
        files(f"data.train={file}")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (rows(20), [{"text": "so so film", "label": "mixed"}], "test has label mixed, which train lacks"),
        ([row for row in rows(20) if row["label"] == "good"], None, r"single class \(good\)"),
        ([*rows(20), {"text": "no label"}], None, "1 rows without label"),
        (rows(20), [{"text": " ", "label": "good"}], "test split has no example with text"),
    ],
)
def test_bad_rows_are_explained(train, test, message, tmp_path):
    words = [f"data.train={write_jsonl(tmp_path / 'a.jsonl', train)}"]
    if test:
        val = write_jsonl(tmp_path / "c.jsonl", rows(3))
        words += [f"data.test={write_jsonl(tmp_path / 'b.jsonl', test)}", f"data.val={val}"]
    with pytest.raises(UserError, match=message):
        files(*words)


def test_languages_are_split_by_message():
    pytest.importorskip("django")
    data = load("task=text_classification")
    assert data.spec.target.classes == sorted(LANGUAGES)
    parts = [data.train, data.val, data.test]
    assert np.bincount(data.train.targets).min() > 80
    assert len(data.train) / sum(map(len, parts)) == pytest.approx(0.7, abs=0.03)
    # The English originals are the messages' identities: none is in two splits.
    english = sorted(LANGUAGES).index("en")
    texts = [{t for t, y in zip(p.columns["text"].texts, p.targets, strict=True) if y == english} for p in parts]
    assert len(set.union(*texts)) == sum(map(len, texts)) > 100
    assert all(len(text) >= 24 for text in data.test.columns["text"].texts)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "folder", "sizes", "classes"),
    [
        ("sst2", "sst2", (6920, 872, 1821), ["negative", "positive"]),
        ("trec", "trec6", (4907, 545, 500), [str(i) for i in range(6)]),
        ("ag_news", "agnews_10k", (9001, 1000, 7600), ["world", "sports", "business", "science"]),
    ],
)
def test_public_sets_from_a_folder(name, folder, sizes, classes, shared_data):
    data = load("task=text_classification", f"data={name}", f"data.root={shared_data / 'text' / folder}")
    for part, size in zip((data.train, data.val, data.test), sizes, strict=True):
        assert size * 0.97 <= len(part) <= size
    assert len(data.test) == sizes[2]
    assert data.spec.target.classes == classes


@pytest.mark.parametrize(
    ("words", "classes", "size", "note"),
    [
        (
            [],
            ["bad", "good", "odd", "rare"],
            63,
            "1 classes have too few examples to be in test, at most 1: odd (data.rare=other or drop",
        ),
        (["data.rare=other", "data.min_class_size=3"], ["bad", "good", "other"], 63, "became class other: odd, rare"),
        (
            ["data.rare=drop", "data.min_class_size=3"],
            ["bad", "good"],
            60,
            "3 training examples of 2 classes were left out",
        ),
    ],
)
def test_rare_classes_are_no_dead_end(tmp_path, words, classes, size, note):
    odd = [{"text": f"a {i} of its kind", "label": label} for i, label in enumerate(["odd", "rare", "rare"])]
    data = files(f"data.train={write_jsonl(tmp_path / 'a.jsonl', [*rows(30), *odd])}", *words)
    assert data.spec.target.classes == classes
    assert sum(map(data.count, ("train", "val", "test"))) == size  # none is lost
    assert note in " ".join(data.notes)
    if not words:
        places = np.flatnonzero(np.isin(data.train.targets, [2, 3]))
        assert len(places) >= 2


def test_label_words_for_nothing_are_missing_and_blanks_do_not_count(tmp_path):
    good = [{"text": f"film {i}", "label": " good " if i % 2 else "bad"} for i in range(40)]
    data = files(f"data.train={write_jsonl(tmp_path / 'a.jsonl', good)}")
    assert data.spec.target.classes == ["bad", "good"]
    file = write_jsonl(tmp_path / "b.jsonl", [*good, {"text": "x", "label": "NaN"}])
    with pytest.raises(UserError, match="1 rows without label, the first is line 41"):
        files(f"data.train={file}")
