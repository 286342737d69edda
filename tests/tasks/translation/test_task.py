"""The whole task at the command line: own pairs, their scores, pictures and the kept model."""

import csv
import json
import sys

import pytest
import sacrebleu
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from mla_train.training.build import build_data, build_task
from mla_train.training.model_folder import load_model
from omegaconf import OmegaConf
from tasks.translation.scores import Scores

from mla_train.config.compose import to_typed_config
from mla_train.training.run import run as run_whole
from mla_train.training.run_folder import find_run
from tasks.translation import TranslationTask
from tests.helpers import config, train
from tests.tasks.translation.test_data import WORDS, distinct, write
from tests.test_configs import batch_for, pair_facts

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
    write(folder / "pairs.csv", distinct(900))
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A finished run on a table of one's own."""
    done = train(*LEARN, "run_dir=run", "regularization.average_epochs=3", "regularization.ema_decay=0", cwd=folder)
    assert "no val part is given: cut" in done.stdout
    return folder / "run"


def test_words_and_their_order_are_learned(run):
    results = json.loads((run / "results.json").read_text())
    scores, baselines = results["metrics"]["test"], results["baselines"]
    assert scores["exact_match"] > 0.9
    assert scores["bleu"] > 90 > 60 > baselines["nearest"]["bleu"] > baselines["copy"]["bleu"]
    assert results["details"]["signatures"]["bleu"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert "tok:none" in results["details"]["signatures"]["bleu_tokenized"]
    # tiny decodes with 2 layers, latent 16 and rotary part 16, four bytes each
    assert results["model"]["cache_bytes_per_token"] == 2 * (16 + 16) * 4


def test_predictions_and_figures(run):
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 45
    for row in rows:
        assert row["reference"] == " ".join(WORDS[word] for word in row["source"].split())
    right = sum(row["output"] == row["reference"] for row in rows) / len(rows)
    assert right == json.loads((run / "results.json").read_text())["metrics"]["test"]["exact_match"]
    drawn = {path.name: path.stat().st_size for path in (run / "figures").iterdir()}
    assert drawn.keys() == {"bleu_by_length.png", "cross_attention.png", "curves.png"}
    assert min(drawn.values()) > 5000


def test_figures_show_what_they_say(run, monkeypatch, tmp_path):
    data = build_data(to_typed_config(OmegaConf.load(run / "config.yaml")))
    monkeypatch.chdir(run.parent)
    data.setup()
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    predictions = {name: [row[name] for row in rows] for name in ("index", "output", "reference")}
    task = load_model(run)
    maps, bars = [], []
    monkeypatch.setattr(Axes, "imshow", lambda self, shown, **_: maps.append(shown) or ScalarMappable())
    monkeypatch.setattr(Axes, "bar", lambda self, names, heights, **_: bars.append((names, heights)))
    monkeypatch.setattr(Axes, "bar_label", lambda *_, **__: None)
    task.figures(predictions, data, tmp_path)
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
    sides = [[row[name] for row in longest] for name in ("output", "reference")]
    assert heights[-1] == pytest.approx(sacrebleu.corpus_bleu(sides[0], [sides[1]]).score)


def test_the_kept_model_translates(run):
    task = load_model(run)
    tokenizer = task.written
    source = torch.tensor([[*tokenizer.encode("two three one").ids, 3]])
    with torch.no_grad():
        assert task.translate(source, beams=4) == ["zwei drei eins"]


def test_overfitted_examples_are_shown_with_their_own_sources(folder, tmp_path):
    words = [*LEARN, "epochs=1", "debug=overfit", "debug.overfit=60", f"run_dir={tmp_path / 'run'}"]
    train(*words, cwd=folder)
    rows = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert all(row["reference"] == " ".join(WORDS[word] for word in row["source"].split()) for row in rows)


def test_figures_are_drawn_by_the_network_at_rest_and_the_score_that_chose_is_kept(folder, tmp_path, monkeypatch):
    """With dropout on, maps would not be those of the translations."""
    monkeypatch.chdir(folder)
    monkeypatch.delenv("MLA_TRAIN_RUN_DIR", raising=False)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    at_rest = []
    monkeypatch.setattr(TranslationTask, "figures", lambda self, *_: at_rest.append(not self.training))
    settings = config(*LEARN, "epochs=3", "task.val_sample=5", "encoder.dim=16", f"run_dir={tmp_path / 'run'}")
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
        ["task.model=seq2seq", "lr=1e-2"],
        ["regularization.r_drop=1", "attention=mha", "data.tokens=char", "data.joint=false"],
        ["task.val_sample=null", "data.lowercase=true", "regularization=strong", "regularization.early_stopping=0"],
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


def test_scores_are_those_of_sacrebleu():
    outputs = ["Der Hund lief über die Straße.", "Eine Katze, die schläft!", "Das ist gut"]
    references = ["Der Hund lief über die Straße.", "Eine Katze, die dort schläft!", "das ist gut"]
    scores = Scores("de", lowercase=False)(outputs, references)
    assert scores["bleu"] == sacrebleu.corpus_bleu(outputs, [references]).score
    assert scores["chrf"] == sacrebleu.corpus_chrf(outputs, [references]).score
    assert scores["exact_match"] == pytest.approx(1 / 3)
    by_hand = [
        ["der hund lief über die straße .", "eine katze , die schläft !", "das ist gut"],
        ["der hund lief über die straße .", "eine katze , die dort schläft !", "das ist gut"],
    ]
    expected = sacrebleu.corpus_bleu(by_hand[0], [by_hand[1]], tokenize="none", force=True).score
    assert scores["bleu_tokenized"] == expected > scores["bleu"]
    assert Scores("de", lowercase=True)(outputs, references)["exact_match"] == pytest.approx(2 / 3)


def test_only_the_sample_is_translated_while_training(monkeypatch):
    task = build_task(config("task=translation", "encoder.dim=16", "task.val_sample=2"), pair_facts())
    batch = batch_for(task.facts)

    class Fitting:
        class state:
            fn = "fit"

    Fitting.val_dataloaders = type("Loader", (), {"dataset": range(4)})
    monkeypatch.setattr(type(task), "trainer", Fitting)
    monkeypatch.setattr(task, "_trainer", Fitting)
    predictions = task.predict(None, batch)
    assert [output is None for output in predictions["output"]] == [False, True, False, True]  # spread
    assert task.metrics(predictions).keys() == task.directions.keys()


def test_divergence_of_two_passes_counts_real_tokens_only():
    task = build_task(config("task=translation", "encoder.dim=16"), pair_facts())
    batch = batch_for(task.facts)
    batch.target[0, 4:] = 0
    first, second = torch.randn(2, 4, 6, 9, dtype=torch.double)
    expected = 0.0
    for row in range(4):
        for place in range(6):
            if batch.target[row, 1 + place]:
                p, q = first[row, place].softmax(0), second[row, place].softmax(0)
                expected += (F.kl_div(q.log(), p, reduction="sum") + F.kl_div(p.log(), q, reduction="sum")) / 4
    torch.testing.assert_close(task.divergence(first, second, batch), expected.float(), rtol=1e-4, atol=1e-5)
    assert task.divergence(first, first, batch) == 0
