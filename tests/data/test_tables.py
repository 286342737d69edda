"""Tables of all kinds, whole and broken."""

import bz2
import gzip
import json
import lzma
import re

import pytest
from datasets import Dataset

from mla_train.data.tables.splits import find_parts
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


def test_quotes_inside_tab_separated_texts_are_text(tmp_path):
    file = tmp_path / "a.tsv"
    file.write_text('text\tlabel\n"Hi" he said\tx\n"never closed\ty\nplain\tz\n"and open again\tx\n')
    table = read_table(file)
    assert table.broken == []
    assert table.cells["text"] == ['"Hi" he said', '"never closed', "plain", '"and open again']
