"""A run on images with captions: what is learned, its baselines and figures, and its use."""

import csv
import sys
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mla_train
from mla_train.commands import evaluate, predict
from mla_train.data.batch import Batch
from mla_train.data.examples import Examples, RawData
from mla_train.data.tokenizers import END_ID, PAD_ID, START_ID
from mla_train.dataset import raw_batch
from mla_train.heads.keywords import agreed_words, shuffle_words
from mla_train.heads.text_targets import GenerationTargets
from mla_train.modalities import Image
from mla_train.report.run_report import report_run
from mla_train.task import build_task
from tests.helpers import (
    SMALL,
    check_report,
    config,
    example_data,
    randomize,
    read_jsonl,
    run_here,
    write_captions,
)

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
    assert (scores["exact_match"], scores["word_f1"]) == (1, 1)
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
    check_report(folder, "word_f1 ↑", "Attention of words over their image", "target over image")
    assert (folder / "figures" / "words_over_images.png").stat().st_size > 10_000


def test_a_recurrent_decoder_has_no_attention_to_draw(run, tmp_path):
    words = [*DATA, f"data.root={run[0].parent}", "epochs=1", "task.model=seq2seq", "task.decoder.depth=null"]
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


WORDS = st.lists(st.sampled_from("abcd"), max_size=4)


@given(st.lists(WORDS, min_size=1, max_size=5))
def test_words_are_agreed_on_by_their_expected_f1(captions):
    """No other set of words has a larger one."""
    sets = [set(caption) for caption in captions]

    def expected(words):
        sizes = [len(words) + len(each) for each in sets]
        return np.mean([2 * len(words & each) / size if size else 1 for each, size in zip(sets, sizes, strict=True)])

    words, value = agreed_words(captions)
    assert value == pytest.approx(expected(set(words)))
    assert value == pytest.approx(max(expected(set(some)) for n in range(5) for some in combinations("abcd", n)))


def test_agreed_words_stand_in_their_usual_order():
    captions = [
        ["file", "plus", "outline"],
        ["file", "outline"],
        ["box", "plus", "outline"],
        ["file", "plus", "outline"],
    ]
    assert agreed_words(captions)[0] == ["file", "plus", "outline"]


def test_keywords_of_an_image_do_not_depend_on_other_images():
    torch.manual_seed(0)
    settings = config("task=image_captioning", *SMALL)
    task = build_task(settings)
    data = example_data(task)
    model = randomize(task.build_model(data.spec).eval(), 0.3)
    images = [data.test.raw(place) for place in range(4)]
    together = model.predict(raw_batch(data.spec, images))
    for place, image in enumerate(images):
        alone = model.predict(raw_batch(data.spec, [image]))
        assert alone["predicted"] == together["predicted"][place : place + 1]
        assert alone["score"][0] == pytest.approx(together["score"][place])
    assert len(set(together["predicted"])) > 1
    model.head.n_best = 3
    several = model.predict(raw_batch(data.spec, images[:1]))
    assert several["predicted"] == together["predicted"][:1]
    assert len(several["others"][0]) == 2


def test_words_of_lists_are_shuffled_whole_and_in_half_of_the_texts():
    starts = torch.tensor([False] * 4 + [True, False] * 3)  # 4 5, 6 7, 8 9 are words of two tokens
    text = [START_ID, 4, 5, 6, 7, 8, 9, END_ID, PAD_ID]
    batch = Batch(torch.arange(400), {}, GenerationTargets(torch.tensor([text] * 400), ["a b c"] * 400))
    torch.manual_seed(0)
    shuffle_words(batch, starts)
    orders = Counter(tuple(row[1:7]) for row in batch.targets.tokens.tolist())
    assert set(orders) == {sum(order, ()) for order in permutations([(4, 5), (6, 7), (8, 9)])}
    assert orders[4, 5, 6, 7, 8, 9] == pytest.approx(400 * (1 / 2 + 1 / 12), rel=0.15)
    assert (batch.targets.tokens[:, [0, 7, 8]] == torch.tensor([START_ID, END_ID, PAD_ID])).all()


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
