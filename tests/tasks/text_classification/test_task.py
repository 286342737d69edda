"""The whole task at the command line: own texts, their scores, mistakes and the kept model."""

import json

import numpy as np
import pytest
import torch

from mla_train.data.terms import Terms
from mla_train.training.model_folder import load_model
from tests.helpers import train, write_reviews


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on a table of one's own."""
    folder = tmp_path_factory.mktemp("reviews")
    write_reviews(folder / "reviews.csv", 100)
    words = ["task=text_classification", "data=text_files", "data.train=reviews.csv", "epochs=6", "lr=3e-3"]
    done = train(*words, "task.convolutions=[2,3]", "run_dir=run", cwd=folder)
    assert "no val part is given: cut" in done.stdout
    return folder / "run"


def test_clear_words_are_learned(run):
    results = json.loads((run / "results.json").read_text())
    assert results["metrics"]["test"]["accuracy"] == 1
    assert results["baselines"]["linear"]["accuracy"] == 1
    assert results["baselines"]["majority"]["accuracy"] == 0.5
    assert results["details"]["per_class"].keys() == {"good", "bad"}


def test_predictions_show_the_text(run):
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 40
    assert all(("film" in row["text"]) and row["label"] in ("good", "bad") for row in rows)
    assert (run / "figures" / "confusion.png").stat().st_size > 1000
    assert (run / "figures" / "mistakes.md").read_text().startswith("| confidence | predicted | true | text |")


def test_the_kept_model_knows_its_tokens_and_terms(run):
    task = load_model(run)
    assert task.facts.classes == ["bad", "good"]
    known = Terms.from_json(task.facts.terms)
    assert known.matrix(["x"]).shape[1] == task.facts.num_terms == task.network.terms.num_embeddings
    column = known.vectorizers["words"].vocabulary_["awful"]
    assert column < task.facts.num_terms
    # What the term says alone: the part of the head that reads terms.
    widths = task.network.terms.embedding_dim
    said = task.network.head.weight[:, :widths] @ task.network.terms.weight[column]
    assert torch.argmax(said).item() == 0
    assert np.isfinite(said.detach().numpy()).all()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data.train=nowhere.csv"], "nowhere.csv: there is no such file"),
        (["data.train=reviews.csv", "data.label_column=mood"], "has no column mood; there are text, label"),
        (["data.train=empty.csv"], "empty.csv has no rows"),
        (["data.train=latin.csv"], "latin.csv is not UTF-8 (line 2)"),
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
