"""Texts of several columns, sentence pairs and long texts: read alike in training, prediction, evaluation and export."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import torch

import mla_train
from mla_train.commands import evaluate, predict
from mla_train.config import Texts
from mla_train.data.texts import SEPARATOR, join_texts
from mla_train.data.tokenizers import UNK_ID
from mla_train.errors import UserError
from mla_train.inference.export.folder import write_model
from mla_train.modalities.base import mean_of_windows
from mla_train.modalities.text.spec import TextSpec
from tests.helpers import config, load, read_jsonl, run_here, write_jsonl

WORDS = ["task=text_classification", "data=text_files"]


def rows(count=40):
    """Whether the second text repeats the first."""
    colours = ["red", "green", "blue", "white"]
    return [
        {
            "title": f"a {colours[i % 4]} car, number {i}",
            "body": f"the car is {colours[(i + i % 2) % 4]} and has number {i}",
            "key": f"k{i}",
            "label": "other" if i % 2 else "same",
        }
        for i in range(count)
    ]


def table(folder, count=40):
    return write_jsonl(folder / "pairs.jsonl", rows(count))


@pytest.fixture(scope="module", params=[["data.long_texts=head_tail"], ["data.long_texts=windows"]])
def run(request, tmp_path_factory):
    """A model of sentence pairs that are longer than it reads at a time, and its table."""
    folder = tmp_path_factory.mktemp("pairs")
    words = ["data.text_column=[title,body]", "data.texts=pair", "data.id_column=key", "data.max_length=6", "epochs=1"]
    run_here(folder / "run", *WORDS, f"data.train={table(folder)}", *words, *request.param)
    return folder / "run", folder / "pairs.jsonl"


@pytest.mark.parametrize(
    ("texts", "joined", "pair"),
    [
        (["a b", "c"], "a b\nc", f"a b {SEPARATOR} c"),
        ([None, "c"], "c", f" {SEPARATOR} c"),
        (["a", " "], "a", f"a {SEPARATOR}  "),
        ([None, "  "], None, None),
        ([f"a{SEPARATOR}b", "c"], f"a{SEPARATOR}b\nc", f"a b {SEPARATOR} c"),
    ],
)
def test_texts_become_one(texts, joined, pair):
    assert join_texts(texts, Texts.join) == joined
    assert join_texts(texts, Texts.pair) == pair


@pytest.mark.parametrize("tokens", ["word", "char", "bpe"])
def test_the_separator_is_a_token_that_no_text_can_write(tokens, tmp_path):
    content = rows()
    content[0]["title"] = f"odd {SEPARATOR} title"
    file = write_jsonl(tmp_path / "a.jsonl", content)
    words = [f"data.train={file}", "data.text_column=[title,body]", "data.texts=pair", f"data.tokens={tokens}"]
    data = load(*WORDS, *words)
    text = data.spec.inputs["text"]
    ids = text.tokenizer.encode(f"a {SEPARATOR} b").ids
    assert UNK_ID not in ids[1:-1]
    assert all(each.count(SEPARATOR) == 1 for each in data.train.columns["text"].texts)
    assert (text.spec.columns, text.spec.texts) == (["title", "body"], "pair")


def test_joined_texts_leave_missing_ones_out(tmp_path):
    content = rows()
    content[0]["title"] = None
    content[1] |= {"title": "", "body": None}
    data = load(*WORDS, f"data.train={write_jsonl(tmp_path / 'a.jsonl', content)}", "data.text_column=[title,body]")
    texts = {
        name.row: t
        for p in (data.train, data.val, data.test)
        for name, t in zip(p.names, p.columns["text"].texts, strict=True)
    }
    assert texts["line 1"] == content[0]["body"]
    assert texts["line 3"] == f"{content[2]['title']} {content[2]['body']}"
    assert "line 2" not in texts
    assert "left out 1 examples of train without text" in data.notes


def test_one_model_reads_all_forms_alike(run):
    folder, _file = run
    predictor = mla_train.load(folder)
    kept = {row["id"]: row for row in read_jsonl(folder / "predictions.jsonl")}
    splits = {row["id"]: row["split"] for row in csv.DictReader((folder / "data_splits.csv").open())}
    assert {name for name, split in splits.items() if split == "test"} == set(kept)
    assert len(splits) == 40
    content = [row for row in rows() if row["key"] in kept]
    pairs = [[row["title"], row["body"]] for row in content]
    by_list = predictor.predict([{"text": pair} for pair in pairs])
    assert predictor.predict([{"title": a, "body": b} for a, b in pairs]) == by_list
    assert predictor.predict([{"text": {"title": a, "body": b}} for a, b in pairs]) == by_list
    assert predictor.predict([f"{a} {SEPARATOR} {b}" for a, b in pairs]) == by_list
    for row, record in zip(content, by_list, strict=True):
        assert kept[row["key"]]["prediction"] == record["prediction"]
        assert kept[row["key"]]["probability"] == pytest.approx(record["probability"], abs=2e-4)
        assert kept[row["key"]]["source"].endswith(f"pairs.jsonl line {int(row['key'][1:]) + 1}")
    with pytest.raises(UserError, match="a list of those of title, body"):
        predictor.predict([{"text": ["a", "b", "c"]}])


def test_scripts_read_the_columns_of_the_training(run, tmp_path, monkeypatch, capsys):
    folder, file = run
    monkeypatch.setattr(sys, "argv", ["predict.py", "--run", str(folder), "--input", str(file), "--output", "-"])
    predict.main()
    printed = capsys.readouterr()
    assert "text is read from columns title, body" in printed.err
    answers = [json.loads(line)["prediction"] for line in printed.out.splitlines()]
    pairs = [[row["title"], row["body"]] for row in rows()]
    assert answers == [record["prediction"] for record in mla_train.load(folder).predict(pairs)]
    other = tmp_path / "other.csv"
    with other.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["first", "second", "label"])
        writer.writerows([row["title"], row["body"], row["label"]] for row in rows())
        writer.writerow(["", "", "same"])
    words = ["--run", str(folder), "--input", str(other), "--column", "text=first,second"]
    monkeypatch.setattr(sys, "argv", ["evaluate.py", *words, "--draws", "2", "--output", str(tmp_path / "out")])
    evaluate.main()
    result = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    assert result["slices"]["all"]["examples"] == 40
    assert "the first: line 42: no first or second" in " ".join(result["notes"])
    assert all(row["row"].startswith(str(other)) for row in result["worst"])


def test_a_server_takes_the_texts_as_a_list(run):
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    pytest.importorskip("httpx", reason="the extra dev is not installed")
    from fastapi.testclient import TestClient

    from mla_train.inference.serve.app import create_app
    from mla_train.inference.serve.limits import Limits

    predictor = mla_train.load(run[0])
    with TestClient(create_app(predictor, {}, Limits())) as client:
        answer = client.post("/predict", json={"text": ["a red car", "the car is red"]}).json()
        assert answer == predictor.predict([["a red car", "the car is red"]])[0]
        assert client.get("/metadata").json()["inputs"]["text"]["columns"] == ["title", "body"]
        assert client.post("/predict", json={"text": ["a red car"]}).status_code != 200


def test_a_graph_reads_both_ends_and_refuses_windows(run, tmp_path):
    pytest.importorskip("onnxscript")
    predictor = mla_train.load(run[0])
    if predictor.spec.inputs["text"].spec.long_texts == "windows":
        with pytest.raises(UserError, match=r"data\.long_texts=windows.*--format safetensors"):
            write_model(predictor.artifact, tmp_path / "graph", "onnx")
        return
    write_model(predictor.artifact, tmp_path / "graph", "onnx")
    example = {"text": ["a red car, number 7", "the car is green and has number 7"]}
    command = [sys.executable, str(tmp_path / "graph" / "infer_onnx.py"), json.dumps(example)]
    record = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    (tmp_path / "a.csv").write_text("text\na red car\n")
    for words in ([str(tmp_path / "a.csv")], ["--input", "a red car"]):  # are no texts
        failed = subprocess.run([*command[:2], *words], capture_output=True, text=True)
        assert failed.stderr.startswith(f"error: {words[0]}: files are read as .jsonl")
    expected = predictor.predict([example])[0]
    assert record["prediction"] == expected["prediction"]
    assert record["probability"] == pytest.approx(expected["probability"], abs=1e-3)


def test_long_texts_keep_their_ends(tmp_path):
    spec = TextSpec(9, "", 5, long_texts="head_tail")
    assert spec.shorten(list(range(12))) == [0, 1, 2, 10, 11]
    assert spec.shorten(np.arange(12)).tolist() == [0, 1, 2, 10, 11]
    assert spec.shorten([1, 2, 3]) == [1, 2, 3]
    assert TextSpec(9, "", 1, long_texts="head_tail").shorten([4, 5, 6]) == [4]
    data = load(
        *WORDS,
        f"data.train={table(tmp_path)}",
        "data.text_column=body",
        "data.max_length=4",
        "data.long_texts=head_tail",
    )
    (note,) = {note for note in data.notes if note.startswith("cut 29 texts between beginning and end at 4 tokens")}
    assert "100.0% of the texts and 50.0% of all tokens" in note


def test_windows_are_equal_and_training_reads_one_at_random(tmp_path):
    spec = TextSpec(9, "", 5, long_texts="windows")
    assert [len(window) for window in spec.windows(torch.arange(12))] == [4, 4, 4]
    assert [len(window) for window in spec.windows(torch.arange(0))] == [0]
    words = ["data.text_column=body", "data.max_length=3", "data.long_texts=windows", "regularization=none"]
    data = load(*WORDS, f"data.train={table(tmp_path)}", *words)
    torch.manual_seed(0)
    read = {tuple(data.train[0][0].inputs["text"].tokens.tolist()) for _ in range(30)}
    assert {len(tokens) for tokens in read} <= {2, 3}
    assert sorted(sum(sorted(read), ())) == sorted(data.train.columns["text"].tokens[0].tolist())
    batch = data.collate([data.test[0], data.test[1]], training=False)
    tensors = batch.inputs["text"]
    assert tensors.windows.tolist() == [0, 0, 0, 1, 1, 1]
    assert len(batch) == 2
    assert data.collate([data.train[0]], training=True).inputs["text"].windows is None


def test_the_answer_of_windows_is_their_mean():
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    assert mean_of_windows(rows, torch.tensor([0, 0, 1])).tolist() == [[2.0, 3.0], [5.0, 6.0]]
    assert mean_of_windows(rows, None) is rows


def test_windows_do_not_depend_on_the_batch(run):
    predictor = mla_train.load(run[0])
    pairs = [[row["title"], row["body"]] for row in rows(8)] + [["red", "red"]]
    together = predictor.predict(pairs)
    for pair, record in zip(pairs, together, strict=True):
        alone = predictor.predict([pair])[0]
        assert alone["probability"] == pytest.approx(record["probability"], abs=2e-4)


MISTAKES = {
    ("data.text_column=[title]",): "name a column, or a list of several such as [title,body]",
    ("data.text_column=title", "data.texts=pair"): "data.texts=pair needs two columns",
    ("data.text_column=[title,nothing]",): "has no column nothing",
    ("data.long_texts=tail",): "long_texts",
}


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_columns_that_cannot_be_meant(words, tmp_path):
    with pytest.raises((UserError, Exception), match="") as error:
        load(*WORDS, f"data.train={table(tmp_path)}", *words)
    assert MISTAKES[words] in str(error.value)


def test_windows_are_for_texts_alone():
    with pytest.raises(UserError, match=r"data\.long_texts=windows is for texts alone"):
        config("task=multimodal_sentiment", "data=text_image_files", "data.train=a.csv", "data.long_texts=windows")
