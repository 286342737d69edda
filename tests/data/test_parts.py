"""Files of a folder that hold splits, files that are not what their ending says, and sheets."""

import gzip

import numpy as np
import pandas as pd
import pytest

from mla_train.config import TableOptions
from mla_train.data.readers import read_table_examples
from mla_train.data.tables.splits import find_parts
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError
from tests.helpers import config

ROWS = "text,label\na,x\nb,y\n"


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(gzip.compress(ROWS.encode()) if name.lower().endswith(".gz") else ROWS.encode())


@pytest.mark.parametrize(
    "names",
    [
        ("train.csv", "train_1.csv"), ("Train.csv", "train2.csv"), ("Train.csv", "train.csv.gz"), ("train.csv", "train.tsv"),
        ("train.csv", "train/a.csv"), ("train.csv", "training.csv"), ("train.csv", "train-00000-of-00002.csv"),
    ],
)  # fmt: skip
def test_several_ways_to_name_a_split_are_asked(names, tmp_path):
    write(tmp_path, *names)
    with pytest.raises(UserError, match=r"data\.train=\[FILE,FILE\]") as caught:
        find_parts(tmp_path)
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    "names",
    [
        ("train_0.csv", "train_1.csv"),
        ("train/part-0.csv", "train/part-1.csv"),
        ("train1.csv", "train2.csv"),
        ("TRAIN.CSV.GZ",),
    ],
)
def test_parts_of_a_split_are_found(names, tmp_path):
    write(tmp_path, *names, "test_2016.csv", "test_2017.csv")
    parts = find_parts(tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in parts["train"]] == list(names)
    assert [file.name for file in parts["test"]] == ["test_2016.csv"]
    assert len(read_table(parts["train"][0])) == 2


def test_tables_that_belong_to_no_split_are_said(tmp_path):
    write(tmp_path, "train.csv", "test.csv", "more.csv")
    raw = read_table_examples(
        config("task=text_classification", "data=text_files", f"data.root={tmp_path}").data, ["text"]
    )
    assert [note for note in raw.notes if "more.csv is not read" in note]


def test_a_missing_table_is_called_a_file(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        find_parts(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(ROWS.encode(), mtime=0), r"compressed .*add \.gz"),
        (b"PAR1....", r"parquet .*call it \.parquet"),
        (b"PK\x03\x04....", r"zip .*call it \.xlsx"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page .*download the file"),
    ],
)
def test_files_that_are_not_what_their_ending_says(content, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.csv is .*{message}"):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-8-sig"])
def test_wide_characters_are_known_by_mark_or_zeros(encoding, tmp_path):
    (tmp_path / "a.csv").write_bytes(ROWS.replace("a,", "ä,").encode(encoding))
    assert read_table(tmp_path / "a.csv").cells == {"text": ["ä", "b"], "label": ["x", "y"]}


def test_sheets_with_titles_blanks_and_hidden_sheets(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.sheet_state = "hidden"
    sheet = book.create_sheet("films")
    for row in (["My films 2024"], [" ", None], ["text", "label"], ["a", "x"], [" ", " "], ["b", "y"]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx")
    assert table.cells == {"text": ["a", "b"], "label": ["x", "y"]}
    assert any("films is read" in note for note in table.notes)
    assert any("header is row 3" in note for note in table.notes)


def test_a_sheet_with_a_title_alone_is_passed_over_and_a_sum_is_said(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.active.append(["Films of 2024"])
    sheet = book.create_sheet("films")
    for row in (["text", "label"], ["a", 4], ["b", 5], [None, None], ["Total:", 9]):
        sheet.append(row)
    book.save(tmp_path / "a.xlsx")
    table = read_table(tmp_path / "a.xlsx")
    assert table.cells == {"text": ["a", "b", "Total:"], "label": [4, 5, 9]}
    assert any("films is read" in note for note in table.notes)
    assert any("the last row, row 5, may be a sum and no example: Total:, 9" in note for note in table.notes)


def test_missing_labels_of_arrays_are_missing(tmp_path):
    for kind in (np.float16, np.float32):
        np.savez(tmp_path / "a.npz", text=np.array(["a", "b"]), label=np.array([1, np.nan], kind))
        options = config("task=text_classification", "data=text_files", f"data.train={tmp_path / 'a.npz'}").data
        with pytest.raises(UserError, match="1 rows without label"):
            read_table_examples(options, ["text"])


def test_a_table_without_columns_says_so(tmp_path):
    (tmp_path / "a.json").write_text("[{}]")
    with pytest.raises(UserError, match="it has no columns"):
        read_table(tmp_path / "a.json").column("text")


def test_decimals_of_parquet_are_numbers_to_forecast(tmp_path):
    from decimal import Decimal

    from mla_train.config import TableOptions
    from mla_train.data.tables.numbers import as_numbers

    pd.DataFrame({"y": [Decimal("1.10"), None]}).to_parquet(tmp_path / "a.parquet")
    found = as_numbers("y", read_table(tmp_path / "a.parquet").cells["y"], TableOptions(), [])
    np.testing.assert_array_equal(found, [1.1, np.nan])


def test_sheets_without_header_empty_first_sheets_and_formulas(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    file = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    sheet = book.create_sheet("data")
    for row in (("good", 1, "=B1*2"), ("bad", 2, "=B2*2")):
        sheet.append(row)
    book.save(file)
    table = read_table(file, TableOptions(header=False))
    assert table.cells == {"column_1": ["good", "bad"], "column_2": [1, 2], "column_3": [None, None]}
    assert any("2 formulas have no stored result" in note for note in table.notes)
    assert any("2 sheets: data is read" in note for note in table.notes)
