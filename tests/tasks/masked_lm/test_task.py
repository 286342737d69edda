"""Hidden words: what is hidden, what is scored, what is read, and a run at the command line."""

import json
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.data.tokenizers import PAD_ID, UNK_ID
from mla_train.errors import UserError
from mla_train.heads.masked_tokens import MaskedTokenSpec, hidden_split, hide, word_starts
from mla_train.task import build_task
from tasks.masked_lm.baselines import Counts, _scores
from tests.helpers import SMALL, check_report, config, python, train

VOCABULARY = 30
STARTS = torch.tensor([number % 3 == 2 or number < 2 for number in range(VOCABULARY)])  # 2, 5, 8, ... begin a word


def corpus(folder, count=120):
    """Sentences in which the word between two others follows from them."""
    pairs = [("red", "apple"), ("blue", "sky"), ("green", "grass"), ("white", "snow")]
    names = ["anna", "ben", "carla", "dan", "eva", "finn"]
    lines = [f"{names[i % 6]} saw the {pairs[i % 4][0]} {pairs[i % 4][1]} number {i}" for i in range(count)]
    (folder / "corpus.txt").write_text("\n".join(lines) + "\n")
    return folder / "corpus.txt"


def load(folder, *words):
    options = (*SMALL, "task=masked_lm", "data=text_lines", f"data.train={corpus(folder)}", "data.tokens=word", *words)
    task = build_task(config(*options))
    return task, task.load_data()


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, VOCABULARY - 1), min_size=1, max_size=12), min_size=1, max_size=5),
    st.floats(0.01, 0.99),
    st.booleans(),
    st.booleans(),
    st.integers(0, 1000),
)
def test_hidden_tokens_are_whole_words_of_the_text(rows, rate, whole, corrupt, seed):
    length = max(map(len, rows))
    tokens = torch.tensor([row + [PAD_ID] * (length - len(row)) for row in rows])
    padding = torch.tensor([[place >= len(row) for place in range(length)] for row in rows])
    spec = MaskedTokenSpec(rate=rate, whole_words=whole, corrupt=corrupt)
    read, hidden = hide(tokens, padding, STARTS, spec, torch.Generator().manual_seed(seed))
    is_hidden = hidden != PAD_ID
    assert torch.equal(hidden[is_hidden], tokens[is_hidden])
    assert torch.equal(read[~is_hidden], tokens[~is_hidden])
    assert not (is_hidden & (padding | (tokens == UNK_ID))).any()
    assert (is_hidden.any(1) == (tokens > UNK_ID).any(1)).all()  # one at least, where there is one
    if not corrupt:
        assert (read[is_hidden] == UNK_ID).all()
    assert (read[is_hidden] >= UNK_ID).all()
    if whole:
        for row, gaps in zip(rows, is_hidden.tolist(), strict=True):
            known = [place for place, token in enumerate(row) if token != UNK_ID]
            same_word = [(a, b) for a, b in pairwise(known) if not any(STARTS[row[i]] for i in range(a + 1, b + 1))]
            assert all(gaps[a] == gaps[b] for a, b in same_word)


def test_the_share_of_hidden_tokens_and_their_kinds():
    tokens = torch.randint(2, VOCABULARY, (400, 100), generator=torch.Generator().manual_seed(0))
    none = torch.zeros_like(tokens, dtype=torch.bool)
    spec = MaskedTokenSpec(rate=0.3, whole_words=False)
    read, hidden = hide(tokens, none, STARTS, spec, torch.Generator().manual_seed(1))
    gaps = hidden != PAD_ID
    assert gaps.float().mean().item() == pytest.approx(0.3, abs=0.01)
    assert (read[gaps] == UNK_ID).float().mean().item() == pytest.approx(0.8, abs=0.01)
    same = (read[gaps] == tokens[gaps]).float().mean().item()
    assert same == pytest.approx(0.1 + 0.1 / (VOCABULARY - 2), abs=0.01)  # random ones may be the same


def test_val_and_test_hide_the_same_words_each_time(tmp_path):
    texts = [np.arange(2, 20, dtype=np.int32), np.array([5, 6, 7], np.int32)]
    first, again = (hidden_split(texts, STARTS, MaskedTokenSpec()) for _ in range(2))
    for one, other in zip((*first[0], *first[1]), (*again[0], *again[1]), strict=True):
        np.testing.assert_array_equal(one, other)
    data = load(tmp_path)[1]
    items = [data.val[place] for place in range(len(data.val))]
    assert torch.equal(data.collate(items, False).targets.tokens, data.collate(items, False).targets.tokens)
    items = [data.train[place] for place in range(40)]
    assert not torch.equal(data.collate(items, True).targets.tokens, data.collate(items, True).targets.tokens)


def test_words_begin_where_the_tokenizer_says(tmp_path):
    for kind, text, expected in (("bpe", "the apple", 2), ("word", "the apple", 2), ("char", "the apple", 1)):
        data = load(tmp_path, f"data.tokens={kind}")[1]
        tokenizer = data.spec.inputs["text"].tokenizer
        tokens = torch.tensor(tokenizer.encode(text).ids)
        assert word_starts(tokenizer)[tokens].sum() == expected  # of characters the blank


def test_scores_loss_and_gradients_are_those_of_the_whole_matrix(tmp_path):
    task, data = load(tmp_path)
    model = task.build_model(data.spec).eval()
    batch = data.collate([data.val[place] for place in range(6)], training=False)
    gaps, scores = model(batch)
    total, count = model.head.loss((gaps, scores), batch)
    total.backward()
    table = model.embeddings["text"].tokens.weight
    found, table.grad = table.grad.clone(), None
    tokens = model.encode(batch)["text"].tokens
    everywhere = model.head.transform(tokens) @ table.T + model.head.bias
    true = batch.targets.tokens
    expected = F.cross_entropy(everywhere.flatten(0, 1), true.flatten(), ignore_index=PAD_ID, reduction="sum")
    expected.backward()
    torch.testing.assert_close(scores, everywhere[gaps])
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(found, table.grad)
    assert count == (true != PAD_ID).sum()
    columns = model.head.labels(batch) | model.predict(batch)
    metrics = model.head.metrics(columns)
    assert metrics["perplexity"] == pytest.approx(float(torch.exp(expected / count)), rel=1e-5)
    assert metrics["accuracy"] == pytest.approx(float((everywhere.argmax(-1)[gaps] == true[gaps]).float().mean()))


def test_baselines_count_as_a_naive_count_does(tmp_path):
    data = load(tmp_path)[1]
    counts, texts = Counts(data), [each.tolist() for each in data.train.columns["text"].tokens]
    padded = [[0, *text, 0] for text in texts]
    alone = Counter(token for text in texts for token in text if token != UNK_ID)  # which is never filled in
    places = [(text, i) for text in padded for i in range(1, len(text) - 1) if text[i] != UNK_ID]
    between = Counter((text[i - 1], text[i + 1], text[i]) for text, i in places)
    (left, right, token), times = between.most_common(1)[0]
    of_pair = {t: c for (a, b, t), c in between.items() if (a, b) == (left, right)}
    pair = counts.pair(np.array([left]), np.array([right]))
    assert counts.between[pair].toarray()[0, token] == pytest.approx(times / sum(of_pair.values()))
    after = Counter((text[i - 1], text[i]) for text, i in places)
    from_left = sum(c for (a, _), c in after.items() if a == left)
    assert counts.after[left].toarray()[0, token] == pytest.approx(after[left, token] / from_left)
    total = sum(alone.values()) + counts.size - 2  # one more of each
    assert counts.alone[token] == pytest.approx((alone[token] + 1) / total)
    assert counts.pair(np.array([0]), np.array([0])).tolist() == [-1]
    lefts, rights = np.array([left, UNK_ID, 0]), np.array([right, right, 0])
    np.testing.assert_allclose(_scores(counts, lefts, rights, 0.6).sum(1), 1.0)


def test_long_texts_become_pieces_and_nothing_is_lost(tmp_path):
    whole, cut = load(tmp_path)[1], load(tmp_path, "data.max_length=4")[1]
    for split in ("train",):
        tokens = [np.concatenate(getattr(data, split).columns["text"].tokens) for data in (whole, cut)]
        np.testing.assert_array_equal(*tokens)
    assert max(map(len, cut.train.columns["text"].tokens)) <= 4
    assert len(cut.train) > len(whole.train)


@pytest.mark.parametrize(
    ("documents", "expected"),
    [
        ("line", ["one two", "three", "four five", "six"]),
        ("paragraph", ["one two three", "four five six"]),
        ("file", ["one two three four five six"]),
    ],
)
def test_what_is_a_text_of_a_plain_file(documents, expected, tmp_path):
    (tmp_path / "a.txt").write_text("one two\nthree\n\n\nfour five\r\nsix")
    settings = config(
        "task=masked_lm",
        "data=text_lines",
        f"data.train={tmp_path / 'a.txt'}",
        f"data.documents={documents}",
        f"data.val={tmp_path / 'a.txt'}",
        f"data.test={tmp_path / 'a.txt'}",
    )
    read = build_task(settings).read().splits["train"].inputs["text"]
    assert [" ".join(text.split()) for text in read] == expected


def test_a_column_of_splits_that_is_not_used_is_said(tmp_path):
    rows = [f"text {i},{'train' if i % 3 else 'test'}" for i in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["text,split", *rows]))
    data = build_task(config("task=masked_lm", "data=text_lines", f"data.train={tmp_path / 'a.csv'}")).read()
    assert any("data.split_column=split" in note for note in data.notes)


@pytest.mark.parametrize("ending", ["txt", "csv"])
def test_files_of_a_folder_that_are_not_read_are_said(ending, tmp_path):
    for name in (f"a.{ending}", f"b.{ending}", f"sub/c.{ending}", "read.md", ".hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text\n" + "".join(f"{name} {i}\n" for i in range(20)))
    data = build_task(config("task=masked_lm", "data=text_lines", f"data.train={tmp_path}")).read()
    (note,) = [note for note in data.notes if "left out" in note]
    assert f"2 files that are in other folders or of other kinds, read.md, sub/c.{ending}" in note
    assert "data.train=[FILE,FILE]" in note


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["data.train=none.txt"], "none.txt"),
        (["data.train=empty.txt"], "data.train has no text"),
        (["data.train=zeros.txt"], "data.encoding="),
        (["data.train=latin.txt"], "latin.txt line 2 is not UTF-8: name the encoding with data.encoding="),
        (["data.train=[a.txt,b.csv]"], "name plain text files or tables, not both"),
        (["data.val=a.txt"], "data.train is missing"),
        (["data.train=endless.txt"], "data.train has 1 text, too few to cut val and test from: write a text a line"),
        (["data.train=endless.txt", "data.val=a.txt"], "data.test=FILE"),
        (["data.train=a.txt", "task.mask_rate=0"], "task.mask_rate"),
        (["data.train=a.txt", "task.mask_rate=1"], "task.mask_rate"),
        (["data.train=b.csv", "data.text_column=words"], "data.text_column="),
    ],
)
def test_a_mistake_is_named_with_its_remedy(words, key, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("one two\n" * 19)
    (tmp_path / "b.csv").write_text("text\none\ntwo\n")
    (tmp_path / "endless.txt").write_text("word " * 20000)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "latin.txt").write_bytes("fine\nschön\n".encode("cp1252") * 9)
    (tmp_path / "zeros.txt").write_bytes(b"ab\0cd\n" * 9)
    with pytest.raises(UserError, match=re.escape(key)):
        build_task(config("task=masked_lm", "data=text_lines", *words)).load_data()


@pytest.mark.slow
def test_own_texts_are_learned_from_and_gaps_are_filled(tmp_path):
    corpus(tmp_path, 600)
    words = ["task=masked_lm", "data=text_lines", "data.train=corpus.txt", "data.tokens=word", "run_dir=mine"]
    train(*words, *SMALL, "encoder.dim=32", "epochs=30", "lr=5e-3", "hardware.threads=1", cwd=tmp_path, pages=True)
    results = json.loads((tmp_path / "mine" / "results.json").read_text())
    scores = results["metrics"]["test"]
    assert scores["perplexity"] < 0.7 * results["baselines"]["unigram"]["perplexity"]
    assert scores["accuracy"] > results["baselines"]["unigram"]["accuracy"]
    check_report(tmp_path / "mine")
    assert "**" in (tmp_path / "mine" / "figures" / "gaps.md").read_text()
    (tmp_path / "new.jsonl").write_text('{"text": "anna saw the white [MASK] number 7"}\n{"text": "no gap here"}\n')
    done = python("scripts/predict.py", "--run", "mine", "--input", "new.jsonl", cwd=tmp_path)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert rows[0]["prediction"][0] == "snow"  # the number behind it is a word that the vocabulary lacks, a gap too
    assert max(rows[0]["gaps"][0], key=rows[0]["gaps"][0].get) == "snow"
    done = python("scripts/evaluate.py", "--run", "mine", "--input", "new.jsonl", cwd=tmp_path, check=False)
    assert "no labels to compare with" in done.stderr


def test_labels_of_a_classification_are_not_read(tmp_path):
    (tmp_path / "rows.csv").write_text("text,label\n" + "".join(f"a text number {i},c{i}\n" for i in range(60)))
    words = ["task=masked_lm", "data=text_files", f"data.train={tmp_path / 'rows.csv'}", "data.tokens=word"]
    data = build_task(config(*words)).load_data()
    assert data.count("train") == 60 - data.count("val") - data.count("test")
    assert data.spec.to_dict()["head"]["kind"] == "masked_tokens"
    assert data.spec.to_dict()["inputs"]["text"]["tfidf_size"] == 0


@pytest.mark.parametrize(
    "words", [["regularization=[light,rdrop]"], ["attention=mha"], ["encoder.masked_modeling=true"]]
)
def test_other_options_work_with_it(words, tmp_path):
    train(
        "task=masked_lm", "data=text_lines", f"data.train={corpus(tmp_path)}", *SMALL, *words, "epochs=1", "run_dir=mine",
        "baselines=none", cwd=tmp_path,
    )  # fmt: skip
    assert (tmp_path / "mine" / "results.json").is_file()
