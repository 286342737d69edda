"""The whole task at the command line: own pairs, their scores, pictures and the kept model."""

import csv
import json
import sys

import numpy as np
import pytest
import sacrebleu
import torch
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable

import mla_train
from mla_train.inference.artifact import load_model
from mla_train.training.run import run as run_whole
from mla_train.training.run_folder import find_run
from tasks.translation.task import Translation
from tests.helpers import NUMBER_WORDS, check_report, config, number_pairs, train, write_pairs

LEARN = [
    "task=translation",
    "data=pair_files",
    "data.train=pairs.csv",
    "data.vocab_size=300",
    "batch_size=16",
    "epochs=10",
    "lr=5e-3",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(folder / "pairs.csv", number_pairs(900))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A finished run on a table of one's own."""
    done = train(
        *LEARN, "run_dir=run", "regularization.average_epochs=3", "regularization.ema_decay=0", cwd=folder, pages=True
    )
    assert "no val split is given: cut" in done.stdout
    return folder / "run"


def test_words_and_their_order_are_learned(run):
    results = json.loads((run / "results.json").read_text())
    scores, baselines = results["metrics"]["test"], results["baselines"]
    assert scores["exact_match"] > 0.8
    assert scores["bleu"] > 90 > 60 > baselines["nearest"]["bleu"] > baselines["copy"]["bleu"]
    assert results["details"]["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "tok:none" in results["details"]["signatures"]["bleu_tokenized"]
    # tiny decodes with 2 layers, latent 16 and rotary part 16, four bytes each
    assert results["model"]["cache_bytes_per_token"] == 2 * (16 + 16) * 4


def test_the_report_shows_sentences_and_attention(run):
    check_report(run, "bleu (of 100) ↑", "BLEU by length", "target over source", "Worst mistakes")


def test_predictions_and_figures(run):
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 45
    for row in rows:
        assert row["label"] == " ".join(NUMBER_WORDS[word] for word in row["source"].split())
    right = sum(row["prediction"] == row["label"] for row in rows) / len(rows)
    assert right == json.loads((run / "results.json").read_text())["metrics"]["test"]["exact_match"]
    drawn = {path.name: path.stat().st_size for path in (run / "figures").glob("*.png")}
    assert drawn.keys() == {"bleu_by_length.png", "cross_attention.png", "curves.png"}
    assert min(drawn.values()) > 5000


def test_figures_show_what_they_say(run, monkeypatch, tmp_path):
    monkeypatch.chdir(run.parent)
    artifact = load_model(run)
    data = artifact.task.load_data()
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    names = {"index": "index", "predicted": "prediction", "label": "label"}
    predictions = {column: [row[name] for row in rows] for column, name in names.items()}
    maps, bars = [], []
    monkeypatch.setattr(Axes, "imshow", lambda self, shown, **_: maps.append(shown) or ScalarMappable())
    monkeypatch.setattr(Axes, "bar", lambda self, names, heights, **_: bars.append((names, heights)))
    monkeypatch.setattr(Axes, "bar_label", lambda *_, **__: None)
    artifact.task.figures(artifact.model, predictions, data, tmp_path)
    assert len(maps) == 4
    assert all(torch.allclose(shown.sum(-1), torch.ones(len(shown))) for shown in maps)
    # Each word is translated alone and in order: most of the attention lies near the diagonal.
    assert all(shown[0].argmax() <= 1 for shown in maps)
    ((names, heights),) = bars
    counts = [int(name.split("(")[1][:-1]) for name in names]
    assert sum(counts) == len(rows)
    low, high = names[-1].split("\n")[0].split("-")
    longest = [row for row in rows if int(low) <= len(row["source"].split()) <= int(high)]
    assert len(longest) == counts[-1]
    sides = [[row[name] for row in longest] for name in ("prediction", "label")]
    assert heights[-1] == pytest.approx(sacrebleu.corpus_bleu(sides[0], [sides[1]]).score)


def test_the_kept_model_translates(run):
    model = mla_train.load(run)
    (record, _) = model.predict(["two  three one", "six"])
    assert record["prediction"] == "zwei drei eins"
    assert -1 < record["score"] < 0


def test_the_model_explains_its_translation_and_a_given_one(run):
    artifact = load_model(run)
    own = artifact.task.explain(artifact.model, {"source": "two three one four"})
    other = artifact.task.explain(artifact.model, {"source": "two three one four", "target": "eins eins eins"})
    assert (own.prediction, other.prediction) == ("zwei drei eins vier", "eins eins eins")
    assert [view.name for view in own.attention] == ["source over source", "target over source", "target over target"]
    assert own.attention[1].keys.labels == ["two", "three", "one", "four", "end"]
    with torch.no_grad():
        scores = [float(each.score(artifact.model(each.batch))) for each in (own, other)]
        without_two = own.occlude(np.array([[False, True, True, True]]))
        occluded = float(own.score(artifact.model(without_two)))
    assert scores[0] > max(occluded, scores[1])


def test_overfitted_examples_are_shown_with_their_own_sources(folder, tmp_path):
    words = [*LEARN, "epochs=1", "debug=overfit", "debug.overfit=60", f"run_dir={tmp_path / 'run'}"]
    train(*words, cwd=folder)
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert all(row["label"] == " ".join(NUMBER_WORDS[word] for word in row["source"].split()) for row in rows)


def test_figures_are_drawn_by_the_network_at_rest_and_the_score_that_chose_is_kept(folder, tmp_path, monkeypatch):
    """With dropout on, maps would not be those of the translations."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLA_TRAIN_RUN_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    at_rest = []
    monkeypatch.setattr(Translation, "figures", lambda self, model, *_: at_rest.append(not model.training))
    settings = config(
        *LEARN, "epochs=3", "checkpoint.keep=best", "task.val_sample=5", "encoder.dim=16", f"run_dir={tmp_path / 'run'}"
    )
    results = run_whole(settings, find_run(settings))
    assert at_rest == [True]
    with (tmp_path / "run" / "metrics.csv").open() as stream:
        scores = [float(row["val/bleu"]) for row in csv.DictReader(stream) if row["val/bleu"]]
    # Of a greedy sample, not of the whole part by beam search.
    assert results["monitor"]["best"] == pytest.approx(max(scores))
    assert results["monitor"]["epoch"] == len(scores) - scores[::-1].index(max(scores))


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["task.model=seq2seq", "lr=1e-2", "epochs=3"],
        ["regularization.r_drop=1", "attention=mha", "data.tokens=char", "data.joint=false"],
        [
            "task.val_sample=null",
            "data.lowercase=true",
            "regularization=strong",
            "regularization.early_stopping=0",
            "epochs=6",
        ],
    ],
)
def test_other_ways_learn_too(folder, words, tmp_path):
    done = train(*LEARN, *words, f"run_dir={tmp_path / 'run'}", cwd=folder)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["metrics"]["test"]["bleu"] > 1.3 * results["baselines"]["nearest"]["bleu"], done.stdout
    assert results["attention"] == (
        "seq2seq" if "task.model=seq2seq" in words else "mha" if "attention=mha" in words else "mla"
    )
    if "data.lowercase=true" in words:
        assert "case:lc" in results["details"]["signatures"]["bleu"]
