"""A run is resumed on the data with which it began, or refused in one line."""

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from mla_train.errors import UserError
from mla_train.fingerprint import _digest, check_same_data, differences, fingerprint
from mla_train.task import build_task
from mla_train.training.checkpoints import Checkpoints
from tests.helpers import ROOT, config, example_data, load, run_here, stop_in_epoch, write_jsonl, write_pictures


def rows(count=40):
    return [
        {"text": f"{('fine', 'poor')[i % 2]} film {i % 20} of {i}", "label": ("a", "b")[i % 2]} for i in range(count)
    ]


def data_of(folder, content):
    file = write_jsonl(folder / "a.jsonl", content)
    return load("task=text_classification", "data=text_files", f"data.train={file}", "data.tfidf_features=0")


CHANGES = {
    "more rows": (lambda content: [*content, *rows(60)[40:]], ["29 train examples then, 43 now"]),
    "other labels": (
        lambda content: [{**row, "label": "b" if i < 10 else row["label"]} for i, row in enumerate(content)],
        ["labels of train"],
    ),
    "other texts of the same words": (
        lambda content: [{**row, "text": " ".join(row["text"].split()[::-1])} for row in content],
        ["values of text of train"],
    ),
    "other words": (
        lambda content: [{**row, "text": row["text"].replace("film", "book")} for row in content],
        ["vocabulary", "input text"],
    ),
    "other classes": (
        lambda content: [{**row, "label": {"a": "z", "b": "b"}[row["label"]]} for row in content],
        ["classes", "target"],
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_data_is_refused_in_one_line(change, tmp_path):
    before, again = (fingerprint(data_of(tmp_path, rows())) for _ in range(2))
    check_same_data(before, again, tmp_path)
    edit, expected = CHANGES[change]
    with pytest.raises(UserError) as error:
        check_same_data(before, fingerprint(data_of(tmp_path, edit(rows()))), tmp_path)
    for words in [*expected, "another run_dir="]:
        assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_other_data_can_be_accepted(tmp_path):
    before = fingerprint(data_of(tmp_path, rows()))
    now = fingerprint(data_of(tmp_path, CHANGES["other texts of the same words"][0](rows())))
    with pytest.raises(UserError, match=r"go on .* with resume_data=accept"):
        check_same_data(before, now, tmp_path)
    assert "values of text of train" in check_same_data(before, now, tmp_path, accept=True)[-1]


def test_a_checkpoint_of_an_earlier_version_that_knows_no_inputs_is_resumed(tmp_path):
    now = fingerprint(data_of(tmp_path, rows()))
    assert check_same_data({key: value for key, value in now.items() if key != "inputs"}, now, tmp_path) == []


def test_other_pixels_of_the_same_labels_are_noticed(tmp_path):
    write_pictures(tmp_path)
    words = ["data=image_folder", f"data.root={tmp_path}"]
    before = fingerprint(load(*words))
    (tmp_path / "cat").rename(tmp_path / "other")
    (tmp_path / "other").rename(tmp_path / "cat")
    assert fingerprint(load(*words)) == before
    file = tmp_path / "cat" / "3.png"
    picture = Image.open(file).convert("L").convert("RGB")
    picture.save(file)
    changed = fingerprint(load(*words))
    assert {kind for kind in before if before[kind] != changed[kind]} >= {"inputs"}
    assert before["targets"] == changed["targets"]


ORDER = """
import json
from tests.test_fingerprint import classes_and_fingerprints
print(json.dumps(classes_and_fingerprints()))
"""


def classes_and_fingerprints():
    """Classes and fingerprints of data sets with several labels, words and categories."""
    with TemporaryDirectory() as folder:
        labels = [f"class {letter}" for letter in "hgfedcba"]
        content = [{"text": f"word{i % 9} word{i % 7} of", "label": labels[i % 8], "id": i} for i in range(400)]
        sets = [{**row, "label": [row["label"], labels[(row["id"] * 3) % 8]]} for row in content]
        known = []
        for rows_of, words in ((content, []), (sets, ["task.head=multilabel"])):
            file = write_jsonl(Path(folder) / "a.jsonl", rows_of)
            source = ["task=text_classification", "data=text_files", f"data.train={file}"]
            data = load(*source, *words)
            known.append([data.spec.target.classes, fingerprint(data)])
    return known


@pytest.mark.slow
def test_the_order_of_classes_and_words_does_not_depend_on_the_seed_of_hashes():
    said = [
        subprocess.run(
            [sys.executable, "-c", ORDER],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert "class a" in said[0]


@pytest.mark.parametrize("words", [["task=forecasting"], ["task=translation", "data.train_size=300"], ["data=digits"]])
def test_every_kind_of_target_has_a_stable_fingerprint(words):
    first, again = (fingerprint(load(*words)) for _ in range(2))
    assert first == again


def test_a_digest_tells_values_apart():
    values = [1, "1", [1], [1, 2], [[1], 2], np.array([1, 2]), np.array([1.0, 2.0]), torch.tensor([2, 1]), None, ["12"]]
    assert len({_digest(value) for value in values}) == len(values)


def test_a_run_whose_table_has_changed_is_not_resumed(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", rows())
    words = ["task=text_classification", "data=text_files", f"data.train={file}", "epochs=2", "data.tfidf_features=0"]
    run_here(tmp_path / "run", *words)
    (tmp_path / "run" / "results.json").unlink()
    splits = (tmp_path / "run" / "data_splits.csv").read_bytes()
    write_jsonl(file, rows(60))
    with pytest.raises(UserError, match=r"run began: 29 train examples then, 43 now.*run_dir="):
        run_here(tmp_path / "run", *words, "resume=auto")
    assert (tmp_path / "run" / "data_splits.csv").read_bytes() == splits
    write_jsonl(file, rows())
    assert run_here(tmp_path / "run", *words, "resume=auto")["examples"]["train"] == 29
    (tmp_path / "run" / "results.json").unlink()
    write_jsonl(
        file,
        [
            {**row, "text": row["text"].replace("fine", "xx").replace("poor", "fine").replace("xx", "poor")}
            for row in rows()
        ],
    )
    accept = [*words, "resume=auto", "resume_data=accept"]
    results = run_here(tmp_path / "run", *accept)
    assert any("resumed on other data: values of text" in note for note in results["notes"])
    (tmp_path / "run" / "results.json").unlink()
    write_jsonl(file, [{**row, "text": f"{row['text']} and word{i % 7}"} for i, row in enumerate(rows())])
    with pytest.raises(UserError, match=r"does not fit the network.*embed.*begin anew"):
        run_here(tmp_path / "run", *accept)


def test_accepted_data_is_said_in_the_results_of_each_later_resumption(tmp_path):
    file = write_jsonl(tmp_path / "a.jsonl", rows())
    words = ["task=text_classification", "data=text_files", f"data.train={file}", "epochs=3", "data.tfidf_features=0"]
    for epoch, extra in ((1, []), (2, ["resume=auto", "resume_data=accept"])):
        with mock.patch.object(Checkpoints, "on_train_epoch_start", stop_in_epoch(epoch)), pytest.raises(RuntimeError):
            run_here(tmp_path / "run", *words, *extra)
        write_jsonl(file, [{**row, "text": " ".join(reversed(row["text"].split()))} for row in rows()])
    results = run_here(tmp_path / "run", *words, "resume=auto")  # its checkpoint knows the new data alone
    assert any("resumed on other data: values of text" in note for note in results["notes"])


def test_series_are_the_same_in_a_terminal_of_any_width_and_each_value_counts(monkeypatch):
    data = example_data(build_task(config("task=forecasting")))
    monkeypatch.setenv("COLUMNS", "300")
    before = fingerprint(data)
    monkeypatch.setenv("COLUMNS", "20")
    assert fingerprint(data) == before
    frame = data.train.targets.series.table.frame
    frame.iloc[len(frame) // 2, 0] += 1e-9
    assert differences(before, fingerprint(data)) == ["series of train, val, test differ"]


def test_a_forecaster_of_an_earlier_version_is_resumed(tmp_path):
    now = fingerprint(example_data(build_task(config("task=forecasting"))))
    before = {key: value for key, value in now.items() if key != "windows"}
    before["targets"] = dict.fromkeys(("train", "val", "test"), "of another terminal")
    assert check_same_data(before, now, tmp_path) == []
