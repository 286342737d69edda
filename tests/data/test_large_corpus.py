"""A corpus beyond the bounds of memory is prepared, trained on and resumed as a small one is."""

import json
import multiprocessing

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader

from mla_train.checks import check_data, plain_values
from mla_train.data import buffer
from mla_train.data.corpus import read_corpus
from mla_train.data.sampling import DataPosition
from mla_train.data.tokenizers import learn_exact_tokenizer, learn_tokenizer
from mla_train.errors import UserError
from mla_train.fingerprint import differences, fingerprint
from mla_train.modalities.text import column
from mla_train.modalities.text.tokenize import tokenize
from mla_train.task import build_task
from mla_train.training.loaders import train_loader
from tests.helpers import ROOT, SMALL, config, train
from tests.training.test_resume import assert_same_end, wait_for_step
from tests.warm import started

WORDS = [
    "anna",
    "ben",
    "carla",
    "saw",
    "took",
    "met",
    "a",
    "the",
    "red",
    "blue",
    "green",
    "door",
    "cloud",
    "tree",
    "schön",
    "größer",
    "12",
    "über",
]
TASKS = ("masked_lm", "causal_lm")


def lines(count=150):
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(WORDS, generator.integers(3, 30))) for _ in range(count)]
    return [*texts, texts[3], "  ", texts[7], f"{texts[5]}  \u0301"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A corpus in all kinds of files."""
    root, texts = tmp_path_factory.mktemp("corpus"), lines()
    (root / "a.txt").write_text("\n".join(texts) + "\n")
    (root / "a.jsonl").write_text("".join(json.dumps({"n": i, "text": text}) + "\n" for i, text in enumerate(texts)))
    splits = [("train", "train", "test", "train", "val")[i % 5] for i in range(len(texts))]
    pd.DataFrame({"text": texts, "split": splits, "n": range(len(texts))}).to_parquet(root / "a.parquet")
    return root


@pytest.fixture
def spilled(monkeypatch, tmp_path):
    """Bounds that a few texts pass."""
    monkeypatch.setenv("MLA_TRAIN_CACHE", str(tmp_path / "cache"))

    def lower():
        monkeypatch.setattr(buffer, "MOST_IN_MEMORY", 100)
        monkeypatch.setattr("mla_train.data.text_store.PIECE", 64)
        monkeypatch.setattr("mla_train.data.ragged.PIECE", 7)
        monkeypatch.setattr("mla_train.modalities.text.tokenize.PART", 40)

    return lower


def load(folder, task, name, *words):
    settings = config(
        *SMALL, f"task={task}", "data=text_lines", f"data.train={folder / name}", "data.max_length=9", *words
    )
    return build_task(settings).load_data(), settings


def content(data, settings):
    """All that a run reads."""
    rows = []
    for split in ("train", "val", "test"):
        part = getattr(data, split)
        column = part.columns["text"]
        assert column.lengths().tolist() == [len(column.tokens[i]) for i in range(len(part))]
        for i in range(len(part)):
            rows.append((column.texts[i], column.tokens[i].tolist(), part.targets[i].tolist()))
        rows.append(None if part.groups is None else part.groups.tolist())
    order = [[tuple(each) for each in batch] for batch in train_loader(data, settings, DataPosition()).batch_sampler]
    return rows, order, data.notes, fingerprint(data), plain_values(check_data(data, thorough=False))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.txt", []),
        ("a.txt", ["data.train_examples=60", "data.tokens=bpe"]),
        ("a.jsonl", []),
        ("a.parquet", []),
        ("a.parquet", ["data.split_column=split"]),
    ],
)
def test_what_is_in_files_is_what_is_in_memory(task, name, words, folder, spilled):
    expected = content(*load(folder, task, name, *words))
    spilled()
    data, settings = load(folder, task, name, *words)
    column = data.train.columns["text"]
    assert column.pieces.buffer.file is not None
    assert content(data, settings) == expected


@pytest.mark.parametrize("task", TASKS)
def test_of_a_large_split_checks_look_at_the_first_examples(task, folder, spilled, monkeypatch):
    spilled()
    whole = load(folder, task, "a.txt")[0]
    monkeypatch.setattr("mla_train.data.ragged.MOST_IN_MEMORY", 4 * 300)
    monkeypatch.setattr("mla_train.checks.MOST_CHECKED", 20)
    monkeypatch.setattr("mla_train.checks.base.MOST_CHECKED", 20)
    values = plain_values(check_data(whole, thorough=False))
    assert whole.train.columns["text"].is_large
    assert not whole.val.columns["text"].is_large
    assert values["inputs"]["train"]["examples"] == 20
    assert values["inputs"]["val"]["examples"] == whole.count("val")
    assert values["inputs"]["checked"].startswith("the first 20 examples of train")
    assert differences(fingerprint(whole), fingerprint(load(folder, task, "a.txt")[0])) == []
    other = load(folder, task, "a.txt", "data.split_seed=1")[0]
    assert any(
        "train differ" in line or "train" in line for line in differences(fingerprint(whole), fingerprint(other))
    )


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_read_the_same_batches(method, folder, spilled):
    spilled()
    data, settings = load(folder, "masked_lm", "a.txt")
    loader = train_loader(data, settings, DataPosition())
    context = multiprocessing.get_context(method)
    others = DataLoader(
        loader.dataset, batch_sampler=loader.batch_sampler, collate_fn=loader.collate_fn, num_workers=1,
        multiprocessing_context=context,
    )  # fmt: skip
    for one, other in zip(loader, others, strict=True):
        assert torch.equal(one.inputs["text"].tokens, other.inputs["text"].tokens)
        assert torch.equal(one.index, other.index)


SMALL_BOUND = """
import os, runpy
from mla_train.data import buffer
buffer.MOST_IN_MEMORY = 100
os.environ["MLA_TRAIN_CACHE"] = "cache"
runpy.run_path({path!r}, run_name="__main__")
"""


@pytest.mark.slow
def test_a_run_on_files_that_is_killed_ends_as_one_in_memory(folder, tmp_path):
    words = [
        *SMALL,
        "task=causal_lm",
        "data=text_lines",
        f"data.train={folder / 'a.txt'}",
        "data.max_length=9",
        "epochs=2",
    ]
    words += ["batch_size=24", "baselines=none", "regularization=light", "run_dir=run", "data.cache=false"]
    (tmp_path / "memory").mkdir()
    train(*words, cwd=tmp_path / "memory")
    (tmp_path / "files.py").write_text(SMALL_BOUND.format(path=str(ROOT / "train.py")))
    words += ["resume=auto", "checkpoint.every_minutes=0"]
    with started(tmp_path / "files.py", words, tmp_path) as process:
        wait_for_step(tmp_path / "run", 7, process)
        process.kill()
    assert list((tmp_path / "cache" / "results").iterdir()) == []  # the files have no names
    with started(tmp_path / "files.py", [*words, "hardware.workers=2"], tmp_path) as process:
        assert process.wait(240) == 0, process.said()
    assert_same_end(tmp_path / "memory" / "run", tmp_path / "run")


def test_a_vocabulary_is_learned_from_some_texts_of_a_large_corpus(folder, monkeypatch):
    monkeypatch.setattr(column, "LEARNED_BYTES", 2000)
    for task in TASKS:
        data = load(folder, task, "a.txt")[0]
        (note,) = [note for note in data.notes if "vocabulary is learned from" in note]
        assert note.endswith("training texts, evenly spaced")
        assert int(note.split(" from ")[1].split(" of ")[0]) < 40


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl"])
def test_little_of_a_large_corpus_is_cut_off_unless_a_share_is_named(name, folder, monkeypatch):
    monkeypatch.setattr("mla_train.data.corpus.EVALUATED_BYTES", 500)
    monkeypatch.setattr("mla_train.data.corpus.EVALUATED_TEXTS", 8)
    data = load(folder, "causal_lm", name)[0]
    count = len(set(lines()) - {"  "})
    sizes = {split: len(np.unique(getattr(data, split).groups)) for split in ("train", "val", "test")}
    assert 6 <= sizes["val"] <= 9
    assert 6 <= sizes["test"] <= 9
    assert sum(sizes.values()) == count
    assert sum("of a large corpus" in note for note in data.notes) == 2
    named = load(folder, "causal_lm", name, "data.test_share=0.3")[0]
    assert len(np.unique(named.test.groups)) == round(0.3 * count)
    assert next(note for note in named.notes if "of a large corpus" in note).startswith("val is ")


@pytest.mark.parametrize("kind", ["exact", "word", "char", "bpe"])
def test_a_long_text_has_the_tokens_that_it_has_as_a_whole(kind, monkeypatch):
    from mla_train.config import TokenizerKind

    texts = [
        *lines(20),
        "über 12 größer, (red) door\n\n\tthe  tree's 3.5 x_y a " * 9,
        "\u4e2d" * 200,
        "a b " * 60,
        "\u1100 \u1161x" * 50,
    ]
    tokenizer = (
        learn_exact_tokenizer(texts, 300) if kind == "exact" else learn_tokenizer(texts, TokenizerKind(kind), 300)
    )
    whole = [each.tolist() for each in tokenize(texts, tokenizer, end=3)]
    for part in (1, 7, 50):
        monkeypatch.setattr("mla_train.modalities.text.tokenize.PART", part)
        assert [each.tolist() for each in tokenize(texts, tokenizer, end=3)] == whole


@pytest.mark.parametrize(("documents", "line"), [("line", 2), ("file", 3), ("paragraph", 3)])
def test_a_text_that_is_too_long_is_refused_with_its_line(documents, line, tmp_path, monkeypatch):
    monkeypatch.setattr("mla_train.data.corpus.LONGEST", 40)
    content = f"a few words\n{'endless ' * 6}" if documents == "line" else "twenty characters..\n" * 5
    (tmp_path / "a.txt").write_text(content)
    options = config(
        "task=masked_lm", "data=text_lines", f"data.train={tmp_path / 'a.txt'}", f"data.documents={documents}"
    )
    with pytest.raises(UserError, match=rf"a.txt line {line}: a text of more than 40 characters .*data.documents=line"):
        read_corpus(options.data)
