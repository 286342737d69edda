"""A run is resumed on the data with which it began, or refused in one line."""

import numpy as np
import pytest
import torch

from mla_train.errors import UserError
from mla_train.training.fingerprint import _digest, check_same_data, fingerprint
from tests.helpers import load, run_here, write_jsonl


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
    write_jsonl(file, rows(60))
    with pytest.raises(UserError, match=r"run began: 29 train examples then, 43 now.*run_dir="):
        run_here(tmp_path / "run", *words, "resume=auto")
    write_jsonl(file, rows())
    assert run_here(tmp_path / "run", *words, "resume=auto")["examples"]["train"] == 29
