"""A run on images with captions: what is learned, its baselines and figures, and its use."""

import csv
import sys

import numpy as np
import pytest

import mla_train
from mla_train.commands import evaluate, predict
from mla_train.data.examples import Examples, RawData
from mla_train.modalities import Image
from mla_train.report.run_report import report_run
from mla_train.task import build_task
from tasks.image_captioning.baselines import nearest_rows
from tests.helpers import check_report, config, read_jsonl, run_here, write_captions

DATA = ["task=image_captioning", "data=caption_files", "data.vocab_size=300", "data.val_share=0.2"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on bright and dark images, of two captions each: its folder, with the data beside it, and its results."""
    folder = tmp_path_factory.mktemp("captions")
    write_captions(folder, 50)
    words = [*DATA, f"data.root={folder}", "epochs=6", "lr=1e-2", "batch_size=8", "regularization=none"]
    return folder / "run", run_here(folder / "run", *words, report=report_run)


def test_captions_say_what_images_show(run):
    folder, results = run
    scores = results["metrics"]["test"]
    assert scores.keys() - {"loss"} == {"word_f1", "rougeL", "bleu", "bleu_tokenized", "chrf", "exact_match"}
    assert (scores["exact_match"], scores["word_f1"], scores["rougeL"]) == (1, 1, 100)
    assert results["monitor"]["name"] == "val/word_f1"
    assert results["baselines"]["nearest"]["word_f1"] == 1  # bright and dark are near to their like
    assert 0.4 < results["baselines"]["frequent"]["word_f1"] < 1
    assert results["intervals"]["word_f1"] == [1, 1]
    rows = read_jsonl(folder / "predictions.jsonl")
    assert len(rows) == 20
    kinds = {row["prediction"].split(",")[0] for row in rows}
    assert kinds == {"a dark night", "a bright day"}


def test_the_report_shows_where_words_attend(run):
    folder, _ = run
    check_report(folder, "word_f1 ↑", "rougeL (of 100) ↑", "Attention of words over their image", "target over image")
    assert (folder / "figures" / "words_over_images.png").stat().st_size > 10_000


def test_a_recurrent_decoder_has_no_attention_to_draw(run, tmp_path):
    words = [*DATA, f"data.root={run[0].parent}", "epochs=1", "task.model=seq2seq"]
    run_here(tmp_path / "run", *words, figures=True)
    assert not (tmp_path / "run" / "figures" / "words_over_images.png").exists()
    assert "not complete" not in (tmp_path / "run" / "log.txt").read_text()


def test_files_folders_and_tables_are_captioned_and_evaluated(run, monkeypatch, capsys):
    folder, results = run
    images = folder.parent / "Images"
    (record,) = mla_train.load(folder).predict([{"image": str(images / "1.png")}])
    assert record["prediction"].startswith("a bright day")

    def call(command, *words):
        monkeypatch.setattr(sys, "argv", ["command", "--run", str(folder), *map(str, words)])
        command.main()
        return capsys.readouterr().out

    assert '"prediction": "a dark night' in call(predict, "--image", images / "0.png")
    call(predict, "--input", images, "--output", folder.parent / "answers.csv")
    with (folder.parent / "answers.csv").open() as file:
        answers = {row["image"]: row["prediction"] for row in csv.DictReader(file)}
    assert len(answers) == 50
    assert answers["1.png"] == record["prediction"]
    assert f"{results['metrics']['test']['word_f1']:.4f}" in call(evaluate, "--draws", 20)
    table = folder.parent / "new.csv"
    table.write_text('image,caption\nImages/0.png,a dark night\nImages/0.png,"it is a dark night, really"\n')
    assert "word_f1" in call(evaluate, "--input", table, "--draws", 20)


def test_the_nearest_row_is_that_of_the_least_distance():
    generator = np.random.default_rng(0)
    rows, known = generator.normal(size=(20, 5)), generator.normal(size=(30, 5))
    distances = ((rows[:, None] - known) ** 2).sum(-1)
    assert nearest_rows(rows, known).tolist() == distances.argmin(1).tolist()


def test_the_most_frequent_words_are_as_many_as_are_best_on_val():
    settings = config("task=image_captioning", "data.vocab_size=300", "encoder.dim=16")
    task = build_task(settings)
    images = Image.example_values(60)

    def part(start, end, caption):
        return Examples({"image": images[start:end]}, [caption(i) for i in range(start, end)])

    train = part(0, 40, lambda i: ["red", "red cat", "red cat on", "red cat on mat"][i % 4])
    data = task.prepare(RawData({"train": train, "val": part(40, 50, lambda i: "cat red"), "test": part(50, 60, str)}))
    frequent = task.baselines(data)["frequent"](None)
    assert frequent.chosen == {"caption": "red cat"}
    assert set(frequent.test["predicted"]) == {"red cat"}
