"""Tables of all kinds, whole and broken."""

import bz2
import gzip
import json
import lzma
import re

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from datasets import Dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from mla_train.data.tables import open_source
from mla_train.data.tables.cells import as_text, is_missing, is_row_number
from mla_train.data.tables.splits import find_parts, named_files
from mla_train.data.tables.table import read_table
from mla_train.errors import UserError

ROWS = [{"text": "Grüße, ihr Lieben", "label": "de"}, {"text": 'said "no"\ntwice', "label": "en"}]


def rows_of(table):
    return [dict(zip(table.cells, row, strict=True)) for row in zip(*table.cells.values(), strict=True)]


def write(folder, kind):
    file = folder / f"train{kind}"
    if kind == ".parquet":
        Dataset.from_list(ROWS).to_parquet(str(file))
        return file
    plain = kind.split(".")[1]
    if plain == "jsonl":
        content = "".join(json.dumps(row) + "\n" for row in ROWS)
    else:
        separator = "\t" if plain == "tsv" else ","
        cells = [[f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row.values()] for row in ROWS]
        content = "\n".join(separator.join(row) for row in [["text", "label"], *cells]) + "\n"
    opener = {"gz": gzip.open, "xz": lzma.open, "bz2": bz2.open}.get(kind.split(".")[-1], open)
    with opener(file, "wb") as stream:
        stream.write(content.encode())
    return file


@pytest.mark.parametrize(
    "kind", [".jsonl", ".jsonl.gz", ".jsonl.xz", ".csv", ".csv.bz2", ".tsv", ".tsv.gz", ".parquet"]
)
def test_every_kind_gives_the_same_rows(kind, tmp_path):
    table = read_table(write(tmp_path, kind))
    assert rows_of(table) == ROWS
    assert table.columns == ["text", "label"]
    assert not table.broken
    assert find_parts(tmp_path) == {"train": [tmp_path / f"train{kind}"]}


def test_a_json_list_and_semicolons_as_spreadsheets_write_them(tmp_path):
    (tmp_path / "a.json").write_text('[{"a": 1},\n 7, {"a": 2}]')
    table = read_table(tmp_path / "a.json")
    assert rows_of(table) == [{"a": 1}, {"a": 2}]
    assert [re.search(r"(item|line) (\d)", place)[2] for place in table.broken] == ["2"]
    (tmp_path / "a.csv").write_text('text;label\n"well, well";good\n')
    assert rows_of(read_table(tmp_path / "a.csv")) == [{"text": "well, well", "label": "good"}]


def test_broken_rows_are_named_by_line(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n\n{"a": \n{"a": "\xff"}\n[1]\n{"a": 2}\n')
    table = read_table(tmp_path / "a.jsonl")
    assert table.cells["a"] == [1, 2]
    assert [re.search(r"line (\d)", place)[1] for place in table.broken] == ["3", "4", "5"]
    (tmp_path / "a.csv").write_text("a,b\n1,2\n3\n4,5,6\n7,8\n")
    table = read_table(tmp_path / "a.csv")
    assert table.cells["a"] == ["1", "7"]
    assert [re.search(r"line (\d)", place)[1] for place in table.broken] == ["3", "4"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "has no rows"),
        ("a.csv", b"text,label\n", "has no rows"),
        ("a.jsonl", b"\n\n", "has no rows"),
        ("a.csv", "täxt\ngut\n".encode("latin-1"), r"line 1 is not UTF-8: .*data\.encoding="),
        ("a.odt", b"x", r"cannot read \.odt; use \.csv"),
        ("a.parquet", b"x", "cannot be read"),
        ("a.jsonl.gz", b"x", "cannot be read"),
    ],
)
def test_bad_files_are_explained(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_table(tmp_path / name)


def test_missing_files_and_columns_are_named(tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        read_table(tmp_path / "a.csv")
    with pytest.raises(UserError, match="no column sentence; there are text, label"):
        read_table(write(tmp_path, ".csv")).column("sentence")
    with pytest.raises(UserError, match="there is no such folder"):
        find_parts(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no train file"):
        find_parts(tmp_path / "empty")


def test_validation_may_have_several_names(tmp_path):
    for name in ("train", "validation", "test"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    assert set(find_parts(tmp_path)) == {"train", "val", "test"}


def test_signs_that_spreadsheets_write_by_their_number_are_read(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["text", "n_x000D_"], ["one_x000D_\ntwo _x005F_x0041_ _x41_", 1]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    assert read_table(tmp_path / "a.xlsx").cells == {"text": ["one\r\ntwo _x0041_ _x41_"], "n": [1]}


def test_spreadsheets_arrays_and_arrow_files(tmp_path):
    frame = pd.DataFrame({"text": ["a", "b"], "n": [1, 2]})
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in ([None, None], ["text", "n"], ["a", 1], ["b", 2]):
        book.active.append(row)
    book.create_sheet("other")
    book.save(tmp_path / "a.xlsx")
    np.savez(tmp_path / "a.npz", text=np.array(["a", "b"]), n=np.array([1, 2]))
    frame.to_feather(tmp_path / "a.arrow")
    with pyarrow.OSFile(str(tmp_path / "b.arrow"), "wb") as sink:
        table = pyarrow.Table.from_pandas(frame)
        with pyarrow.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
    for name in ("a.xlsx", "a.npz", "a.arrow", "b.arrow"):
        table = read_table(tmp_path / name)
        assert list(map(str, table.column("text"))) == ["a", "b"], name
        assert [int(n) for n in table.column("n")] == [1, 2]
    assert "2 sheets" in read_table(tmp_path / "a.xlsx").notes[0]


def test_parts_of_a_split_are_read_in_order(tmp_path):
    for number in range(3):
        frame = pd.DataFrame({"text": [f"{number}a", f"{number}b"], "label": ["x", "y"]})
        frame.to_parquet(tmp_path / f"train-0000{number}-of-00003.parquet")
    parts = find_parts(tmp_path)["train"]
    assert [file.name[:11] for file in parts] == ["train-00000", "train-00001", "train-00002"]
    assert named_files(str(tmp_path / "train-*.parquet"), "train") == parts
    assert named_files([str(file) for file in parts], "train") == parts
    assert named_files(str(tmp_path), "train") == parts
    with pytest.raises(UserError, match=r"data\.train=.*no file there can be read"):
        named_files(str(tmp_path / "*.csv"), "train")


def test_missing_is_one_rule():
    assert all(map(is_missing, [None, float("nan"), "", "  ", "NaN", "null", "None", "N/A"]))
    assert not any(map(is_missing, [0, "0", "NA", "no", False]))
    assert is_missing("-9", ["-9"])
    assert as_text(b"gr\xc3\xbcn") == "grün"
    assert as_text("cut \ud83d") == "cut \N{REPLACEMENT CHARACTER}"
    with pytest.raises(TypeError, match="not list"):
        as_text(["a"])


@settings(max_examples=200)
@given(
    st.one_of(st.binary(max_size=200), st.text(",;\t\n\r\"'|>ab 1.", max_size=200).map(str.encode)),
    st.sampled_from(["csv", "tsv", "jsonl", "json", "txt", "parquet", "arrow", "npz", "xlsx", "fasta"]),
)
def test_any_bytes_are_rows_or_one_clear_error(content, kind):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/a.{kind}"
        with open(file, "wb") as stream:
            stream.write(content)
        message = file
        try:
            for row in open_source(file).rows:
                " ".join(map(str, row.cells.values())).encode()
        except UserError as error:
            message = str(error)
        assert file in message


@pytest.mark.parametrize(
    ("name", "values", "counts"),
    [
        ("Unnamed: 0", [0, 1, 2], True),
        ("index", [7, 9, 30], True),  # of rows that were filtered
        ("ID", [1001, 1002, 1003], True),
        ("id", [3, 3, 5], False),
        ("index", [1.5, 2.5, 3.5], False),
        ("index", [1, float("nan"), 3], False),
        ("load", [1001, 1002, 1003], False),
    ],
)
def test_columns_that_number_rows_are_known_by_name_and_values(name, values, counts):
    assert is_row_number(name, np.array(values, float)) is counts


@pytest.mark.parametrize("packing", [".gz", ".xz", ".bz2"])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "npz", "xlsx"])
def test_tables_of_every_format_may_be_compressed(kind, packing, tmp_path):
    frame, plain = pd.DataFrame({"text": ["a b", "c"], "label": [1, 2]}), tmp_path / f"a.{kind}"
    if kind == "npz":
        np.savez(plain, text=frame["text"].to_numpy(str), label=frame["label"].to_numpy())
    else:
        getattr(frame, {"parquet": "to_parquet", "arrow": "to_feather", "xlsx": "to_excel"}[kind])(
            plain, **({"index": False} if kind == "xlsx" else {})
        )
    packed = tmp_path / f"a.{kind}{packing}"
    packed.write_bytes({".gz": gzip, ".xz": lzma, ".bz2": bz2}[packing].compress(plain.read_bytes()))
    assert read_table(packed).cells == read_table(plain).cells


def test_columns_without_a_name_are_all_left_out_and_counted(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text("label,values,,,\na,10,20,30,40\nb,1,2,3,4\n")
    table = read_table(file)
    assert table.columns == ["label", "values"]
    assert any("3 columns without a name are not used" in note for note in table.notes)
    file.write_text(",label,,\n0,a,,\n1,b,,\n")  # an index, and a spreadsheet's empty columns
    table = read_table(file)
    assert (table.columns, table.index) == (["label"], ["0", "1"])
    assert not any("without a name" in note for note in table.notes)
