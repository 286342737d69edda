"""The whole task at the command line: own texts, scores beside baselines, figures, the trained model in use."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from rouge_score.rouge_scorer import RougeScorer

import mla_train
from mla_train.commands import evaluate, predict
from mla_train.data.tokenizers import END_ID
from mla_train.dataset import raw_batch
from mla_train.inference.artifact import load_model
from tasks.summarization.task import first_sentences
from tests.helpers import check_report, train

LEARN = [
    "task=summarization", "data=summary_files", "data.train=news.csv", "data.vocab_size=300", "batch_size=16", "epochs=8",
    "lr=5e-3", "encoder.dim=32",
]  # fmt: skip
CITIES = ["Aalen", "Bergen", "Cadiz", "Dover", "Essen", "Faro", "Genoa", "Hull"]


def news(count, seed=0):
    """Texts whose summary is a name, which no other text has, with what happened there."""
    chance = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        name = "".join(chance.choice(list("bdfgklmnprst")) + chance.choice(list("aeiou")) for _ in range(3))
        city, year = chance.choice(CITIES), chance.integers(1900, 2000)
        verb = chance.choice(["opened", "closed"])
        rows.append((f"It rained in {year}. People say that {name} {verb} in {city}.", f"{name} {verb}"))
    return pd.DataFrame(rows, columns=["article", "highlights"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("news")
    news(700).to_csv(folder / "news.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A finished run on a table of one's own."""
    train(*LEARN, "run_dir=run", cwd=folder, pages=True)
    return folder / "run"


def test_names_that_were_never_read_are_copied(run):
    results = json.loads((run / "results.json").read_text())
    scores, baselines = results["metrics"]["test"], results["baselines"]
    assert scores.keys() >= {"rouge1", "rouge2", "rougeL"}
    assert results["monitor"]["name"] == "val/rougeL"
    assert baselines.keys() == {"lead", "nearest"}
    assert scores["rougeL"] > 70 > 55 > max(each["rougeL"] for each in baselines.values())
    assert results["details"]["signatures"].keys() == {"rouge1", "rouge2", "rougeL"}


def test_scores_are_those_of_rouge_score(run):
    rows = [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]
    scorer = RougeScorer(["rouge2", "rougeL"], use_stemmer=True)
    scores = [scorer.score(row["label"], row["prediction"]) for row in rows]
    test = json.loads((run / "results.json").read_text())["metrics"]["test"]
    for name in ("rouge2", "rougeL"):
        assert test[name] == pytest.approx(100 * np.mean([each[name].fmeasure for each in scores]))


def test_the_report_and_the_figures(run):
    check_report(run, "rougeL (of 100) ↑", "ROUGE-L by length of the text", "copied from the text", "Worst mistakes")
    drawn = {path.name: path.stat().st_size for path in (run / "figures").glob("*.png")}
    assert drawn.keys() == {"rouge_by_length.png", "copies.png", "curves.png"}
    assert min(drawn.values()) > 5000


def test_copies_point_at_the_name(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    artifact = load_model(run)
    explained = artifact.task.explain(artifact.model, {"text": "It rained. People say that gonafu opened in Hull."})
    head = artifact.model.head
    with torch.no_grad():
        weights = head.copy_map(artifact.model.encode(explained.batch), explained.batch)[0]
    first = int(weights[0].argmax())
    tokens = explained.batch.inputs["text"].tokens[0]
    assert "gonafu".startswith(head.tokenizer.decode([int(tokens[first])]).strip())
    assert bool((weights >= 0).all())
    assert float(weights.sum(-1).max()) <= 1.0001


def test_the_trained_model_is_used(run, tmp_path, capsys, monkeypatch):
    text = "It rained in 1950. People say that gonafu opened in Hull."
    model = mla_train.load(run)
    (record,) = model.predict([{"text": text}])
    assert record["prediction"].split()[-1] == "opened"
    head = model.network.head
    for least, most in ((0, 2), (12, 12)):
        head.options.min_tokens, head.options.max_tokens = least, most
        for options in ({"beams": 1}, {"beams": 4}, {"temperature": 1.0}):
            with torch.no_grad():
                memory = head.memory(model.network.encode(raw_batch(model.spec, [{"text": text}])))
                ((written, *_),) = head.generate(memory, **options)
            assert least <= len(written.tokens) <= most
            assert END_ID not in written.tokens
    news(30, seed=1).to_csv(tmp_path / "new.csv", index=False)
    for command, words in (
        (predict, ["--input", str(tmp_path / "new.csv"), "--output", str(tmp_path / "out.csv")]),
        (evaluate, ["--input", str(tmp_path / "new.csv")]),
    ):
        monkeypatch.setattr("sys.argv", ["script", "--run", str(run), *words])
        command.main()
    assert len(pd.read_csv(tmp_path / "out.csv")) == 30
    assert "rougeL" in capsys.readouterr().out


def test_the_lead_is_whole_sentences():
    texts = ["One. Two! Three? Four.", "No end", "Of 1.5 m. Next."]
    assert first_sentences(texts, 1) == ["One.", "No end", "Of 1.5 m."]
    assert first_sentences(texts, 3) == ["One. Two! Three?", "No end", "Of 1.5 m. Next."]


@pytest.mark.parametrize("words", [["task.copy=false"], ["attention=mha", "task.model=seq2seq"]])
@pytest.mark.slow
def test_other_networks_learn_too(folder, words, tmp_path):
    train(*LEARN, *words, "epochs=2", f"run_dir={tmp_path / 'run'}", cwd=folder, pages=True)
    drawn = {path.name for path in (tmp_path / "run" / "figures").glob("*.png")}
    assert ("cross_attention.png" in drawn) == ("task.copy=false" in words)
