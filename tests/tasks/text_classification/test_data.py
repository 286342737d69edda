"""Texts: cleaning, parts, labels, tokens, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mla_train.data.texts import hide
from mla_train.training.build import build_data, build_task
from tasks.text_classification.network import Convolutions

from mla_train.errors import UserError
from tests.helpers import SMALL, config

WORDS = {"good": ["fine", "nice", "great"], "bad": ["poor", "awful", "sad"]}


def read(*words):
    data = build_data(config("task=text_classification", *words))
    data.setup()
    return data


def rows(count, start=0):
    return [
        {"text": f"{WORDS[label][i % 3]} film number {i}", "label": label}
        for i in range(start, start + count)
        for label in WORDS
    ]


def write(file, content):
    file.write_text("".join(json.dumps(row) + "\n" for row in content))
    return file


def files(*words):
    return read("data=text_files", *words)


def test_missing_parts_are_cut_stratified_and_said_so(tmp_path):
    data = files(f"data.train={write(tmp_path / 'mine.jsonl', rows(50))}")
    assert [len(part) for part in (data.train, data.val, data.test)] == [72, 8, 20]
    assert data.facts.classes == ["bad", "good"]
    assert np.bincount(data.test.labels).tolist() == [10, 10]
    assert [note.split(":")[0] for note in data.notes] == ["no test part is given", "no val part is given"]
    assert set(data.train.texts).isdisjoint(data.test.texts)


def test_a_folder_of_parts_with_other_columns(tmp_path):
    for part, start in (("train", 0), ("dev", 30), ("test", 40)):
        content = [{"sentence": row["text"], "mood": row["label"] == "good"} for row in rows(10, start)]
        write(tmp_path / f"{part}.jsonl", content)
    data = files(f"data.root={tmp_path}", "data.text_column=sentence", "data.label_column=mood")
    assert [len(part) for part in (data.train, data.val, data.test)] == [20, 20, 20]
    assert data.facts.classes == ["False", "True"]
    with pytest.raises(
        UserError, match=r"no column label; there are sentence, mood. Name the one with data\.label_column="
    ):
        files(f"data.root={tmp_path}")


def test_waste_is_left_out_and_counted(tmp_path):
    content = [*rows(30), {"text": "  \t ", "label": "good"}, {"text": "", "label": "bad"}, *rows(2)]
    write(tmp_path / "train.jsonl", content)
    write(tmp_path / "test.jsonl", rows(5, 28))
    data = files(f"data.root={tmp_path}")
    assert data.notes[:3] == [
        "left out 2 empty texts of train",
        "left out 4 repeated texts of train",
        "4 texts of test are in train too; they stay, so that scores can be compared",
    ]
    assert len(data.test) == 10


def test_texts_under_two_labels_are_counted(tmp_path):
    content = [*rows(30), {"text": rows(1)[0]["text"], "label": "bad"}]
    data = files(f"data.train={write(tmp_path / 'a.jsonl', content)}")
    assert data.notes[0] == "1 texts of train stand there under more than one label; they stay"


def test_no_text_is_in_two_parts_that_are_cut(tmp_path):
    data = files(f"data.train={write(tmp_path / 'a.jsonl', rows(30) * 3)}")
    assert sum(len(part) for part in (data.train, data.val, data.test)) == 60
    assert set(data.train.texts).isdisjoint(data.val.texts + data.test.texts)
    assert set(data.val.texts).isdisjoint(data.test.texts)


def test_texts_of_any_length_are_cut_and_counted(tmp_path):
    content = [*rows(30), {"text": "long " * 20_000, "label": "good"}]
    data = files(f"data.train={write(tmp_path / 'a.jsonl', content)}", "data.max_length=50", "regularization=none")
    assert any("cut 1 texts off at 50 tokens" in note for note in data.notes)
    assert max(data.lengths("train").max(), data.lengths("val").max(), data.lengths("test").max()) == 50


def test_names_of_labels(tmp_path):
    content = [{"text": row["text"], "label": int(row["label"] == "good")} for row in rows(30)]
    file = write(tmp_path / "a.jsonl", content)
    assert files(f"data.train={file}", "data.labels=[no,yes]").facts.classes == ["no", "yes"]
    with pytest.raises(UserError, match=r"data\.labels names 3 classes"):
        files(f"data.train={file}", "data.labels=[a,b,c]")


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (rows(20), [{"text": "so so film", "label": "mixed"}], "test has label mixed, which train lacks"),
        ([row for row in rows(20) if row["label"] == "good"], None, r"single class \(good\)"),
        ([*rows(20), {"text": "no label"}], None, "1 rows without label"),
        (rows(20), [{"text": " ", "label": "good"}], "no text that is not empty"),
        ([*rows(20), {"text": "so so", "label": "mixed"}], None, "class mixed has 1"),
    ],
)
def test_bad_rows_are_explained(train, test, message, tmp_path):
    words = [f"data.train={write(tmp_path / 'a.jsonl', train)}"]
    if test:
        words += [f"data.test={write(tmp_path / 'b.jsonl', test)}", f"data.val={write(tmp_path / 'c.jsonl', rows(3))}"]
    with pytest.raises(UserError, match=message):
        files(*words)


def test_broken_rows_stop_or_are_left_out(tmp_path):
    file = write(tmp_path / "a.jsonl", rows(30))
    file.write_text(file.read_text() + "{broken\n")
    with pytest.raises(UserError, match=r"1 rows cannot be read: .*a\.jsonl line 61.*data\.on_error=skip"):
        files(f"data.train={file}")
    assert any("left out 1 rows" in note for note in files(f"data.train={file}", "data.on_error=skip").notes)


def test_no_file_is_asked_for():
    with pytest.raises(UserError, match=r"data\.root=FOLDER, data\.train=FILE or data\.hub=NAME"):
        files()


def test_batches_are_padded_and_training_tokens_hidden_at_random(tmp_path):
    data = files(f"data.train={write(tmp_path / 'a.jsonl', rows(50))}", "regularization=strong")
    batch = data.collate([data.test[0], data.test[1]], training=False)
    assert batch.key_padding_mask.sum() == 2 * batch.tokens.size(1) - data.lengths("test")[:2].sum()
    torch.manual_seed(0)
    assert any(not torch.equal(data.train[0][1], data.train[0][1]) for _ in range(20))
    assert torch.equal(data.test[0][1], data.test[0][1])


@given(length=st.integers(1, 50), share=st.floats(0, 1))
def test_hidden_tokens_are_removed_or_unknown(length, share):
    tokens = torch.arange(10, 10 + length)
    left = hide(tokens, share)
    known = left[left != 1]
    assert 1 <= len(left) <= length
    assert torch.equal(known, known.sort().values)
    assert set(known.tolist()) <= set(tokens.tolist())


def test_the_share_of_hidden_tokens():
    torch.manual_seed(0)
    left = hide(torch.full((20_000,), 7), 0.4)
    assert len(left) == pytest.approx(16_000, rel=0.02)
    assert (left == 1).sum() == pytest.approx(4_000, rel=0.05)


def test_texts_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))
    file = write(tmp_path / "a.jsonl", rows(30))
    first = files(f"data.train={file}")
    monkeypatch.setattr("mla_train.data.texts.learn_tokenizer", None)
    again = files(f"data.train={file}")
    assert again.facts == first.facts
    assert (again.train.terms != first.train.terms).nnz == 0
    write(file, rows(31))
    with pytest.raises(TypeError):
        files(f"data.train={file}")


def test_without_terms(tmp_path):
    data = files(f"data.train={write(tmp_path / 'a.jsonl', rows(30))}", "data.tfidf_features=0")
    task = build_task(config("task=text_classification", "data=text_files", *SMALL), data.facts)
    assert data.facts.num_terms == 0
    assert task.network.terms is None
    assert task(data.collate([data.test[i] for i in range(3)], training=False)).shape == (3, 2)


def test_convolutions_equal_a_loop_over_places():
    torch.manual_seed(0)
    layer, x = Convolutions(4, [2, 3]), torch.randn(2, 7, 4)
    mask = torch.zeros(2, 7, dtype=torch.bool)
    mask[1, 4:] = True
    _, strongest = layer(x, mask)
    for example, length in ((0, 7), (1, 4)):
        expected = []
        for width, convolution in zip([2, 3], layer.convolutions, strict=True):
            padded = torch.zeros(7 + width - 1, 4)
            padded[(width - 1) // 2 : (width - 1) // 2 + length] = x[example, :length]
            places = [
                torch.einsum("wi,oiw->o", padded[start : start + width], convolution.weight) + convolution.bias
                for start in range(length)
            ]
            expected.append(torch.stack(places).amax(0).relu())
        torch.testing.assert_close(strongest[example], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_padding_and_company_change_no_score(tmp_path):
    data = files(f"data.train={write(tmp_path / 'a.jsonl', rows(50))}")
    for words in ([], ["task.convolutions=[2,3]"], ["task.pooling=mean"]):
        settings = config("task=text_classification", "data=text_files", *SMALL, *words)
        task = build_task(settings, data.facts).eval()
        torch.nn.init.normal_(task.network.head.weight)
        batch = data.collate([data.test[0]], training=False)
        padded = task(replace(batch, tokens=torch.nn.functional.pad(batch.tokens, (0, 9))))
        alone = task(batch)
        torch.testing.assert_close(padded, alone, rtol=1e-4, atol=1e-5)


def test_languages_are_split_by_message():
    data = read("data=language_id")
    assert len(data.facts.classes) == 20
    counts = np.bincount(data.train.labels)
    assert counts.min() > 80
    total = sum(len(part) for part in (data.train, data.val, data.test))
    assert len(data.train) / total == pytest.approx(0.7, abs=0.03)
    from tasks.text_classification.language_id import LANGUAGES

    # The English originals are the messages' identities: none is in two parts.
    english = LANGUAGES.index("en")
    parts = [
        {t for t, y in zip(p.texts, p.labels, strict=True) if y == english} for p in (data.train, data.val, data.test)
    ]
    assert parts[0].isdisjoint(parts[1])
    assert parts[0].isdisjoint(parts[2])
    assert parts[1].isdisjoint(parts[2])
    assert all(len(text) >= 24 for text in data.test.texts)


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
    data = read(f"data={name}", f"data.root={shared_data / 'text' / folder}")
    for part, size in zip((data.train, data.val, data.test), sizes, strict=True):
        assert size * 0.97 <= len(part) <= size
    assert len(data.test) == sizes[2]
    assert data.facts.classes == classes
