"""What files alone tell is said before torch is loaded."""

import subprocess
import sys

import pandas as pd
import pytest

from mla_train.data.preflight import check_files
from mla_train.errors import UserError
from tests.helpers import config, train, write_aligned, write_pairs, write_pictures

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
