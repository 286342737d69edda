"""The whole task: own texts with classes, several labels or numbers; scores, baselines, mistakes, the kept model."""

import json

import pytest
import torch

import mla_train
from tests.helpers import check_report, read_jsonl, run_here, train, write_jsonl, write_reviews

WORDS = ["task=text_classification", "data=text_files", "lr=1e-2", "regularization=none"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on a table of one's own."""
    folder = tmp_path_factory.mktemp("reviews")
    write_reviews(folder / "reviews.csv", 60)
    words = ["task=text_classification", "data=text_files", "data.train=reviews.csv", "epochs=6", "lr=3e-3"]
    done = train(*words, "encoder=tiny", "task.convolutions=[2,3]", "run_dir=run", cwd=folder, pages=True)
    assert "no val split is given: cut" in done.stdout
    return folder / "run"


def test_clear_words_are_learned(run):
    results = json.loads((run / "results.json").read_text())
    assert results["metrics"]["test"]["accuracy"] == 1
    assert results["baselines"]["linear"]["accuracy"] == 1
    assert results["baselines"]["majority"]["accuracy"] == 0.5
    assert results["details"]["per_class"].keys() == {"good", "bad"}


def test_the_report_shows_classes_and_attention(run):
    text = check_report(run, "Confusion matrix", "accuracy ↑", "95 % interval", "text over text", "By class")
    assert "Worst mistakes" not in text  # there are none


def test_predictions_show_the_text(run):
    rows = read_jsonl(run / "predictions.jsonl")
    assert len(rows) == 24
    for row in rows:
        assert row.keys() == {"index", "source", "text", "label", "prediction", "probability"}
        assert row["source"].startswith("reviews.csv line ")
        assert "film" in row["text"]
        assert row["label"] == row["prediction"]
    assert (run / "figures" / "confusion.png").stat().st_size > 1000
    assert (run / "figures" / "mistakes.md").read_text().startswith("| probability | prediction | true | text |")


def test_the_kept_model_knows_its_tokens_and_features(run):
    network = mla_train.load(run).network
    assert network.spec.target.classes == ["bad", "good"]
    text, embedding = network.spec.inputs["text"], network.embeddings["text"].side_paths["tfidf"]
    assert text.tfidf.matrix(["x"]).shape[1] == text.spec.tfidf_size == embedding.table.num_embeddings
    # What a feature says alone: the part of the head that reads features.
    column = text.tfidf.numbers["words"]["awful"]
    layer = network.head.layers["text"].weight
    scores = layer[:, : embedding.table.embedding_dim] @ embedding.table.weight[column]
    assert torch.argmax(scores).item() == 0


@pytest.mark.parametrize("writing", ["lists", "separator"])
def test_several_labels(tmp_path, writing):
    """Each label is told by a word of its own; some texts have none."""
    chosen = [[name for j, name in enumerate(("cheap", "good", "new")) if i >> j & 1] for i in range(8)] * 16
    texts = [f"it is {' and '.join(labels) or 'nothing'} , number {i}" for i, labels in enumerate(chosen)]
    if writing == "lists":
        rows = [{"text": text, "label": labels} for text, labels in zip(texts, chosen, strict=True)]
        words = [f"data.train={write_jsonl(tmp_path / 'a.jsonl', rows)}"]
    else:
        lines = [f'"{text}",{"|".join(labels)}' for text, labels in zip(texts, chosen, strict=True)]
        (tmp_path / "a.csv").write_text("\n".join(["text,label", *lines]))
        words = [f"data.train={tmp_path / 'a.csv'}", "data.label_separator=|"]
    results = run_here(tmp_path / "run", *WORDS, *words, "epochs=12", figures=True)
    test, baselines = results["metrics"]["test"], results["baselines"]
    assert set(baselines) == {"most_frequent", "linear"}
    assert test["micro_f1"] > 0.9 > baselines["most_frequent"]["micro_f1"]
    assert baselines["linear"]["micro_f1"] > 0.9
    assert results["monitor"]["name"] == "val/mean_average_precision"
    assert results["details"]["per_class"].keys() == {"cheap", "good", "new"}
    rows = read_jsonl(tmp_path / "run" / "predictions.jsonl")
    assert all(isinstance(row["label"], list) and isinstance(row["prediction"], list) for row in rows)
    assert (tmp_path / "run" / "figures" / "labels.png").is_file()
    (record,) = mla_train.load(tmp_path / "run").predict(["it is cheap and new , number 3"])
    assert record["prediction"] == ["cheap", "new"]
    assert record["probabilities"].keys() == {"cheap", "good", "new"}


def test_numbers(tmp_path):
    """Decimal labels are a regression, and whole ones where it is asked for."""
    grades = {"awful": 1, "poor": 2, "fair": 3, "good": 4, "great": 5}
    rows = [
        {"text": f"an {word} film , number {i}", "label": grade} for i in range(24) for word, grade in grades.items()
    ]
    file = write_jsonl(tmp_path / "a.jsonl", [row | {"label": row["label"] + 0.5} for row in rows])
    results = run_here(tmp_path / "run", *WORDS, f"data.train={file}", "epochs=20", figures=True)
    assert set(results["baselines"]) == {"mean", "linear"}
    assert results["metrics"]["test"]["mae"] < 0.5 * results["baselines"]["mean"]["mae"]
    assert results["baselines"]["linear"]["mae"] < 0.5 * results["baselines"]["mean"]["mae"]
    assert results["monitor"]["name"] == "val/mae"
    assert results["monitor"]["mode"] == "min"
    assert (tmp_path / "run" / "figures" / "scatter.png").is_file()
    record, other = mla_train.load(tmp_path / "run").predict(["an awful film", "an great film"])
    assert record["prediction"] + 1 < other["prediction"]
    whole = [*WORDS, f"data.train={write_jsonl(file, rows)}", "debug=fast"]
    assert "mae" in run_here(tmp_path / "b", *whole, "task.head=regression")["metrics"]["val"]
    assert "accuracy" in run_here(tmp_path / "c", *whole)["metrics"]["val"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.train=nowhere.csv"], "nowhere.csv: there is no such file"),
        (["data.train=reviews.csv", "data.label_column=mood"], "has no column mood; there are text, label"),
        (["data.train=empty.csv"], "empty.csv has no rows"),
        (["data.train=latin.csv"], "latin.csv line 2 is not UTF-8"),
        (["data.train=reviews.csv", "task.head=regression"], "task.head=classification"),
    ],
)
def test_bad_files_are_one_line(words, message, tmp_path):
    write_reviews(tmp_path / "reviews.csv")
    (tmp_path / "empty.csv").write_text("text,label\n")
    (tmp_path / "latin.csv").write_bytes("text,label\nschön,gut\n".encode("latin-1"))
    done = train("task=text_classification", "data=text_files", *words, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("config.yaml"))
