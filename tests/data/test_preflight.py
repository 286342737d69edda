"""What files alone tell is said before torch is loaded."""

import os
import pickle
import subprocess
import sys

import pandas as pd
import pytest

from mla_train.data import reading
from mla_train.data.preflight import check_files
from mla_train.data.reading import read, read_ahead
from mla_train.errors import UserError
from tests.helpers import ROOT, config, train, write_aligned, write_pairs, write_pictures

TEXTS = ("task=text_classification", "data=text_files")
SERIES = ("task=forecasting", "data=series_csv")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("text,label\n")
    (tmp_path / "odd.csv").write_text("txt,lab\na,b\n")
    (tmp_path / "good.csv").write_text("text,label\na,b\n")
    (tmp_path / "late.jsonl").write_text('{"text": "a"}\n' * 2000 + '{"text": "a", "label": "b"}\n')
    pd.DataFrame({"txt": ["a"]}).to_parquet(tmp_path / "odd.parquet")
    (tmp_path / "load.csv").write_text("date,load\n2024-01-01,1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*TEXTS, "data.train=nope.csv"), "nope.csv: there is no such file"),
        ((*TEXTS, "data.train=good.csv", "data.test=nope.json"), "nope.json: there is no such file"),
        ((*TEXTS, "data.train='nope/*.csv'"), "no file there can be read"),
        ((*TEXTS, "data.root=nope"), "data.root=nope: there is no such folder"),
        ((*TEXTS, "data.train=empty.csv"), "empty.csv has no rows"),
        ((*TEXTS, "data.train=odd.csv"), "data.text_column="),
        ((*TEXTS, "data.train=odd.parquet"), "data.text_column="),
        ((*TEXTS, "data.train=good.csv", "data.test=odd.csv"), "odd.csv has no column text"),
        ((*TEXTS, "data.train=odd.csv", "data.text_column=txt"), "data.label_column="),
        ((*TEXTS, "data.train=good.csv", "data.text_column=[text,body]"), "no column body"),
        ((*TEXTS, "data.train=good.csv", "data.group_column=author"), "no column author"),
        ((*TEXTS, "data.train=good.csv", "data.split_column=part"), "no column part"),
        ((*SERIES, "data.path=nope.csv"), "nope.csv: there is no such file"),
        ((*SERIES, "data.path=load.csv", "data.targets=[price]"), "no column price; there are date, load"),
        ((*SERIES, "data.path=load.csv", "data.time_column=[day,hour]"), "no column day"),
        (("task=translation", "data=pair_files", "data.train=odd.csv"), "data.source_column="),
        (("data=image_folder", "data.root=nope"), "data.root=nope: there is no such folder"),
    ],
)
def test_mistakes_in_files_are_found_by_their_beginnings(words, message, folder):
    with pytest.raises(UserError, match=message):
        check_files(config(*words).data)


def test_small_files_are_read_before_torch_is_loaded(folder):
    hours = pd.date_range("2024-01-01", periods=60, freq="h")
    pd.DataFrame({"time": hours, "load": [*range(59), "x12"]}).to_csv(folder / "bad.csv", index=False)
    pd.DataFrame({"time": [*hours, *hours], "shop": ["a"] * 60 + ["b"] * 60, "load": 1.5}).to_csv(
        folder / "stack.csv", index=False
    )
    (folder / "no_label.jsonl").write_text('{"text": "a", "label": "b"}\n' * 2000 + '{"text": "a", "label": null}\n')
    (folder / "twice.csv").write_text("text,label,label\na,b,c\n")
    pd.DataFrame({"txt": ["a"], "label": ["b"]}).to_excel(folder / "odd.xlsx")
    (folder / "odd.json").write_text('[{"txt": "a", "label": "b"}]')
    (folder / "waves.csv").write_text("label,t0,t1\na,1,2\n,1,2\n")
    for name in ("first", "second"):
        write_pictures(folder / "parts" / name)
    wrong = (
        ((*TEXTS, "data.train=no_label.jsonl"), "1 rows without label, the first is line 2001"),
        ((*TEXTS, "data.train=twice.csv"), "several columns label"),
        ((*TEXTS, "data.train=odd.xlsx"), r"data\.text_column="),
        ((*TEXTS, "data.train=odd.json"), r"data\.text_column="),
        ((*SERIES, "data.path=bad.csv"), r"data\.na_values=\['x12'\]"),
        ((*SERIES, "data.path=stack.csv"), r"data\.series_column="),
        (("task=series_classification", "data=series_files", "data.train=waves.csv"), "1 rows without label"),
        (("data=image_folder", "data.root=parts"), r"data\.train=FOLDER"),
        (("data=image_table", "data.train=good.csv"), r"data\.image_column="),
    )
    for words, message in wrong:
        with pytest.raises(UserError, match=message):
            read_ahead(config(*words).data)
    words = [config(*each).data for each, _ in wrong]
    code = (
        "import pickle, sys; from contextlib import suppress; from mla_train.data.reading import read_ahead;"
        "from mla_train.errors import UserError\n"
        "for options in pickle.load(sys.stdin.buffer):\n    with suppress(UserError):\n        read_ahead(options)\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code],
            input=pickle.dumps(words),
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        ).returncode
        == 0
    )


def test_what_was_read_ahead_is_not_read_again(folder, monkeypatch):
    options, other = (config(*TEXTS, "data.train=good.csv", f"data.split_seed={seed}").data for seed in (0, 1))
    read_ahead(options)
    (folder / "good.csv").write_text("text,label\nnew,b\n")
    assert read(options).splits["train"].inputs["text"] == ["a"]
    assert read(options).splits["train"].inputs["text"] == ["new"]
    read_ahead(options)
    (folder / "good.csv").write_text("text,label\nnewer,b\n")
    assert read(other).splits["train"].inputs["text"] == ["newer"]
    assert read(options).splits["train"].inputs["text"] == ["newer"]
    monkeypatch.setattr(reading, "SMALL", 10)
    read_ahead(options)
    (folder / "good.csv").write_text("text,label\nnewest,b\n")
    assert read(options).splits["train"].inputs["text"] == ["newest"]


def test_other_kinds_of_data_are_left_to_their_readers(folder):
    write_pictures(folder / "images")
    pairs = [("a", "b")]
    write_pairs(folder / "pairs.csv", pairs)
    write_aligned(folder, "train", pairs)
    (folder / "waves.tsv").write_text("1\t0.5\t0.6\n")
    for words in (
        (),
        (*TEXTS, "data.train=late.jsonl"),
        (*TEXTS, "data.hub=nobody/nothing"),
        (*TEXTS, "data.train=good.csv", "data.split_column=good.csv"),
        ("data=image_folder", "data.root=images"),
        ("data=fashion_mnist", "data.root=nope", "data.download=true"),
        ("task=translation", "data=pair_files", "data.root=."),
        ("task=translation", "data=pair_files", "data.train=[train.en,train.de]"),
        ("task=series_classification", "data=series_files", "data.train=waves.tsv"),
        ("task=multimodal_sentiment", "data=text_image_files", "data.train=good.csv", "data.modalities=[text]"),
    ):
        check_files(config(*words).data)


def test_the_command_says_it_before_torch(folder):
    done = train(*TEXTS, "data.train=nope.csv", cwd=folder, check=False)
    assert done.returncode == 2
    assert "nope.csv: there is no such file" in done.stderr
    assert "loading torch" not in done.stdout
    code = "import sys; import mla_train.commands.train, mla_train.data.preflight; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
